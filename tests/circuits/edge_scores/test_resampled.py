"""The best edges on resampled prompts, against choosing anew on each resample."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from circuits.circuit import every_edge
from circuits.edge_scores import top_edge_frequencies, top_edges
from circuits.errors import InputError, SettingError
from circuits.graph import ModelGraph
from circuits.patching import EdgeValues
from circuits.statistics import Bootstrap

GRAPH = ModelGraph(2, 2, 2, mlps="nodes")
FEW = Bootstrap(n_resamples=60, seed=3)


def scored(n_prompts: int = 5, seed: int = 0) -> EdgeValues:
    draw = torch.Generator().manual_seed(seed)
    values = torch.randn(*every_edge(GRAPH).shape, n_prompts, generator=draw).double()
    # Small whole numbers, so that many edges are equal.
    values = (values * 2).round()
    return EdgeValues(GRAPH, values.masked_fill(~every_edge(GRAPH)[..., None], torch.nan))


@pytest.mark.parametrize("by", ["signed", "absolute"])
@pytest.mark.parametrize("n", [1, 7, 500])
def test_it_is_choosing_on_every_resample(by, n: int, monkeypatch) -> None:
    monkeypatch.setattr("circuits.edge_scores.resampled._SCORES_TOGETHER", 200)
    scores = scored()
    found = top_edge_frequencies(scores, n, by, FEW)
    counted = torch.zeros(found.values.shape)
    for weights in torch.from_numpy(FEW.draws(5)):
        counted += top_edges(EdgeValues(GRAPH, scores.values @ weights.double()), n, by)
    is_edge = every_edge(GRAPH)
    assert torch.allclose(found.values[is_edge], counted[is_edge] / 60)
    assert bool(found.values[~is_edge].isnan().all())
    assert float(found.values.nansum()) == pytest.approx(min(n, GRAPH.n_edges), abs=1e-3)


def test_an_edge_that_is_best_on_every_prompt_is_always_chosen_and_a_lucky_one_is_not() -> None:
    values = scored().values
    steady, lucky = (0, 0), (1, 0)
    values[steady] = 50.0
    values[lucky] = torch.tensor([200.0, -60.0, -60.0, -20.0, -10.0])
    often = top_edge_frequencies(EdgeValues(GRAPH, values), 2, bootstrap=FEW).values
    assert float(often[steady]) == 1
    assert 0.1 < float(often[lucky]) < 0.9


def test_resamples_are_of_the_seed_and_whole() -> None:
    draws = Bootstrap(n_resamples=4, seed=1).draws(6)
    assert np.array_equal(draws, Bootstrap(n_resamples=4, seed=1).draws(6))
    assert not np.array_equal(draws, Bootstrap(n_resamples=4, seed=2).draws(6))
    assert draws.sum(1).tolist() == [6] * 4


def test_what_cannot_be_resampled_is_refused(without_type_checks) -> None:
    one = EdgeValues(GRAPH, scored().values.mean(-1))
    with pytest.raises(InputError, match="shows on 2 prompts or more"):
        top_edge_frequencies(one, 5)
    with pytest.raises(SettingError, match="n must be at least 1 edge"):
        top_edge_frequencies(scored(), 0)
    with pytest.raises(SettingError, match="by"):
        top_edge_frequencies(scored(), 5, by="size")
