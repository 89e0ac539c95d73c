"""ACDC: what it removes is what trying one edge after another removes."""

from __future__ import annotations

import pytest
import torch

from circuits.circuit import every_edge
from circuits.edge_search import acdc, chosen_edges, divergences_of
from circuits.errors import MismatchError, SettingError
from circuits.forward import Activations
from circuits.masking import MaskedRuns
from tests.circuits.conftest import shared_model
from tests.circuits.edge_search.landscape import CHAIN, GRAPH, edges
from tests.circuits.edge_search.slow_twin import acdc_by_hand, edges_named
from tests.circuits.families import FAMILIES
from tests.circuits.prompts import ragged_pairs

START = [
    ("embed", "0.1.v"),
    ("0.1", "m1"),
    ("0.1", "2.0.v"),
    ("embed", "2.0.k"),
    ("embed", "logits"),
    ("m1", "logits"),
    ("2.0", "logits"),
]
SIDE = edges(("m0", "embed"), ("logits", "m0"))


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_the_published_algorithm_by_hooks(family: str) -> None:
    pairs = ragged_pairs(2)
    runs = MaskedRuns(Activations(shared_model(family), pairs))
    start, divergences = edges_named(runs.graph, START), divergences_of(runs)
    found = next(
        found
        for found in (acdc(divergences, runs.graph, start, 10**-step) for step in range(1, 7))
        if found.edges.any()
    )
    by_hand = acdc_by_hand(shared_model(family), pairs, runs.graph, start, found.threshold)
    assert found.edges.equal(by_hand)
    assert not found.edges.equal(start)


class Made:
    """A made-up model, which says how far circuits are from it, and counts what it was asked."""

    def __init__(self, costs: torch.Tensor) -> None:
        self.costs, self.asked, self.passes = costs, 0, 0

    def __call__(self, circuits: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        assert like.equal(every_edge(GRAPH))
        self.asked, self.passes = self.asked + len(circuits), self.passes + 1
        missing = every_edge(GRAPH) & ~circuits & is_read(circuits)
        return (missing.double() * self.costs).sum((1, 2))


def is_read(circuits: torch.Tensor) -> torch.Tensor:
    """Which rows are of nodes that anything reads, and of the logits."""
    read = [
        torch.ones(circuits.shape[:-2], dtype=torch.bool)
        if receiver.node is None
        else circuits[..., GRAPH.column(receiver.node)].any(-1)
        for receiver in GRAPH.receivers
    ]
    return torch.stack(read, -1)[..., None]


def costs_of(*dear: tuple[torch.Tensor, float]) -> torch.Tensor:
    """What the divergence rises by without each edge."""
    costs = torch.zeros(CHAIN.shape, dtype=torch.float64)
    for some, cost in dear:
        costs[some] = cost
    return costs


@pytest.mark.parametrize("together", [1, 2, 8])
def test_what_is_tried_together_changes_nothing(monkeypatch, together: int) -> None:
    draw = torch.Generator().manual_seed(0)
    costs = torch.rand(CHAIN.shape, generator=draw).double()
    monkeypatch.setattr("circuits.edge_search.removal._MOST_TOGETHER", together)
    made = Made(costs)
    found = acdc(made, GRAPH, every_edge(GRAPH), 0.5)
    tried = every_edge(GRAPH) & is_read(found.edges)
    assert found.edges.equal(tried & (costs >= 0.5))
    assert found.rises.isnan().equal(~tried)
    assert 0 < tried.sum() < GRAPH.n_edges
    assert found.n_runs == made.asked
    n_void = found.n_runs - int(tried.sum()) - 1
    assert n_void == 0 if together == 1 else n_void >= (together == 8)
    assert found.after == pytest.approx(float(costs[tried & ~found.edges].sum()))


def test_where_all_goes_few_passes_do() -> None:
    made = Made(costs_of((CHAIN, 1.0)))
    found = acdc(made, GRAPH, every_edge(GRAPH), 0.1)
    assert found.edges.equal(CHAIN)
    assert made.passes < made.asked / 2


def test_the_order_is_that_of_the_authors() -> None:
    """Of two edges of which one does, the one that is tried first is removed."""

    def one_does(first: tuple[str, str], second: tuple[str, str]) -> torch.Tensor:
        pair = edges(first) | edges(second)
        found = acdc(
            lambda circuits, like: (~circuits[:, pair]).all(-1).double(),
            GRAPH,
            edges(first) | edges(second) | CHAIN,
            0.5,
        )
        return found.edges & pair

    for first, second in (
        (("logits", "m1"), ("logits", "1.1")),
        (("logits", "1.1"), ("logits", "1.0")),
        (("logits", "1.0"), ("logits", "embed")),
    ):
        assert one_does(first, second).equal(edges(second))
    rows = [str(receiver) for receiver in reversed(GRAPH.receivers)]
    assert rows[:8] == ["logits", "m1", "1.1.v", "1.0.v", "1.1.k", "1.0.k", "1.1.q", "1.0.q"]


def test_a_rise_of_just_the_threshold_is_kept() -> None:
    made = Made(costs_of((CHAIN, 0.25), (SIDE, 0.2)))
    assert acdc(made, GRAPH, every_edge(GRAPH), 0.25).edges.equal(CHAIN)


def test_what_is_not_of_the_start_never_comes_in() -> None:
    start = CHAIN | SIDE
    found = acdc(lambda circuits, like: (~circuits).double().sum((1, 2)), GRAPH, start, 0.5)
    assert found.edges.equal(start)
    assert found.rises.isnan().equal(~start)


def test_its_ranking_has_the_circuit_first() -> None:
    found = acdc(Made(costs_of((CHAIN, 1.0), (SIDE, 0.2))), GRAPH, every_edge(GRAPH), 0.5)
    assert chosen_edges(found.ranking, 3).equal(CHAIN)
    order = found.ranking.values[edges(("logits", "m0"))]
    assert order == GRAPH.n_edges - 4


def test_the_metric_can_be_in_the_place_of_a_divergence() -> None:
    runs = MaskedRuns(Activations(shared_model("llama"), ragged_pairs(2)))
    start = edges_named(runs.graph, START)

    def fallen(circuits: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        return -runs.metrics(circuits.float(), like=like.float()).double().mean(-1)

    found = acdc(fallen, runs.graph, start, 0.1)
    assert found.rises[found.edges].ge(0.1).all()
    (metric,) = runs.metrics(found.edges[None].float()).mean(-1)
    assert found.after == pytest.approx(-float(metric), abs=1e-5)


def test_what_cannot_be_is_refused() -> None:
    every = every_edge(GRAPH)
    with pytest.raises(SettingError, match="must be above 0, got 0"):
        acdc(Made(costs_of()), GRAPH, every, 0)
    with pytest.raises(SettingError, match=r"up to 46 forward passes, more than most_passes \(9\)"):
        acdc(Made(costs_of()), GRAPH, every, 0.1, most_passes=9)
    with pytest.raises(MismatchError, match="must be 15 receivers x 7 senders, got 3 x 3"):
        acdc(Made(costs_of()), GRAPH, torch.ones(3, 3, dtype=torch.bool), 0.1)
