"""What heads are worth to a circuit, against the circuits with and without them."""

from __future__ import annotations

from typing import ClassVar

import pytest
import torch
from pydantic import TypeAdapter

from circuits.components import Head
from circuits.evaluation import Contributions, Evaluator, measure_contributions
from circuits.model import tokenizer_of
from circuits.runtime.progress import SILENT
from circuits.statistics.intervals import Estimate

HEADS = frozenset({Head(0, 0), Head(1, 2), Head(2, 1)})


@pytest.fixture
def evaluator(toy) -> Evaluator:
    bridge, task = toy
    return Evaluator(bridge, task.sample(tokenizer_of(bridge), n=24))


def test_kept_is_what_is_lost_without(evaluator) -> None:
    worth = measure_contributions(HEADS, [], evaluator)
    whole = evaluator.performance(HEADS)
    assert worth.kept.keys() == HEADS
    for head, lost in worth.kept.items():
        without = evaluator.performance(HEADS - {head})
        assert lost.value == pytest.approx(whole - without, abs=1e-4)
        assert lost.low <= lost.value <= lost.high
    assert worth.n_prompts == len(evaluator.pairs)


class Adds(Evaluator):
    """A model whose heads add what they are worth to every prompt, with a little noise."""

    worth: ClassVar = {Head(0, 0): 5.0, Head(0, 1): 3.0, Head(1, 0): -2.0, Head(1, 1): 0.0}

    def __init__(self, pairs) -> None:
        self.pairs = pairs

    @property
    def everything(self):
        return frozenset(self.worth)

    def metrics(self, circuits, ablation="mean", progress=SILENT):
        noise = torch.linspace(-0.3, 0.3, len(self.pairs)).double()
        return torch.stack([sum(self.worth[h] for h in c) + noise * len(c) for c in circuits])


def test_opposing_are_those_that_surely_harm(pairs) -> None:
    heads = frozenset({Head(0, 0), Head(0, 1)})
    worth = measure_contributions(heads, [Head(1, 0), Head(1, 1)], Adds(pairs))
    assert worth.kept[Head(0, 0)].value == pytest.approx(100 * 5 / 6)
    assert worth.opposing.keys() == {Head(1, 0)}
    assert worth.opposing[Head(1, 0)].value == pytest.approx(100 * 2 / 6)


def test_a_head_of_the_circuit_opposes_nothing(evaluator) -> None:
    assert not measure_contributions(HEADS, HEADS, evaluator).opposing


def test_what_is_open_is_tried_on_more_prompts(evaluator) -> None:
    first, second = evaluator.on(evaluator.pairs[:8]), evaluator.on(evaluator.pairs[8:])
    heads = evaluator.everything
    few = measure_contributions(heads, [], first)
    more = measure_contributions(heads, [], first, second)
    both = measure_contributions(heads, [], evaluator)
    assert few.not_shown
    assert set(few.not_shown) < heads
    for head in heads:
        expected = both if head in few.not_shown else few
        assert more.kept[head].value == pytest.approx(expected.kept[head].value, abs=1e-4)


def test_not_shown_is_an_interval_that_holds_zero() -> None:
    kept = {
        Head(0, 0): Estimate(5.0, 1.0, 9.0),
        Head(0, 1): Estimate(5.0, 0.0, 9.0),
        Head(0, 2): Estimate(-5.0, -9.0, -1.0),
    }
    assert Contributions(kept, {}, 8).not_shown == (Head(0, 1), Head(0, 2))


def test_it_survives_json() -> None:
    worth = Contributions({Head(0, 0): Estimate(5.0, 1.0, 9.0)}, {}, 8)
    kind = TypeAdapter(Contributions)
    assert '"0.0"' in kind.dump_json(worth).decode()
    assert kind.validate_json(kind.dump_json(worth)) == worth
