"""Names by measures, and the names of heads that were wired to be what they are called."""

from __future__ import annotations

import pytest
import torch

from circuits import Circuit, Edge, Head, Receiver
from circuits.errors import MismatchError
from circuits.model import tokenizer_of
from circuits.roles import (
    AnswerAttention,
    DirectEffects,
    HeadReading,
    RepeatScores,
    RoleRule,
    name_heads,
    read_heads,
)
from circuits.truth import load_truth

SHAPE = (3, 2)
ONE, READER = Head(0, 1), Head(2, 0)


def reading(direct_of_whole: float = 4.0, **values: float) -> HeadReading:
    """What is measured of head 0.1; nothing of the others, but that head 2.0 is a mover."""

    def measured(name: str, of_reader: float = 0.0):
        scores = torch.zeros(SHAPE)
        scores[0, 1], scores[2, 0] = values.get(name, 0.0), of_reader
        return scores

    repeats = RepeatScores(*map(measured, ("previous_token", "duplicate_token", "induction")))
    attention = AnswerAttention(measured("correct", of_reader=0.9), measured("wrong"))
    direct = DirectEffects(measured("direct", of_reader=2.0)[None], torch.tensor([direct_of_whole]))
    return HeadReading(repeats, attention, direct)


def circuit(*edges: tuple[Head, Receiver]) -> Circuit:
    made = frozenset(Edge(sender, receiver, -0.1) for sender, receiver in edges)
    return Circuit(frozenset({ONE, READER}), made, *SHAPE)


STEERED = circuit((ONE, Receiver(READER, "q")))


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ({}, ()),
        ({"previous_token": 0.4}, ("previous-token",)),
        ({"previous_token": 0.39}, ()),
        ({"duplicate_token": 0.7}, ("duplicate-token",)),
        ({"induction": 0.7}, ("induction",)),
        ({"correct": 0.5, "direct": 0.2}, ("mover",)),
        ({"correct": 0.5, "direct": 0.19}, ()),
        ({"correct": 0.5, "direct": -0.2}, ("negative mover",)),
        ({"wrong": 0.5, "direct": 0.2}, ("suppressor",)),
        ({"wrong": 0.5, "direct": -0.2}, ()),
        ({"direct": 3.0}, ()),
        ({"induction": 0.6, "correct": 0.5, "direct": 1.0}, ("induction", "mover")),
    ],
)
def test_what_was_measured_gives_the_name(values, names):
    found = name_heads(reading(**values), circuit())
    assert found == {ONE: names, READER: ("mover",)}


class TestInhibition:
    def test_it_looks_at_the_wrong_answer_and_acts_through_a_query(self):
        looks = reading(wrong=0.5, direct=0.1)
        assert name_heads(looks, STEERED)[ONE] == ("inhibition",)
        assert name_heads(looks, circuit((ONE, Receiver(READER, "v"))))[ONE] == ()
        assert name_heads(looks, circuit((ONE, Receiver.logits())))[ONE] == ()

    def test_what_does_not_look_or_writes_by_itself_is_none(self):
        assert name_heads(reading(wrong=0.3), STEERED)[ONE] == ()
        assert name_heads(reading(wrong=0.5, direct=0.3), STEERED)[ONE] == ("suppressor",)

    def test_the_query_must_be_of_a_head_that_answers(self):
        nothing = reading(wrong=0.5, direct_of_whole=4000.0)
        assert name_heads(nothing, STEERED) == {ONE: (), READER: ()}


def test_thresholds_may_be_others():
    assert name_heads(reading(induction=0.3), circuit(), RoleRule(attention=0.25))[ONE] == (
        "induction",
    )


def test_answers_in_no_prompt_and_no_logit_difference_give_no_names():
    unseen = reading(correct=torch.nan, wrong=torch.nan, direct=1.0)
    assert name_heads(unseen, STEERED)[ONE] == ()
    assert bool(reading(direct_of_whole=-1.0, direct=1.0).direct_share().isnan().all())
    assert name_heads(reading(-1.0, correct=0.9, direct=1.0), STEERED)[ONE] == ()


def test_another_model_is_refused():
    with pytest.raises(
        MismatchError, match="model of 2 x 2 heads, and the reading of one of 3 x 2"
    ):
        name_heads(reading(), Circuit.of_heads(["0.1"], 2, 2))


@pytest.mark.parametrize(
    ("name", "wired"),
    [
        ("hand-induction", {"0.6": ("previous-token",), "1.6": ("induction", "mover")}),
        ("hand-induction-deep", {"0.3": ("previous-token",), "3.3": ("induction", "mover")}),
        (
            "hand-ioi",
            {"0.6": ("duplicate-token",), "1.6": ("inhibition",), "2.0": ("mover",)},
        ),
        ("compiled-induction", {"0.2": ("previous-token",), "1.1": ("induction",)}),
    ],
)
def test_heads_get_the_names_that_they_were_wired_for(name, wired):
    truth = load_truth(name)
    shape = truth.record.shape
    edges = frozenset(
        Edge(path.sender, path.receiver, -1.0) for path in truth.connections or frozenset()
    )
    true = Circuit(truth.heads, edges, shape.n_layers, shape.n_heads)
    pairs = truth.task.sample(tokenizer_of(truth.model), n=16, seed=0)
    named = name_heads(read_heads(truth.model, pairs), true)
    assert {str(head): names for head, names in named.items()} == wired
