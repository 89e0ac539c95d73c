"""Cheap scores of edges against exact effects."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import edge_agreement
from benchmarks.edge_agreement import agreement, draw, markdown
from circuits.edge_scores import edge_scores
from circuits.model import tokenizer_of


@pytest.fixture(scope="module")
def measured(toy) -> dict:
    return edge_agreement.measure(*toy, n_prompts=3, n_edges=25, seed=1)


def test_every_cheap_score_is_measured_and_priced(measured) -> None:
    assert {"eap", "eap-ig", "gim", "swept", "mask-attribution"} <= measured["agreement"].keys()
    assert "exact" not in measured["agreement"]
    assert measured["passes"].keys() == measured["agreement"].keys()
    assert measured["passes"]["eap-ig"] > 3 * measured["passes"]["eap"] > 3
    assert measured["edges"] == 25


def test_it_agrees_with_what_edge_scores_says(toy, measured) -> None:
    bridge, task = toy
    pairs = task.sample(tokenizer_of(bridge), n=3, seed=1)
    names = list(measured["agreement"])
    of_all = {name: edge_scores(bridge, pairs, name).values.mean(-1) for name in names}
    exact = edge_scores(bridge, pairs, "exact").values.mean(-1)
    there = ~exact.isnan()
    flat = {name: values[there].numpy() for name, values in of_all.items()}
    drawn = draw(flat, 25, seed=1)
    own = agreement(flat["eap-ig"][drawn], exact[there].numpy()[drawn])
    assert own == pytest.approx(measured["agreement"]["eap-ig"], abs=1e-3)


def test_large_ones_are_drawn_more_often() -> None:
    scores = {"one": np.arange(1000.0), "other": -2 * np.arange(1000.0)}
    drawn = draw(scores, 100, seed=0)
    assert len(set(drawn)) == 100
    assert (drawn > 900).sum() > 40
    assert (drawn < 500).sum() < 25
    assert len(draw(scores, 5000, seed=0)) == 1000


def test_agreement_is_of_ranks_and_of_signs() -> None:
    exact = np.array([-4.0, -1.0, 0.1, 2.0, 8.0])
    assert agreement(exact**3, exact) == pytest.approx({"signed": 1, "absolute": 1, "sign": 1})
    turned = agreement(-exact, exact)
    assert turned["signed"] == pytest.approx(-1)
    assert turned["absolute"] == pytest.approx(1)
    assert turned["sign"] == 0


def test_the_table_has_the_best_first(measured) -> None:
    text = markdown({"model": "toy", "rows": {"toy": measured}})
    lines = [line.split(" | ") for line in text.splitlines() if line.startswith("| ")][1:]
    correlations = [float(line[2]) for line in lines]
    assert correlations == sorted(correlations, reverse=True)
    assert len(lines) == len(measured["agreement"])
    assert "25 edges" in text
