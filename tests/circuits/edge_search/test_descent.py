"""Edges left out in rounds: what is left, in which order the others went, and when it ends."""

from __future__ import annotations

import pytest
import torch

from circuits.circuit import every_edge, without_dead_ends
from circuits.edge_search import Descent, descend
from circuits.edge_search.descent import best_of, places
from circuits.errors import SettingError
from tests.circuits.edge_search.landscape import CHAIN, GRAPH, Landscape, edges

N_EDGES = GRAPH.n_edges


def chain(weights: torch.Tensor) -> torch.Tensor:
    """The chain does all of it together; every other edge does a little by itself."""
    return weights[CHAIN].prod() + 0.001 * weights[~CHAIN].sum()


def test_edges_that_do_something_together_are_left() -> None:
    landscape = Landscape(chain)
    found = descend(landscape, landscape.faithfulness, GRAPH, Descent(least=3, floor=0.9))
    assert found.kept.equal(CHAIN)
    assert set(found.places[CHAIN].tolist()) == {N_EDGES - 1.0, N_EDGES - 2.0, N_EDGES - 3.0}


def test_every_edge_has_a_place_and_what_left_later_a_higher_one() -> None:
    landscape = Landscape(chain)
    settings = Descent(least=8, floor=0.9)
    fewer = descend(landscape, landscape.faithfulness, GRAPH, settings)
    exists = every_edge(GRAPH)
    assert sorted(fewer.places[exists].tolist()) == list(range(N_EDGES))
    assert fewer.places.isnan().equal(~exists)
    assert fewer.places[fewer.kept].min() > fewer.places[exists & ~fewer.kept].max()


def test_a_cut_that_loses_too_much_is_undone() -> None:
    """Every edge does its share: a third of them are too few, somewhat more are not."""
    shares = torch.rand(CHAIN.shape, generator=torch.Generator().manual_seed(0))
    shares = shares * every_edge(GRAPH)
    landscape = Landscape(lambda weights: (shares * weights).sum() / shares.sum())
    found = descend(landscape, landscape.faithfulness, GRAPH, Descent(least=3, floor=0.4))
    assert landscape.faithfulness(found.kept.float(), 8, 0) >= 0.4
    assert 0.2 * N_EDGES < int(found.kept.sum()) < N_EDGES
    assert landscape.looked > 2


def test_none_is_left_out_where_every_cut_loses_too_much() -> None:
    landscape = Landscape(lambda weights: weights[every_edge(GRAPH)].mean())
    found = descend(landscape, landscape.faithfulness, GRAPH, Descent(least=3, floor=0.99))
    assert found.kept.equal(every_edge(GRAPH))


def test_prompts_take_their_turns() -> None:
    landscape = Landscape(chain)
    settings = Descent(least=3, floor=0.9, n_prompts=5, first_turn=1)
    descend(landscape, landscape.faithfulness, GRAPH, settings)
    assert [turn for _, _, turn in landscape.asked] == list(range(1, len(landscape.asked) + 1))
    assert {n for _, n, _ in landscape.asked} == {5}


def test_the_best_of_some_edges_lead_somewhere() -> None:
    scores = torch.zeros(CHAIN.shape)
    lost = edges(("1.0.q", "0.1"))
    scores[CHAIN], scores[lost] = 1.0, 2.0
    assert best_of(scores, every_edge(GRAPH), 4, GRAPH).equal(CHAIN)
    assert not best_of(scores, every_edge(GRAPH), 3, GRAPH).any()
    among = best_of(scores, every_edge(GRAPH) & ~lost, 3, GRAPH)
    assert among.equal(without_dead_ends(GRAPH, CHAIN))


def test_the_first_key_counts_most() -> None:
    first, second = torch.zeros(CHAIN.shape), torch.rand(CHAIN.shape)
    first[CHAIN] = 1.0
    found = places([first, second], GRAPH)
    assert found[CHAIN].min() == N_EDGES - 3
    rest = every_edge(GRAPH) & ~CHAIN
    assert found[rest].argsort().equal(second[rest].argsort())


@pytest.mark.parametrize("settings", [{"least": 0}, {"kept": 1.0}, {"memory": 1.0}, {"points": ()}])
def test_settings_out_of_range_are_refused(settings) -> None:
    with pytest.raises(SettingError, match="least must be at least 1"):
        Descent(**settings)
