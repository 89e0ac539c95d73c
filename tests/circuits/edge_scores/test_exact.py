"""One edge corrupted at a time, and the mask path, against hooks on the bridge."""

from __future__ import annotations

import pytest
import torch

from circuits.components import Connection
from circuits.edge_scores import edge_scores
from circuits.errors import MismatchError, SettingError
from circuits.forward import Activations
from circuits.masking import MaskedRuns
from circuits.metrics import prob_diff
from circuits.runtime.progress import Progress
from tests.circuits.conftest import shared_model
from tests.circuits.families import FAMILIES, tiny_model
from tests.circuits.masking.slow_twin import weighted_metric_by_hand
from tests.circuits.prompts import ragged_pairs

PAIRS = ragged_pairs(3)
SOME = ("embed -> m0", "0.1 -> 1.2.k", "1.0 -> 2.2.v")


def runs_of(family: str) -> MaskedRuns:
    return MaskedRuns(Activations(shared_model(family), PAIRS, prob_diff))


@pytest.mark.parametrize("family", FAMILIES)
def test_exact_scores_are_what_corrupting_one_edge_does(family: str) -> None:
    edges, pairs = tuple(map(Connection.parse, SOME)), PAIRS[1:2]
    bridge, runs = shared_model(family), runs_of(family)
    scores = edge_scores(bridge, pairs, "exact", prob_diff, edges=edges)
    assert scores.n_known == len(edges)
    whole = runs.activations.clean_metric[1:2]
    for edge in edges:
        weights = runs.every_edge
        row, column = runs.graph.row(edge.receiver), runs.graph.column(edge.sender)
        weights = weights.clone()
        weights[row, column] = 0
        without = weighted_metric_by_hand(bridge, pairs, runs.graph, weights, prob_diff)
        torch.testing.assert_close(
            scores.values[row, column], whole - without, rtol=1e-3, atol=1e-5
        )


def test_every_edge_is_measured_where_none_is_chosen(llama) -> None:
    two = PAIRS[:2]
    every = edge_scores(llama, two, "exact", prob_diff)
    assert every.n_known == 2 * every.graph.n_edges
    chosen = tuple(map(Connection.parse, SOME))
    some = edge_scores(llama, two, "exact", prob_diff, edges=chosen).values
    known = ~some.isnan()
    torch.testing.assert_close(every.values[known], some[known], rtol=1e-4, atol=1e-6)


def test_too_many_passes_are_refused_in_a_sentence(llama) -> None:
    with pytest.raises(SettingError) as raised:
        edge_scores(llama, PAIRS, "exact", most_passes=100)
    assert str(raised.value) == (
        "exact scores of 262 edges take 262 forward passes, more than most_passes (100): choose "
        "some of them (edges), allow more (most_passes), or estimate them (eap-ig)"
    )
    edges = (Connection.parse("embed -> m0"),)
    edge_scores(llama, PAIRS, "exact", most_passes=1, edges=edges)


def test_an_edge_that_is_none_is_refused(llama) -> None:
    with pytest.raises(MismatchError, match=r"0\.1\.q does not read m1"):
        edge_scores(llama, PAIRS, "exact", edges=(Connection.parse("m1 -> 0.1.q"),))


@pytest.mark.parametrize("family", ["llama", "gemma3"])
def test_mask_attribution_is_the_slope_by_each_weight_on_the_way(family: str) -> None:
    """Along a random direction, by differences of runs by hand at the two midpoints."""
    bridge = tiny_model(family).to(torch.float64)
    pairs = PAIRS[:1]
    runs = MaskedRuns(Activations(bridge, pairs, prob_diff))
    # The norms of some families are float32 whatever the weights: a smaller step is lost in them.
    every, step = runs.every_edge.double(), 1e-2
    way = every * torch.rand(every.shape, generator=torch.Generator().manual_seed(1))
    slopes = []
    for weight in (0.25, 0.75):
        ends = [
            weighted_metric_by_hand(
                bridge, pairs, runs.graph, weight * every + sign * step * way, prob_diff
            )
            for sign in (1, -1)
        ]
        slopes.append((ends[0] - ends[1]) / (2 * step))
    scores = edge_scores(bridge, pairs, "mask-attribution", prob_diff, n_steps=2).values
    found = (scores.nan_to_num() * way[..., None]).sum((0, 1))
    expected = sum(slopes) / 2
    torch.testing.assert_close(
        found.double(), expected, rtol=1e-2, atol=1e-2 * float(expected.abs().max())
    )


def test_mask_attribution_adds_up_to_what_all_edges_do(llama) -> None:
    notes: list[str] = []
    scores = edge_scores(
        llama, PAIRS, "mask-attribution", prob_diff, progress=Progress(notes=notes.append)
    )
    activations = runs_of("llama").activations
    span = activations.clean_metric - activations.corrupted_metric
    found = scores.values.nansum((0, 1))
    assert float(found.sum() / span.sum()) == pytest.approx(1, abs=0.15)
    (note,) = notes
    assert note.startswith("at ")
    assert f"{float(found.sum() / span.sum()):.0%}" in note
