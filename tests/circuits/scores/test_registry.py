"""Scores by name: what each computes of the activations, and what is refused as one."""

from __future__ import annotations

import pytest
import torch

from circuits.errors import InputError
from circuits.forward import Activations, LayeredModel
from circuits.metrics import logit_diff
from circuits.scores import (
    SCORERS,
    HeadStatistics,
    ScoreSettings,
    attribution_scores,
    head_scores,
    input_gradient_scores,
    mask_scores,
)


@pytest.fixture
def activations(llama, pairs) -> Activations:
    return Activations(LayeredModel.of(llama), pairs, logit_diff)


@pytest.mark.parametrize("contrast", ["published", "paired"])
def test_each_name_is_its_formula(llama, pairs, activations, contrast) -> None:
    expected = {
        "attribution": attribution_scores(activations),
        "mask-attribution": mask_scores(activations).mean,
        "eap-ig": input_gradient_scores(activations),
        "flap": head_scores(llama, pairs, "WIFV", None),
        "contrastive-flap": head_scores(llama, pairs, "WIFN", contrast),
    }
    assert SCORERS.names()[: len(expected)] == tuple(expected)
    for name, scores in expected.items():
        scorer = SCORERS.get(name)
        found = scorer.score(activations, activations.graph(), ScoreSettings(contrast))
        assert scorer.name == name
        assert scorer.description
        torch.testing.assert_close(found, scores, rtol=0, atol=0)


def test_only_shares_of_a_whole_are_cut_by_share() -> None:
    assert [n for n in SCORERS.names() if SCORERS.get(n).cut == "share"] == ["attribution"]


class LastLayer:
    """A score of one's own."""

    name = "last-layer"
    description = "heads of the last layer first"
    cut = "first"

    def score(self, activations, graph, settings):
        return torch.arange(float(graph.n_layers))[:, None].expand(-1, graph.n_heads)


def test_ones_own(activations) -> None:
    with SCORERS.with_entry(LastLayer()):
        scorer = SCORERS.get("last-layer")
        scores = scorer.score(activations, activations.graph(), ScoreSettings())
    assert scores.argmax(0).tolist() == [2] * 4
    assert "last-layer" not in SCORERS


@pytest.mark.parametrize("missing", ["description", "cut", "score"])
def test_what_is_no_score(missing: str) -> None:
    parts = {name: getattr(LastLayer, name) for name in ("name", "description", "cut", "score")}
    del parts[missing]
    with pytest.raises(InputError, match="is no score: it must have a description, a cut"):
        SCORERS.register(type("Broken", (), parts)())


def test_scores_by_flap_share_their_statistics(activations, monkeypatch) -> None:
    collected, collect = [], HeadStatistics.collect
    monkeypatch.setattr(
        HeadStatistics, "collect", lambda given: collected.append(given) or collect(given)
    )
    for name in ("flap", "contrastive-flap"):
        SCORERS.get(name).score(activations, activations.graph(), ScoreSettings())
    assert collected == [activations]
