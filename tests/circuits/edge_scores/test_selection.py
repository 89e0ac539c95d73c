"""Edges chosen by scores, against every set of edges of small graphs."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from circuits.components import Embedding
from circuits.edge_scores import connected_edges, positive_edges, reliable_edges, top_edges
from circuits.errors import InputError, SettingError
from circuits.graph import ModelGraph
from circuits.patching import EdgeValues
from circuits.statistics import Bootstrap

GRAPH = ModelGraph(2, 1, 1, mlps="nodes")


def drawn(seed: int, n_prompts: int = 0, share: float = 1.0) -> EdgeValues:
    """Random scores of the edges of a graph of two layers with a head each; some have none."""
    draw = torch.Generator().manual_seed(seed)
    scores = EdgeValues.unknown(GRAPH, *((n_prompts,) if n_prompts else ()))
    for receiver in GRAPH.receivers:
        into = scores.into(receiver)
        into[:] = torch.randn(into.shape, generator=draw)
        into[torch.rand(len(into), generator=draw) > share] = torch.nan
    return scores


def edges_of(chosen: torch.Tensor) -> set[tuple[int, int]]:
    return {(row, column) for row, column in chosen.nonzero().tolist()}


def known(scores: EdgeValues, absolute: bool = False) -> dict[tuple[int, int], float]:
    mean = scores.values if scores.values.ndim == 2 else scores.values.mean(-1)
    every = (~mean.isnan()).nonzero().tolist()
    values = {(row, column): float(mean[row, column]) for row, column in every}
    return {edge: abs(value) for edge, value in values.items()} if absolute else values


@pytest.mark.parametrize("by", ["signed", "absolute"])
@pytest.mark.parametrize("seed", range(3))
def test_the_top_edges_are_those_of_the_largest_sum(by: str, seed: int) -> None:
    scores = drawn(seed, n_prompts=3, share=0.7)
    values = known(scores, by == "absolute")
    for n in (1, 3):
        best = max(combinations(values, n), key=lambda some: sum(values[edge] for edge in some))
        assert edges_of(top_edges(scores, n, by)) == set(best)
    assert edges_of(top_edges(scores, 1000, by)) == set(values)


def test_ties_are_won_by_the_first() -> None:
    scores = EdgeValues(GRAPH, torch.zeros_like(drawn(0).values))
    assert edges_of(top_edges(scores, 2)) == {(0, 0), (0, 1)}


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 1])
@pytest.mark.parametrize("seed", range(3))
def test_positive_edges_are_the_fewest_that_hold_a_share(share: float, seed: int) -> None:
    scores = drawn(seed, share=0.6)
    values = {edge: value for edge, value in known(scores).items() if value > 0}
    wanted = share * sum(values.values()) - 1e-9
    sizes = range(1, len(values) + 1)
    holding = (
        some
        for size in sizes
        for some in combinations(values, size)
        if sum(values[edge] for edge in some) >= wanted
    )
    found = edges_of(positive_edges(scores, share))
    assert found <= set(values)
    assert len(found) == len(next(holding))
    assert sum(values[edge] for edge in found) >= wanted


def test_without_positive_scores_there_is_no_positive_edge() -> None:
    scores = EdgeValues(GRAPH, -drawn(0).values.abs())
    assert not positive_edges(scores, 0.5).any()


class TestReliable:
    def test_keeps_what_every_resample_agrees_on(self) -> None:
        values = drawn(0, n_prompts=8).values / 10
        values[3, 0], values[4, 1] = 1 + values[3, 0], values[4, 1] - 1
        scores = EdgeValues(GRAPH, values)
        bootstrap = Bootstrap(confidence=0.999)
        assert edges_of(reliable_edges(scores, bootstrap=bootstrap)) == {(3, 0)}
        both = reliable_edges(scores, by="absolute", bootstrap=bootstrap)
        assert edges_of(both) == {(3, 0), (4, 1)}
        assert not reliable_edges(scores, least=2).any()
        assert edges_of(reliable_edges(scores, 1, "absolute", 0.5)) <= {(3, 0), (4, 1)}

    def test_the_intervals_are_those_of_single_estimates(self) -> None:
        scores = drawn(1, n_prompts=10)
        metric = scores.values[~scores.values.isnan().any(-1)].double().numpy()
        bootstrap = Bootstrap(n_resamples=4000)
        estimates = bootstrap.estimates(lambda mean: mean, metric)
        low, high = bootstrap.of_means(metric)
        np.testing.assert_allclose(low, [one.low for one in estimates], atol=0.1)
        np.testing.assert_allclose(high, [one.high for one in estimates], atol=0.1)

    def test_chance_is_kept_as_often_as_it_is_said(self) -> None:
        draw = np.random.default_rng(0)
        low, high = Bootstrap(n_resamples=500).of_means(draw.normal(size=(20_000, 12)))
        assert 0.02 < np.mean((low > 0) | (high < 0)) < 0.07

    def test_one_prompt_shows_nothing(self) -> None:
        for scores in (drawn(0), drawn(0, n_prompts=1)):
            with pytest.raises(InputError, match="2 prompts or more"):
                reliable_edges(scores)
        assert np.isnan(Bootstrap().of_means(np.ones((2, 1)))).all()


def is_connected(edges: set[tuple[int, int]]) -> bool:
    """By its definition: each edge lies on a way from the embedding to the logits."""
    nodes = {row: receiver.node for row, receiver in enumerate(GRAPH.receivers)}
    fed = {Embedding()} | {nodes[row] for row, _ in edges}
    read = {GRAPH.senders[column] for _, column in edges}
    return all(
        GRAPH.senders[column] in fed and (nodes[row] is None or nodes[row] in read)
        for row, column in edges
    )


class TestConnected:
    @pytest.mark.parametrize("by", ["signed", "absolute"])
    @pytest.mark.parametrize("seed", range(4))
    def test_no_connected_set_has_a_larger_sum(self, by: str, seed: int) -> None:
        scores = drawn(seed, n_prompts=2, share=0.6)
        values = known(scores, by == "absolute")
        n = 4
        circuits = (
            some
            for size in range(1, n + 1)
            for some in combinations(values, size)
            if is_connected(set(some))
        )
        best = max(sum(values[edge] for edge in some) for some in circuits)
        found = edges_of(connected_edges(scores, n, by))
        assert is_connected(found)
        assert 1 <= len(found) <= n
        assert sum(values[edge] for edge in found) == pytest.approx(best)

    def test_what_leads_nowhere_is_no_circuit(self) -> None:
        scores = EdgeValues.unknown(GRAPH)
        scores.values[3, 0] = 5.0
        with pytest.raises(InputError, match="no connected circuit of 3 edges was found among 1"):
            connected_edges(scores, 3)

    def test_scores_below_0_are_taken_where_they_connect(self) -> None:
        scores = EdgeValues.unknown(GRAPH)
        logits = len(GRAPH.receivers) - 1
        scores.values[3, 0], scores.values[logits, 2] = 5.0, -1.0
        assert edges_of(connected_edges(scores, 2)) == {(3, 0), (logits, 2)}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda scores: top_edges(scores, 0), "n must be at least 1 edge, got 0"),
        (lambda scores: top_edges(scores, 3, "size"), "unknown by 'size'"),
        (lambda scores: positive_edges(scores, 1.5), "share must be above 0 and at most 1"),
        (lambda scores: reliable_edges(scores, least=-1), "least must be at least 0, got -1"),
        (lambda scores: connected_edges(scores, 0), "n must be at least 1, got 0"),
        (lambda scores: connected_edges(scores, 3, seconds=-1), "seconds must be at least 0"),
    ],
)
def test_other_numbers_are_refused(call, message: str, without_type_checks) -> None:
    with pytest.raises(SettingError, match=message):
        call(drawn(0, n_prompts=2))
