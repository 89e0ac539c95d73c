"""Figures of small hand-made results: what must be seen on them is in them."""

from __future__ import annotations

import json
from itertools import pairwise

import numpy as np
import plotly.graph_objects as go
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits import Circuit, Edge, Head, Receiver
from circuits.cost import Cost, StageCost
from circuits.evaluation import Curve, CurvePoint, Estimate
from circuits.figures import (
    circuit_figure,
    cost_figure,
    faithfulness_figure,
    head_scores_figure,
    sparsity_curve_figure,
)
from circuits.figures.layout import arrange
from circuits.figures.style import HELPS, HURTS, mix
from circuits.pruning import Pruning

PATHS = {
    ("3.1", "logits"): -0.6,
    ("3.0", "logits"): 0.3,
    ("2.2", "3.1.q"): -0.2,
    ("1.0", "3.1.k"): 0.1,
    ("1.0", "2.2.v"): -0.05,
    ("0.3", "1.0.v"): 0.01,
}


def circuit_of(paths: dict[tuple[str, str], float], extra: tuple[str, ...] = ()) -> Circuit:
    edges = {Edge(Head.parse(s), Receiver.parse(r), effect) for (s, r), effect in paths.items()}
    heads = {edge.sender for edge in edges} | {e.receiver.head for e in edges if e.receiver.head}
    return Circuit(frozenset(heads | {Head.parse(h) for h in extra}), frozenset(edges), 4, 4)


def edge_traces(figure: go.Figure) -> dict[str, go.Scatter]:
    return {trace.name: trace for trace in figure.data if "→" in (trace.name or "")}


def head_labels(figure: go.Figure) -> list[str]:
    return [text for trace in figure.data if trace.name == "heads" for text in trace.text]


def heading(figure: go.Figure) -> str:
    return figure.layout.title.text


def notes(figure: go.Figure) -> list[str]:
    return [annotation.text for annotation in figure.layout.annotations]


def survives_json(figure: go.Figure) -> bool:
    text = figure.to_json()
    return "NaN" not in text and go.Figure(json.loads(text)) == figure


class TestCircuit:
    figure = circuit_figure(circuit_of(PATHS))

    def test_every_head_and_edge_is_drawn_once(self):
        assert sorted(head_labels(self.figure)) == ["0.3", "1.0", "2.2", "3.0", "3.1"]
        assert sorted(edge_traces(self.figure)) == sorted(f"{s} → {r}" for s, r in PATHS)
        assert heading(self.figure) == "5 heads, 6 edges"
        assert "logits" in notes(self.figure)
        assert survives_json(self.figure)

    def test_widths_grow_with_the_effect(self):
        by_effect = sorted(PATHS, key=lambda path: abs(PATHS[path]))
        traces = edge_traces(self.figure)
        widths = [traces[f"{s} → {r}"].line.width for s, r in by_effect]
        assert all(thin < wide for thin, wide in pairwise(widths))

    def test_colour_shows_the_sign_and_opacity_the_size(self):
        traces = edge_traces(self.figure)
        for (sender, receiver), effect in PATHS.items():
            colour = traces[f"{sender} → {receiver}"].line.color
            hue = mix(HELPS if effect < 0 else HURTS, 0.0).rsplit(",", 1)[0]
            assert colour.startswith(hue)
        strong, weak = (traces[name].line.color for name in ("3.1 → logits", "0.3 → 1.0.v"))
        assert float(strong[:-1].rsplit(",")[-1]) > float(weak[:-1].rsplit(",")[-1])

    def test_inputs_differ_in_dash_and_are_explained(self):
        traces = edge_traces(self.figure)
        dashes = {r[-1]: traces[f"{s} → {r}"].line.dash for s, r in PATHS if r != "logits"}
        assert len(set(dashes.values())) == 3
        legend = {t.name: t.line.dash for t in self.figure.data if t.showlegend is not False}
        assert dashes == {
            key: legend[f"{name} input"]
            for key, name in zip("qkv", ("query", "key", "value"), strict=True)
        }
        assert {"helps the answer (effect < 0)", "hurts it (effect > 0)"} <= legend.keys()

    def test_edges_run_upward_from_the_sender(self):
        places = {
            text: (x, y)
            for trace in self.figure.data
            if trace.name == "heads"
            for text, x, y in zip(trace.text, trace.x, trace.y, strict=True)
        }
        for name, trace in edge_traces(self.figure).items():
            assert (trace.x[0], trace.y[0]) == places[name.split(" → ")[0]]
            assert all(low < high for low, high in pairwise(trace.y))
        assert places["3.1"][1] == places["3.0"][1] == 3
        assert edge_traces(self.figure)["3.1 → logits"].y[-1] == 4

    def test_hover_gives_the_numbers(self):
        assert "-0.6000" in edge_traces(self.figure)["3.1 → logits"].hovertemplate
        heads = next(trace for trace in self.figure.data if trace.name == "heads")
        described = dict(zip(heads.text, heads.hovertext, strict=True))["1.0"]
        assert "sends to 2" in described and "receives from 1" in described
        assert "+0.100" in described

    def test_only_layers_with_heads_are_shown(self):
        figure = circuit_figure(circuit_of({("0.1", "3.0.q"): -0.1}))
        assert list(figure.layout.yaxis.ticktext) == ["0", "3"]
        assert list(figure.layout.yaxis.tickvals) == [0, 1]

    def test_strongest_limits_the_edges_not_the_heads(self):
        figure = circuit_figure(circuit_of(PATHS), strongest=2)
        assert sorted(edge_traces(figure)) == ["3.0 → logits", "3.1 → logits"]
        assert sorted(head_labels(figure)) == ["0.3", "1.0", "2.2", "3.0", "3.1"]
        assert heading(figure) == "5 heads, 6 edges; the 2 strongest are drawn"
        fills = {text: t.marker.color for t in figure.data if t.name == "heads" for text in t.text}
        assert fills["3.1"] == fills["3.0"] != fills["1.0"]

    def test_strongest_none_draws_all_and_a_negative_number_is_refused(self):
        assert len(edge_traces(circuit_figure(circuit_of(PATHS), strongest=None))) == 6
        with pytest.raises(ValueError, match=r"strongest .* got -1"):
            circuit_figure(circuit_of(PATHS), strongest=-1)

    def test_no_heads_gives_a_message(self):
        figure = circuit_figure(Circuit.of_heads([], 4, 4))
        assert notes(figure) == ["This circuit has no heads."]
        assert survives_json(figure)

    @pytest.mark.parametrize("paths", [{}, {("3.1", "logits"): 0.0}])
    def test_heads_without_edges_or_without_effect(self, paths):
        figure = circuit_figure(circuit_of(paths, extra=("0.0", "2.1")))
        assert {"0.0", "2.1"} <= set(head_labels(figure))
        assert survives_json(figure)

    def test_a_hundred_heads_on_a_transparent_page(self):
        random = np.random.default_rng(0)
        heads = [Head(layer, index) for layer in range(20) for index in range(5)]
        edges = frozenset(
            Edge(sender, Receiver(receiver, "v"), float(random.normal()))
            for sender in heads
            for receiver in heads
            if sender.layer < receiver.layer and random.random() < 0.1
        )
        figure = circuit_figure(Circuit(frozenset(heads), edges, 20, 5))
        assert len(head_labels(figure)) == 100
        assert len(edge_traces(figure)) == 200 < len(edges)
        assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"


@st.composite
def circuits(draw) -> tuple[list[Head], list[Edge]]:
    places = st.tuples(st.integers(0, 5), st.integers(0, 4))
    heads = sorted(Head(*place) for place in draw(st.sets(places, min_size=1, max_size=14)))
    pairs = [(a, b) for a in heads for b in heads if a.layer < b.layer]
    chosen = draw(st.lists(st.sampled_from(pairs), max_size=20)) if pairs else []
    return heads, [Edge(a, Receiver(b, "q"), -0.1) for a, b in chosen]


class TestLayout:
    @given(circuits())
    @settings(max_examples=10, deadline=None)
    def test_heads_stand_apart_inside_the_page(self, drawn):
        layout = arrange(*drawn)
        assert all(0 <= x <= layout.width for x in layout.x.values())
        for a in layout.x:
            for b in layout.x:
                if a < b and a.layer == b.layer:
                    assert abs(layout.x[a] - layout.x[b]) >= 1

    def test_the_same_circuit_gets_the_same_layout(self):
        circuit = circuit_of(PATHS)
        assert circuit_figure(circuit) == circuit_figure(circuit)

    def test_an_edge_goes_around_a_head_in_its_way(self):
        low, middle, high = Head(0, 0), Head(1, 0), Head(2, 0)
        layout = arrange([low, middle, high], [Edge(low, Receiver(high, "q"), -0.5)])
        assert layout.x[low] == layout.x[high] != layout.x[middle]

    def test_parallel_edges_do_not_cross(self):
        heads = [Head(layer, index) for layer in (0, 1) for index in range(4)]
        edges = [Edge(Head(0, i), Receiver(Head(1, 3 - i), "q"), -0.5) for i in range(4)]
        x = arrange(heads, edges).x
        below = sorted(range(4), key=lambda i: x[Head(0, i)])
        assert below == sorted(range(4), key=lambda i: x[Head(1, 3 - i)])


class TestHeadScores:
    scores = torch.tensor([[0.5, -2.0, 0.0], [1.0, float("nan"), 0.25]])

    def test_layers_go_across_and_heads_upward(self):
        (heat,) = head_scores_figure(self.scores).data
        assert [list(row) for row in heat.z] == [[0.5, 1.0], [-2.0, None], [0.0, 0.25]]
        assert [list(row) for row in heat.text] == [["0.0", "1.0"], ["0.1", "1.1"], ["0.2", "1.2"]]

    def test_zero_is_the_middle_of_the_colours(self):
        (heat,) = head_scores_figure(self.scores).data
        assert (heat.zmin, heat.zmax) == (-2.0, 2.0)

    def test_candidates_are_framed_and_named(self):
        heat, frames = head_scores_figure(self.scores, [Head(1, 2), Head(0, 0)]).data
        assert frames.name == "candidates"
        corners = [
            (round(x), round(y)) for x, y in zip(frames.x, frames.y, strict=True) if x is not None
        ]
        assert set(corners) == {(0, 0), (1, 2)}
        assert heat.text[2][1] == "1.2 (candidate)"

    def test_arrays_and_all_zero_scores_are_drawn(self):
        assert survives_json(head_scores_figure(np.zeros((2, 3))))
        assert survives_json(head_scores_figure(self.scores.numpy(), title="WIFN"))

    def test_without_scores_there_is_a_message(self):
        figure = head_scores_figure(torch.full((2, 2), float("nan")))
        assert notes(figure) == ["There are no scores."]


class TestSparsityCurve:
    pruning = Pruning(frozenset({Head(0, 0)}), (0.6, 0.7, 0.8), (98.0, 95.0, 20.0), cut=1)

    def test_the_cut_is_marked(self):
        curve, cut = sparsity_curve_figure(self.pruning).data
        assert (list(curve.x), list(curve.y)) == ([0.6, 0.7, 0.8], [98.0, 95.0, 20.0])
        assert (list(cut.x), list(cut.y)) == ([0.7], [95.0])
        assert "1 head left" in cut.text[0]

    def test_points_stand_where_they_were_evaluated(self):
        """A sweep that stopped early leaves gaps."""
        sparsities, performances = (0.6, 0.61, 0.62, 0.9, 0.99), (98.0, 95.0, 20.0, 10.0, 5.0)
        pruning = Pruning(frozenset({Head(0, 0)}), sparsities, performances, cut=1)
        curve, cut = sparsity_curve_figure(pruning).data
        assert (tuple(curve.x), tuple(curve.y)) == (sparsities, performances)
        assert curve.mode == "lines+markers"
        assert (list(cut.x), list(cut.y)) == ([0.61], [95.0])

    def test_each_of_several_prunings_has_its_colour(self):
        figure = sparsity_curve_figure({"flap": self.pruning, "contrastive-flap": self.pruning})
        assert [t.name for t in figure.data if t.showlegend is not False] == [
            "flap",
            "contrastive-flap",
        ]
        assert len({t.line.color for t in figure.data if t.mode == "lines+markers"}) == 2
        assert survives_json(figure)

    def test_nothing_pruned_gives_a_message(self):
        assert notes(sparsity_curve_figure({})) == ["Nothing was pruned."]


class TestCost:
    cost = Cost(
        (StageCost("pruning", 600, 2.5, 2**20), StageCost("patching", 300, 5.0, 2**21)), 100
    )

    def test_passes_and_seconds_by_stage(self):
        figure = cost_figure(self.cost)
        passes, seconds = figure.data
        assert list(passes.y) == list(seconds.y) == ["pruning", "patching"]
        assert list(passes.x) == [6.0, 3.0] and list(seconds.x) == [2.5, 5.0]
        assert heading(figure) == "Cost: 9 forward passes, 7.5 s"
        assert "peak memory 2 MiB" in passes.hovertext[1]
        assert survives_json(figure)

    def test_no_stage_gives_a_message(self):
        assert notes(cost_figure(Cost((), 100))) == ["No stage was measured."]


class TestFaithfulness:
    def curve(self, ranking="signed", last=1.0) -> Curve:
        values = {0.0: (0, 0.0), 0.1: (1, 0.25), 0.5: (6, 0.75), 1.0: (12, last)}
        points = (
            CurvePoint(share, n_heads, Estimate(value, value - 0.1, value + 0.2))
            for share, (n_heads, value) in values.items()
        )
        areas = Estimate(0.625, 0.5, 0.75), Estimate(0.375, 0.25, 0.5)
        return Curve(ranking, "path-effects", "resample", tuple(points), *areas)

    def test_points_bands_and_areas(self):
        figure = faithfulness_figure(self.curve())
        band, line = figure.data
        assert list(line.x) == [0.1, 0.5, 1.0]
        assert list(line.y) == [0.25, 0.75, 1.0]
        assert list(band.x) == [0.1, 0.5, 1.0, 1.0, 0.5, 0.1]
        assert list(band.y) == [0.45, 0.95, 1.2, 0.9, 0.65, 0.15]
        assert line.name == (
            "signed ranking by path-effects, resample ablation: CPR 0.625, CMD 0.375"
        )
        assert line.hovertext[0] == "1 head<br>faithfulness 0.250 [0.150, 0.450]"
        assert figure.layout.xaxis.type == "log"
        assert survives_json(figure)

    def test_several_are_told_apart(self):
        curves = {name: self.curve(name) for name in ("signed", "absolute")}
        figure = faithfulness_figure(curves, title="Toy")
        lines = [trace for trace in figure.data if trace.showlegend is not False]
        assert [trace.name.split()[0] for trace in lines] == ["signed", "absolute"]
        assert lines[0].line.color != lines[1].line.color
        assert heading(figure) == "Toy"

    @pytest.mark.parametrize("strange", [float("nan"), float("inf")])
    def test_what_is_no_number_is_left_out(self, strange):
        figure = faithfulness_figure(self.curve(last=strange))
        assert figure.data[1].y[-1] is None
        assert survives_json(figure)

    def test_no_curve_gives_a_message(self):
        assert notes(faithfulness_figure({})) == ["No curve was taken."]
