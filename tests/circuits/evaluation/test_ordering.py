from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from circuits.components import Head, Receiver, all_heads
from circuits.errors import InputError, UnknownNameError
from circuits.evaluation import choose_scores, effect_scores, order_heads
from circuits.graph import ModelGraph
from circuits.patching import EdgeValues
from tests.circuits.families import N_HEADS, N_LAYERS

NAN = float("nan")


def scores(*values):
    return torch.tensor(values).view(2, -1)


def test_signed_and_absolute() -> None:
    given_scores = scores(0.1, -3.0, 2.0, 0.0)
    signed = [str(head) for head in order_heads(given_scores, "signed")]
    assert signed == ["1.0", "0.0", "1.1", "0.1"]
    absolute = [str(head) for head in order_heads(given_scores, "absolute")]
    assert absolute == ["0.1", "1.0", "0.0", "1.1"]


def test_heads_without_a_score_count_as_doing_nothing() -> None:
    given_scores = scores(-1.0, NAN, 1.0, NAN)
    signed = [str(head) for head in order_heads(given_scores, "signed")]
    assert signed == ["1.0", "0.1", "1.1", "0.0"]
    absolute = [str(head) for head in order_heads(given_scores, "absolute")]
    assert absolute == ["0.0", "1.0", "0.1", "1.1"]


@given(
    st.lists(st.floats(-5, 5, width=32) | st.just(NAN), min_size=6, max_size=6),
    st.sampled_from(["signed", "absolute"]),
)
def test_every_head_once_falling_and_equal_ones_in_order(values, ranking) -> None:
    order = order_heads(scores(*values), ranking)
    assert sorted(order) == list(all_heads(2, 3))
    flat = [0.0 if value != value else value for value in values]
    keys = [flat[head.layer * 3 + head.index] for head in order]
    keys = [abs(key) for key in keys] if ranking == "absolute" else keys
    ranked = list(zip((-key for key in keys), order, strict=True))
    assert ranked == sorted(ranked)


EFFECTS = EdgeValues.unknown(ModelGraph(n_layers=2, n_heads=2, n_kv_heads=1))
EFFECTS.put(Receiver.logits(), [Head(0, 0), Head(1, 0)], [-0.5, 0.25])
EFFECTS.put(Receiver(Head(1, 0), "q"), [Head(0, 0)], [-0.125])
EFFECTS.put(Receiver(Head(1, 0), "k"), [Head(0, 0)], [-1.0])
PRUNINGS = {"flap": scores(1.0, 2.0, 3.0, 4.0)}


class TestEffects:
    def test_the_sum_over_receivers_with_its_sign_changed(self) -> None:
        found = effect_scores(EFFECTS)
        assert found[0, 0] == 1.625 and found[1, 0] == -0.25
        assert found[:, 1].isnan().all()

    def test_it_adds_up_the_effects_of_a_discovery(self, found) -> None:
        """A shared key or value counts once."""
        expected = torch.zeros(N_LAYERS, N_HEADS)
        for receiver in found.effects.graph.receivers:
            expected -= found.effects.effects(receiver).nan_to_num()
        torch.testing.assert_close(effect_scores(found.effects).nan_to_num(), expected)


class TestChoice:
    def test_path_effects_come_first(self) -> None:
        assert choose_scores(EFFECTS, PRUNINGS).name == "path-effects"
        assert choose_scores(None, PRUNINGS).name == "flap"

    def test_prunings_come_by_name_whatever_their_order(self) -> None:
        """Loading a saved run changes it."""
        other = {"flap": PRUNINGS["flap"], "contrastive-flap": -PRUNINGS["flap"]}
        for prunings in (other, dict(reversed(other.items()))):
            assert choose_scores(None, prunings).name == "contrastive-flap"

    def test_by_name(self) -> None:
        chosen = choose_scores(EFFECTS, PRUNINGS, "flap")
        assert torch.equal(chosen.values, PRUNINGS["flap"])

    def test_unknown(self) -> None:
        message = "by 'magic': this run has the scores path-effects, f"
        with pytest.raises(UnknownNameError, match=message):
            choose_scores(EFFECTS, PRUNINGS, "magic")
        message = "by 'path-effects': this run has the scores flap"
        with pytest.raises(UnknownNameError, match=message):
            choose_scores(None, PRUNINGS, "path-effects")

    @pytest.mark.parametrize("name", [None, "flap"])
    def test_none_at_all(self, name) -> None:
        with pytest.raises(InputError, match="this run has no scores"):
            choose_scores(None, {}, name)
