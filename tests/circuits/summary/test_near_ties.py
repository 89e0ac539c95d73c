"""Decisions that rest on rounding are told, whatever they were held against, and no others are."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from circuits import SelectionRule
from circuits.circuit import Circuit
from circuits.cli.as_json import results
from circuits.components import Head, Receiver
from circuits.evaluation.sizes import SizeCurve, SizePoint
from circuits.patching import EdgeValues
from circuits.search.threshold import ThresholdSelector
from circuits.statistics import Estimate
from circuits.summary import certainty
from circuits.summary.near_ties import near_ties

LOGITS = Receiver.logits()


def with_effects(found, values, **settings):
    """The discovery with these effects on the logits alone."""
    graph = found.effects.graph
    effects = EdgeValues.unknown(graph)
    effects.put(LOGITS, graph.senders_below(LOGITS)[: len(values)], values)
    circuit = Circuit.of_heads([], graph.n_layers, graph.n_heads)
    config = replace(found.config, **settings)
    return replace(found, effects=effects, circuit=circuit, config=config, sizes=None)


@pytest.mark.parametrize(("off", "n_ties"), [(0.0, 1), (1e-5, 1), (-1e-5, 1), (1e-3, 0)])
def test_an_effect_at_the_least_that_counts(found, off, n_ties):
    rule = SelectionRule(min_effect=0.25, threshold=0.1, logits_threshold=0.1)
    ties = near_ties(with_effects(found, [0.25 + off] + [0.0] * 11, selection=rule))
    assert [tie.what for tie in ties if tie.limit == 0.25] == ["0.0 -> logits"] * n_ties


@pytest.mark.parametrize("off", [1e-6, -1e-6])
def test_an_effect_at_the_threshold(found, off):
    rule = SelectionRule(min_effect=0.0, threshold=1.0, logits_threshold=1.0, distance="linear")
    values = torch.linspace(-0.3, 0.3, 12, dtype=torch.float64)
    graph = found.effects.graph
    limits = ThresholdSelector(rule, graph).limits(values, LOGITS)
    for _ in range(50):
        values[3] = -limits[3] - off
        limits = ThresholdSelector(rule, graph).limits(values, LOGITS)
    made = with_effects(found, values.tolist(), selection=rule)
    assert [tie.what for tie in near_ties(made)] == [f"{graph.senders[3]} -> logits"]
    assert "1 within rounding of a threshold" in certainty.rows(made)["near ties"]
    assert results.discovery(made, None)["near_ties"][0]["what"] == f"{graph.senders[3]} -> logits"


def test_edges_of_about_the_same_rank(found):
    values = [0.4, 0.3, 0.3 + 1e-6, *[0.01] * 9]
    made = with_effects(found, values, search="top-n", n_edges=2)
    assert {tie.what for tie in near_ties(made)} == {"0.1 -> logits", "0.2 -> logits"}
    assert near_ties(with_effects(found, values, search="top-n", n_edges=3)) == ()


@pytest.mark.parametrize(("kept", "n_ties"), [(85.0, 1), (85.0005, 1), (86.0, 0)])
def test_a_circuit_that_keeps_just_enough(found, kept, n_ties):
    sure = Estimate(kept, kept, kept)
    point = SizePoint("attribution", frozenset({Head(0, 0)}), sure, sure, sure)
    made = replace(with_effects(found, [0.0] * 12), sizes=SizeCurve.of([point], 85.0))
    assert [tie.what for tie in near_ties(made)] == ["a circuit of 1 heads"] * n_ties


def test_a_clear_result_says_nothing(found):
    assert near_ties(found) == ()
    assert "near ties" not in certainty.rows(found)
    assert near_ties(replace(found, effects=None)) == ()
