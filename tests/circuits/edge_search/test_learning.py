"""Learned masks: what they find, what they are not taught by, and their weights."""

from __future__ import annotations

import pytest
import torch

from circuits.edge_search import Learning, Slopes, learn
from circuits.errors import SettingError
from tests.circuits.edge_search.landscape import Landscape

N = 40
AMONG = torch.ones(1, N, dtype=torch.bool)
WRONG = torch.arange(float(N))[None]
"""Scores by which the last edges are the best."""


def test_a_wrong_beginning_is_unlearned() -> None:
    landscape = Landscape(lambda weights: weights[0, :4].mean())
    learned = learn(landscape, AMONG, WRONG, Learning((3, 12), n_steps=60))
    assert set(learned[0].topk(4).indices.tolist()) == {0, 1, 2, 3}


def test_what_is_not_among_them_is_never_best() -> None:
    among = AMONG.clone()
    among[0, :10] = False
    learned = learn(Landscape(torch.sum), among, WRONG, Learning((3, 12), n_steps=5))
    assert learned[~among].eq(-torch.inf).all()
    assert learned[among].isfinite().all()


def test_circuits_that_do_more_than_the_model_teach_nothing() -> None:
    slopes = torch.rand(1, N)
    learned = learn(lambda *_: Slopes(1.2, slopes), AMONG, WRONG, Learning((3, 12)))
    assert learned[0].argsort().equal(WRONG[0].argsort())


def test_it_is_the_same_again_and_another_with_another_seed() -> None:
    def value(weights: torch.Tensor) -> torch.Tensor:
        return weights[0, ::3].square().mean()

    first, again, other = (
        learn(Landscape(value), AMONG, WRONG, Learning((3, 30), n_steps=10, seed=seed))
        for seed in (0, 0, 1)
    )
    assert first.equal(again)
    assert not first.equal(other)


@pytest.mark.parametrize("sizes", [(0, 3), (4, 3)])
def test_sizes_must_rise(sizes) -> None:
    with pytest.raises(SettingError, match="sizes must rise from at least 1"):
        Learning(sizes)
