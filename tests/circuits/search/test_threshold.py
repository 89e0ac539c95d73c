"""The threshold rule against the published formula, and what errors could flip."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.components import MLP, Embedding, Head, Receiver, all_heads
from circuits.graph import ModelGraph
from circuits.search import SelectionRule, ThresholdSelector
from tests.circuits.search.effects import LOGITS, NAN, deciding, layers_above, select, tables


def by_the_book(effects: np.ndarray, threshold, min_effect: float) -> set[Head]:
    """|effect| - |mean| > t SD, over one receiver's senders; `threshold` gives t by layer."""
    effects = effects.astype(np.float64)
    if abs(effects).max() <= min_effect:
        return set()
    spread = effects.std(ddof=1)
    return {
        Head(layer, index)
        for layer, row in enumerate(effects)
        for index, effect in enumerate(row)
        if abs(effect) - abs(effects.mean()) > threshold(layer) * spread
    }


class TestRule:
    @settings(deadline=None)
    @given(tables)
    def test_linear(self, effects: torch.Tensor) -> None:
        """The top layer is nearest to the logits; each layer further down costs alpha more."""
        rule = SelectionRule(logits_threshold=0.7, distance="linear", alpha=0.25, min_effect=0.01)
        expected = by_the_book(effects.numpy(), lambda layer: 0.7 + 0.25 * (3 - layer), 0.01)
        assert set(select(rule, effects)) == expected

    @settings(deadline=None)
    @given(tables)
    def test_linear_below_a_head(self, effects: torch.Tensor) -> None:
        rule = SelectionRule(threshold=0.6, distance="linear", alpha=0.25, min_effect=0.01)
        expected = by_the_book(effects[:2].numpy(), lambda layer: 0.6 + 0.25 * (1 - layer), 0.01)
        assert set(select(rule, effects, Receiver(Head(2, 0), "k"))) == expected

    @settings(deadline=None)
    @given(tables)
    def test_sqrt(self, effects: torch.Tensor) -> None:
        """n: the heads up to the sender's layer, 3 a layer."""
        rule = SelectionRule(logits_threshold=0.5, distance="sqrt", min_effect=0.0)
        expected = by_the_book(effects.numpy(), lambda n: 0.5 + 2 / (3 * (n + 1)) ** 0.5, 0.0)
        assert set(select(rule, effects)) == expected

    def test_by_hand(self) -> None:
        """Mean .1, SD .4: with t = 2 + 2 / sqrt(12) only what exceeds 1.13 stays."""
        effects = torch.zeros(3, 4)
        effects[2, 1], effects[0, 3] = 1.3, -0.1
        mean, spread = 1.2 / 12, float(effects.std())
        assert spread == pytest.approx(0.379, abs=1e-3)
        assert 1.3 - mean > (2 + 2 / 12**0.5) * spread
        assert select(SelectionRule(), effects) == (Head(2, 1),)
        assert select(SelectionRule(logits_threshold=2.7), effects) == ()

    def test_the_logits_have_their_own_threshold(self) -> None:
        effects = torch.tensor([[0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0], [NAN] * 8])
        low_for_logits = SelectionRule(threshold=9.0, logits_threshold=1.0)
        low_for_heads = SelectionRule(threshold=1.0, logits_threshold=9.0)
        receiver = Receiver(Head(1, 0), "v")
        assert select(low_for_heads, effects, receiver) == (Head(0, 3),)
        assert select(low_for_logits, effects, receiver) == ()
        assert select(low_for_logits, effects) == (Head(0, 3),)
        assert select(low_for_heads, effects) == ()

    @settings(deadline=None)
    @given(tables, st.floats(0.1, 3), st.floats(0.1, 3), st.sampled_from(["linear", "sqrt"]))
    def test_higher_thresholds_keep_fewer(self, effects, a, b, distance) -> None:
        low, high = (
            set(select(SelectionRule(logits_threshold=t, distance=distance), effects))
            for t in sorted([a, b])
        )
        assert high <= low

    @settings(deadline=None)
    @given(tables)
    def test_the_sign_does_not_matter(self, effects: torch.Tensor) -> None:
        rule = SelectionRule(logits_threshold=0.8)
        assert select(rule, effects) == select(rule, -effects)

    @pytest.mark.parametrize(("largest", "kept"), [(0.01, 0), (0.0101, 1), (-0.02, 1)])
    def test_min_effect(self, largest: float, kept: int) -> None:
        effects = torch.zeros(4, 5, dtype=torch.float64)
        effects[2, 2] = largest
        assert len(select(SelectionRule(min_effect=0.01), effects)) == kept

    def test_equal_effects_keep_nothing(self) -> None:
        assert select(SelectionRule(), torch.full((3, 4), 0.5)) == ()

    def test_no_path_no_sender(self) -> None:
        assert select(SelectionRule(), torch.full((3, 4), NAN)) == ()
        assert select(SelectionRule(), torch.full((3, 4), NAN), Receiver(Head(0, 1), "q")) == ()

    @settings(deadline=None)
    @given(tables, st.data())
    def test_what_sends_nothing_is_never_kept(self, effects: torch.Tensor, data) -> None:
        gone = data.draw(st.sets(st.sampled_from(all_heads(4, 3)), max_size=10))
        for head in gone:
            effects[head.layer, head.index] = NAN
        kept = select(SelectionRule(logits_threshold=0.3), effects)
        assert not gone & set(kept)

    def test_pruned_heads_count_as_senders_without_effect(self) -> None:
        """A threshold means the same with pruning and without."""
        full = torch.zeros(4, 5)
        full[3, 1], full[1, 1], full[0, 2] = 1.0, -0.4, 0.2
        pruned = full.masked_fill(full == 0, NAN)
        rule = SelectionRule(logits_threshold=1.0)
        assert select(rule, pruned) == select(rule, full) != ()

    def test_in_order(self) -> None:
        effects = torch.zeros(4, 20)
        effects[3, 11], effects[3, 2], effects[0, 19] = 1.0, -1.0, 1.0
        kept = select(SelectionRule(), effects)
        assert kept == (Head(0, 19), Head(3, 2), Head(3, 11))

    @pytest.mark.parametrize("distance", ["linear", "sqrt"])
    def test_mlps_stand_in_the_layers_that_they_write_in(self, distance) -> None:
        """The embedding one below the first; an MLP counts as a sender of its layer."""
        graph = ModelGraph(2, 3, 3, mlps="nodes")
        effects = torch.tensor([0.3, -0.2, 0.1, 0.7, 0.5, 0.0, -0.6, 0.2, 0.9])
        rule = SelectionRule(logits_threshold=0.6, distance=distance, alpha=0.25)
        layer = np.array([-1, 0, 0, 0, 0, 1, 1, 1, 1])
        up_to = np.array([1, 5, 5, 5, 5, 9, 9, 9, 9])
        growth = 0.25 * (1 - layer) if distance == "linear" else 2 / np.sqrt(up_to)
        sizes = effects.double().numpy()
        limits = abs(sizes.mean()) + (0.6 + growth) * sizes.std(ddof=1)
        kept = {graph.senders[place] for place in np.flatnonzero(abs(sizes) > limits)}
        assert set(ThresholdSelector(rule, graph).select(effects, LOGITS)) == kept
        assert MLP(1) in kept


# Settings, not rules: what checks these draws items at random, which a strategy must not.
rules = st.fixed_dictionaries(
    {
        "threshold": st.floats(0.3, 2.5),
        "logits_threshold": st.floats(0.3, 2.5),
        "min_effect": st.sampled_from([0.0, 0.05, 0.3]),
        "distance": st.sampled_from(["linear", "sqrt"]),
    }
)
sparse_tables = st.tuples(tables, tables).map(lambda two: two[0] * two[1] ** 2)
"""Most effects small, a few large, as they are."""


class TestDeciding:
    @settings(deadline=None, max_examples=250)
    @given(sparse_tables, rules, layers_above, st.sampled_from(all_heads(4, 3)), st.data())
    def test_one_senders_error_flips_nothing_unnoticed(
        self, effects, rule, receiver, sender, data
    ) -> None:
        """Whether it moves the sender's own effect, the limit of others, or `min_effect`."""
        rule = SelectionRule(**rule)
        gone = data.draw(st.sets(st.sampled_from(all_heads(4, 3)), max_size=4)) - {sender}
        for head in gone:
            effects[head.layer, head.index] = NAN
        size = data.draw(st.sampled_from([0.01, 0.1, 0.5, 2.0]))
        part = data.draw(st.floats(-0.999, 0.999))
        errors, moved = torch.zeros(4, 3), effects.clone()
        errors[sender.layer, sender.index] = size
        moved[sender.layer, sender.index] += part * size
        before, after = (select(rule, table, receiver) for table in (effects, moved))
        if before != after:
            assert deciding(rule, effects, errors, receiver) == (sender,)

    @settings(deadline=None)
    @given(tables, rules, layers_above)
    def test_without_errors_everything_is_decided(self, effects, rule, receiver) -> None:
        rule = SelectionRule(**rule)
        assert deciding(rule, effects, torch.zeros(4, 3), receiver) == ()

    @settings(deadline=None)
    @given(tables, rules, layers_above)
    def test_nothing_is_decided_within_huge_errors(self, effects, rule, receiver) -> None:
        rule = SelectionRule(**rule)
        below = all_heads(4 if receiver.head is None else receiver.head.layer, 3)
        asked = deciding(rule, effects, torch.full((4, 3), 100.0), receiver)
        assert asked
        assert set(asked) <= set(below)

    @settings(deadline=None)
    @given(sparse_tables, sparse_tables, rules, layers_above)
    def test_asking_comes_to_an_end_and_never_asks_twice(
        self, effects, exact, rule, receiver
    ) -> None:
        rule = SelectionRule(**rule)
        errors, known = torch.full((4, 3), 0.2), set()
        while asked := deciding(rule, effects, errors, receiver):
            assert not known & set(asked)
            known |= set(asked)
            for head in asked:
                effects[head.layer, head.index] = exact[head.layer, head.index]
                errors[head.layer, head.index] = 0.0

    def test_min_effect_is_undecided_by_who_could_pass_it_alone(self) -> None:
        """0.8 stands out, but counts only above 0.81; 0.1 cannot get there, 0.79 less likely."""
        effects = torch.zeros(4, 3)
        effects[3, 0], effects[2, 2], effects[1, 1] = 0.8, 0.79, 0.1
        errors = (effects != 0) * 0.02
        gate = SelectionRule(logits_threshold=1.0, min_effect=0.81)
        assert select(gate, effects) == ()
        assert deciding(gate, effects, errors) == (Head(3, 0),)
        assert deciding(gate, effects, 0.2 * errors) == ()
        low, high = (SelectionRule(logits_threshold=1.0, min_effect=m) for m in (0.75, 0.85))
        for decided in (low, high):
            assert deciding(decided, effects, errors) == ()

    def test_errors_that_move_a_limit_most_are_run_first(self) -> None:
        """Of equal errors those of large effects, which the spread rests on."""
        effects, errors = torch.zeros(4, 3), torch.full((4, 3), 0.02)
        effects[3, 0], effects[0, 0], effects[0, 1] = 0.8, -0.99, 0.6
        errors[3, 0] = 0.0
        rule = SelectionRule(logits_threshold=1.8, distance="linear", alpha=0.0, min_effect=0.0)
        assert deciding(rule, effects, errors) == (Head(0, 0), Head(0, 1))

    def test_min_effect_does_not_matter_where_nobody_stands_out(self) -> None:
        effects = torch.full((4, 3), 0.5)
        effects[::2] *= -1
        rule = SelectionRule(logits_threshold=1.0, min_effect=0.5)
        assert deciding(rule, effects, torch.full((4, 3), 1e-3)) == ()

    def test_an_exact_effect_is_undecided_while_its_limit_is(self) -> None:
        """Another sender's error may raise the spread above it."""
        effects, errors = torch.zeros(4, 3), torch.zeros(4, 3)
        effects[3, 0], effects[0, 0], errors[0, 0] = 0.85, -0.99, 0.2
        rule = SelectionRule(logits_threshold=1.3)
        assert Head(3, 0) in select(rule, effects)
        assert Head(3, 0) not in select(rule, effects - errors)
        assert deciding(rule, effects, errors) == (Head(0, 0),)

    @settings(deadline=None)
    @given(sparse_tables, rules, st.floats(0.001, 0.3), st.floats(1, 10))
    def test_larger_errors_never_decide_what_was_open(self, effects, rule, size, factor) -> None:
        rule = SelectionRule(**rule)
        errors = torch.full((4, 3), size)
        less, more = (deciding(rule, effects, e) for e in (errors, factor * errors))
        assert more or not less


@pytest.mark.parametrize(("effect", "is_kept"), [(-0.5, True), (0.02, True), (0.005, False)])
def test_a_single_sender_is_kept_where_its_effect_counts(effect: float, is_kept: bool) -> None:
    """Heads of the first layer read the embedding alone, where it is a node."""
    graph, receiver = ModelGraph(2, 2, 2, mlps="nodes"), Receiver.parse("0.1.k")
    selector = ThresholdSelector(SelectionRule(min_effect=0.01), graph)
    effects = torch.tensor([effect])
    assert selector.select(effects, receiver) == ((Embedding(),) if is_kept else ())
    for error, is_open in ((0.0, False), (0.5, True), (0.004, False)):
        named = selector.deciding(effects, torch.tensor([error]), receiver)
        unsure = is_open and abs(abs(effect) - 0.01) <= error
        assert named == ((Embedding(),) if unsure else ())


def test_a_single_head_stands_out_among_nothing() -> None:
    selector = ThresholdSelector(SelectionRule(), ModelGraph(2, 1, 1))
    assert selector.select(torch.tensor([-0.5]), Receiver.parse("1.0.k")) == ()
