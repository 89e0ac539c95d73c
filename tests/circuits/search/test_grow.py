"""The search with a dictionary in the place of a model."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.components import HEAD_INPUTS, Edge, Head, Receiver, all_heads
from circuits.search.grow import SelectionRule, grow

LOGITS = Receiver.logits()
NAN = float("nan")
values = st.floats(-1, 1, width=32)
tables = st.lists(st.lists(values, min_size=3, max_size=3), min_size=4, max_size=4).map(
    torch.tensor
)


def heads(*names: str) -> set[Head]:
    return {Head.parse(name) for name in names}


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
        assert set(rule.select(effects, LOGITS)) == expected

    @settings(deadline=None)
    @given(tables)
    def test_linear_below_a_head(self, effects: torch.Tensor) -> None:
        rule = SelectionRule(threshold=0.6, distance="linear", alpha=0.25, min_effect=0.01)
        effects[2:] = NAN
        expected = by_the_book(effects[:2].numpy(), lambda layer: 0.6 + 0.25 * (1 - layer), 0.01)
        assert set(rule.select(effects, Receiver(Head(2, 0), "k"))) == expected

    @settings(deadline=None)
    @given(tables)
    def test_sqrt(self, effects: torch.Tensor) -> None:
        """n: the heads up to the sender's layer, 3 a layer."""
        rule = SelectionRule(logits_threshold=0.5, distance="sqrt", min_effect=0.0)
        expected = by_the_book(effects.numpy(), lambda n: 0.5 + 2 / (3 * (n + 1)) ** 0.5, 0.0)
        assert set(rule.select(effects, LOGITS)) == expected

    def test_by_hand(self) -> None:
        """Mean .1, SD .4: with t = 2 + 2 / sqrt(12) only what exceeds 1.13 stays."""
        effects = torch.zeros(3, 4)
        effects[2, 1], effects[0, 3] = 1.3, -0.1
        mean, spread = 1.2 / 12, float(effects.std())
        assert spread == pytest.approx(0.379, abs=1e-3)
        assert 1.3 - mean > (2 + 2 / 12**0.5) * spread
        assert SelectionRule().select(effects, LOGITS) == (Head(2, 1),)
        assert SelectionRule(logits_threshold=2.7).select(effects, LOGITS) == ()

    def test_the_logits_have_their_own_threshold(self) -> None:
        effects = torch.tensor([[0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0], [NAN] * 8])
        low_for_logits = SelectionRule(threshold=9.0, logits_threshold=1.0)
        low_for_heads = SelectionRule(threshold=1.0, logits_threshold=9.0)
        receiver = Receiver(Head(1, 0), "v")
        assert low_for_heads.select(effects, receiver) == (Head(0, 3),)
        assert low_for_logits.select(effects, receiver) == ()
        assert low_for_logits.select(effects, LOGITS) == (Head(0, 3),)
        assert low_for_heads.select(effects, LOGITS) == ()

    @settings(deadline=None)
    @given(tables, st.floats(0.1, 3), st.floats(0.1, 3), st.sampled_from(["linear", "sqrt"]))
    def test_higher_thresholds_keep_fewer(self, effects, a, b, distance) -> None:
        low, high = (
            set(SelectionRule(logits_threshold=t, distance=distance).select(effects, LOGITS))
            for t in sorted([a, b])
        )
        assert high <= low

    @settings(deadline=None)
    @given(tables)
    def test_the_sign_does_not_matter(self, effects: torch.Tensor) -> None:
        rule = SelectionRule(logits_threshold=0.8)
        assert rule.select(effects, LOGITS) == rule.select(-effects, LOGITS)

    @pytest.mark.parametrize(("largest", "kept"), [(0.01, 0), (0.0101, 1), (-0.02, 1)])
    def test_min_effect(self, largest: float, kept: int) -> None:
        effects = torch.zeros(4, 5, dtype=torch.float64)
        effects[2, 2] = largest
        assert len(SelectionRule(min_effect=0.01).select(effects, LOGITS)) == kept

    def test_equal_effects_keep_nothing(self) -> None:
        assert SelectionRule().select(torch.full((3, 4), 0.5), LOGITS) == ()

    def test_no_path_no_sender(self) -> None:
        assert SelectionRule().select(torch.full((3, 4), NAN), LOGITS) == ()
        assert SelectionRule().select(torch.full((3, 4), NAN), Receiver(Head(0, 1), "q")) == ()

    @settings(deadline=None)
    @given(tables, st.data())
    def test_what_sends_nothing_is_never_kept(self, effects: torch.Tensor, data) -> None:
        gone = data.draw(st.sets(st.sampled_from(all_heads(4, 3)), max_size=10))
        for head in gone:
            effects[head.layer, head.index] = NAN
        kept = SelectionRule(logits_threshold=0.3).select(effects, LOGITS)
        assert not gone & set(kept)

    def test_pruned_heads_count_as_senders_without_effect(self) -> None:
        """A threshold means the same with pruning and without."""
        full = torch.zeros(4, 5)
        full[3, 1], full[1, 1], full[0, 2] = 1.0, -0.4, 0.2
        pruned = full.masked_fill(full == 0, NAN)
        rule = SelectionRule(logits_threshold=1.0)
        assert rule.select(pruned, LOGITS) == rule.select(full, LOGITS) != ()

    def test_in_order(self) -> None:
        effects = torch.zeros(4, 20)
        effects[3, 11], effects[3, 2], effects[0, 19] = 1.0, -1.0, 1.0
        kept = SelectionRule().select(effects, LOGITS)
        assert kept == (Head(0, 19), Head(3, 2), Head(3, 11))

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"threshold": 0.0}, "threshold must be > 0 standard deviations, got 0.0"),
            ({"threshold": NAN}, "threshold must be > 0"),
            ({"logits_threshold": -1.0}, "logits_threshold must be > 0"),
            ({"min_effect": -0.1}, "min_effect must be >= 0, got -0.1"),
            ({"min_effect": NAN}, "min_effect must be >= 0"),
            ({"alpha": -1.0}, "alpha must be >= 0"),
            ({"distance": "cubic"}, "distance"),
            ({"kind": "vote"}, "kind"),
            ({"false_discovery_rate": 0.0}, "false_discovery_rate must be above 0 and below 1"),
            ({"false_discovery_rate": 1.0}, "got 1.0"),
            ({"false_discovery_rate": NAN}, "got nan"),
        ],
    )
    def test_nonsense(self, settings, message: str) -> None:
        with pytest.raises((ValueError, TypeError), match=message):
            SelectionRule(**settings)


layers_above = st.sampled_from([LOGITS, Receiver(Head(2, 1), "q"), Receiver(Head(3, 0), "v")])
rules = st.builds(
    SelectionRule,
    threshold=st.floats(0.3, 2.5),
    logits_threshold=st.floats(0.3, 2.5),
    min_effect=st.sampled_from([0.0, 0.05, 0.3]),
    distance=st.sampled_from(["linear", "sqrt"]),
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
        gone = data.draw(st.sets(st.sampled_from(all_heads(4, 3)), max_size=4)) - {sender}
        for head in gone:
            effects[head.layer, head.index] = NAN
        size = data.draw(st.sampled_from([0.01, 0.1, 0.5, 2.0]))
        part = data.draw(st.floats(-0.999, 0.999))
        errors, moved = torch.zeros(4, 3), effects.clone()
        errors[sender.layer, sender.index] = size
        moved[sender.layer, sender.index] += part * size
        before, after = (rule.select(table, receiver) for table in (effects, moved))
        if before != after:
            assert rule.deciding(effects, errors, receiver) == (sender,)

    @settings(deadline=None)
    @given(tables, rules, layers_above)
    def test_without_errors_everything_is_decided(self, effects, rule, receiver) -> None:
        assert rule.deciding(effects, torch.zeros(4, 3), receiver) == ()

    @settings(deadline=None)
    @given(tables, rules, layers_above)
    def test_nothing_is_decided_within_huge_errors(self, effects, rule, receiver) -> None:
        below = all_heads(4 if receiver.head is None else receiver.head.layer, 3)
        asked = rule.deciding(effects, torch.full((4, 3), 100.0), receiver)
        assert asked
        assert set(asked) <= set(below)

    @settings(deadline=None)
    @given(sparse_tables, sparse_tables, rules, layers_above)
    def test_asking_comes_to_an_end_and_never_asks_twice(
        self, effects, exact, rule, receiver
    ) -> None:
        errors, known = torch.full((4, 3), 0.2), set()
        while asked := rule.deciding(effects, errors, receiver):
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
        assert gate.select(effects, LOGITS) == ()
        assert gate.deciding(effects, errors, LOGITS) == (Head(3, 0),)
        assert gate.deciding(effects, 0.2 * errors, LOGITS) == ()
        low, high = (SelectionRule(logits_threshold=1.0, min_effect=m) for m in (0.75, 0.85))
        for decided in (low, high):
            assert decided.deciding(effects, errors, LOGITS) == ()

    def test_errors_that_move_a_limit_most_are_run_first(self) -> None:
        """Of equal errors those of large effects, which the spread rests on."""
        effects, errors = torch.zeros(4, 3), torch.full((4, 3), 0.02)
        effects[3, 0], effects[0, 0], effects[0, 1] = 0.8, -0.99, 0.6
        errors[3, 0] = 0.0
        rule = SelectionRule(logits_threshold=1.8, distance="linear", alpha=0.0, min_effect=0.0)
        assert rule.deciding(effects, errors, LOGITS) == (Head(0, 0), Head(0, 1))

    def test_min_effect_does_not_matter_where_nobody_stands_out(self) -> None:
        effects = torch.full((4, 3), 0.5)
        effects[::2] *= -1
        rule = SelectionRule(logits_threshold=1.0, min_effect=0.5)
        assert rule.deciding(effects, torch.full((4, 3), 1e-3), LOGITS) == ()

    def test_an_exact_effect_is_undecided_while_its_limit_is(self) -> None:
        """Another sender's error may raise the spread above it."""
        effects, errors = torch.zeros(4, 3), torch.zeros(4, 3)
        effects[3, 0], effects[0, 0], errors[0, 0] = 0.85, -0.99, 0.2
        rule = SelectionRule(logits_threshold=1.3)
        assert Head(3, 0) in rule.select(effects, LOGITS)
        assert Head(3, 0) not in rule.select(effects - errors, LOGITS)
        assert rule.deciding(effects, errors, LOGITS) == (Head(0, 0),)

    @settings(deadline=None)
    @given(sparse_tables, rules, st.floats(0.001, 0.3), st.floats(1, 10))
    def test_larger_errors_never_decide_what_was_open(self, effects, rule, size, factor) -> None:
        errors = torch.full((4, 3), size)
        less, more = (rule.deciding(effects, e, LOGITS) for e in (errors, factor * errors))
        assert more or not less


N_LAYERS, N_HEADS = 3, 8
EVERY = (LOGITS, *(Receiver(head, i) for head in all_heads(N_LAYERS, N_HEADS) for i in HEAD_INPUTS))


def table_of(*edges: str) -> dict[Receiver, torch.Tensor]:
    """Effects of -1 on the paths named ("0.1 > 2.3.q"), 0 on others, NaN where there is none."""
    table = {}
    for receiver in EVERY:
        below = N_LAYERS if receiver.head is None else receiver.head.layer
        effects = torch.zeros(N_LAYERS, N_HEADS)
        effects[below:] = NAN
        table[receiver] = effects
    for edge in edges:
        sender, receiver = edge.split(" > ")
        head = Head.parse(sender)
        table[Receiver.parse(receiver)][head.layer, head.index] = -1.0
    return table


RULE = SelectionRule(threshold=1.0, logits_threshold=1.0)


class TestGrow:
    def test_from_the_logits_down(self) -> None:
        edges = ("2.3 > logits", "1.1 > 2.3.q", "0.4 > 1.1.v", "0.5 > 2.3.k")
        circuit = grow(table_of(*edges).__getitem__, RULE, N_LAYERS, N_HEADS)
        assert circuit.heads == heads("2.3", "1.1", "0.4", "0.5")
        assert {f"{edge.sender} > {edge.receiver}" for edge in circuit.edges} == set(edges)
        assert all(edge.effect == -1.0 for edge in circuit.edges)
        assert (circuit.n_layers, circuit.n_heads) == (N_LAYERS, N_HEADS)

    def test_what_reaches_nothing_stays_out(self) -> None:
        """1.2 -> 2.6 is strong, but 2.6 sends nowhere."""
        table = table_of("2.3 > logits", "1.2 > 2.6.q", "0.0 > 1.2.q")
        assert grow(table.__getitem__, RULE, N_LAYERS, N_HEADS).heads == heads("2.3")

    def test_one_sender_of_several_receivers(self) -> None:
        edges = ("2.3 > logits", "2.4 > logits", "0.1 > 2.3.q", "0.1 > 2.4.k", "0.1 > 2.4.v")
        circuit = grow(table_of(*edges).__getitem__, RULE, N_LAYERS, N_HEADS)
        assert circuit.heads == heads("2.3", "2.4", "0.1")
        assert len(circuit.edges) == 5

    def test_nothing_found(self) -> None:
        circuit = grow(table_of().__getitem__, RULE, N_LAYERS, N_HEADS)
        assert (circuit.heads, circuit.edges) == (frozenset(), frozenset())

    def test_every_receiver_is_asked_for_once_and_from_the_top(self) -> None:
        """Late senders of a low head must be known before its own inputs are looked at."""
        table = table_of(
            "2.7 > logits",
            "0.2 > logits",
            "1.0 > 2.7.q",
            "1.5 > 2.7.v",
            "0.2 > 1.5.q",
            "0.3 > 1.0.k",
        )
        asked: list[Receiver] = []

        def effects_of(receiver: Receiver) -> torch.Tensor:
            asked.append(receiver)
            return table[receiver]

        circuit = grow(effects_of, RULE, N_LAYERS, N_HEADS)
        assert asked[0] == LOGITS
        assert len(set(asked)) == len(asked)
        layers = [receiver.on_head()[0].layer for receiver in asked[1:]]
        assert layers == sorted(layers, reverse=True)
        assert {str(r) for r in asked[1:]} == {
            f"{head}.{i}" for head in ("2.7", "1.0", "1.5") for i in HEAD_INPUTS
        }, "layer 0 receives from no head"
        assert circuit.heads == heads("2.7", "1.0", "1.5", "0.2", "0.3")

    @settings(deadline=None, max_examples=40)
    @given(st.integers(0, 10**6), st.floats(0.3, 3))
    def test_ends_and_every_head_is_reached(self, seed: int, threshold: float) -> None:
        noise = torch.Generator().manual_seed(seed)
        table = {r: e + torch.randn(e.shape, generator=noise) for r, e in table_of().items()}
        rule = SelectionRule(threshold=threshold, logits_threshold=threshold)
        circuit = grow(table.__getitem__, rule, N_LAYERS, N_HEADS)
        assert {edge.sender for edge in circuit.edges} == circuit.heads
        for edge in circuit.edges:
            assert edge.effect == float(table[edge.receiver][edge.sender.layer, edge.sender.index])
            assert edge.sender in rule.select(table[edge.receiver], edge.receiver)
            if edge.receiver.head is not None:
                assert edge.receiver.head in circuit.heads
        asked = [LOGITS, *(Receiver(head, i) for head in circuit.heads for i in HEAD_INPUTS)]
        kept = {
            (s, r)
            for r in asked
            if r.head is None or r.head.layer
            for s in rule.select(table[r], r)
        }
        assert {(edge.sender, edge.receiver) for edge in circuit.edges} == kept

    def test_effects_are_recorded_with_their_sign(self) -> None:
        table = table_of("2.3 > logits")
        table[LOGITS][2, 3] = 0.75
        circuit = grow(table.__getitem__, RULE, N_LAYERS, N_HEADS)
        assert circuit.edges == {Edge(Head(2, 3), LOGITS, 0.75)}
