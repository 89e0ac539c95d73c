"""Faithfulness against size."""

from __future__ import annotations

import pytest

from circuits.evaluation import Curve, CurvePoint, EdgeCurve, EdgeCurvePoint, EdgeCurves
from circuits.figures import edge_curves_figure, faithfulness_figure
from circuits.statistics import Estimate
from tests.circuits.figures.reading import heading, notes, survives_json


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


def around(value: float) -> Estimate:
    return Estimate(value, value - 0.1, value + 0.2)


def edge_curve(ranking: str, smallest: float | None = 0.86) -> EdgeCurve:
    points = tuple(
        EdgeCurvePoint(share, n, n - 1, n // 2, around(value))
        for share, n, value in ((0.001, 32, 0.25), (0.1, 3249, 1.5), (1.0, 32491, 1.0))
    )
    kept = None if smallest is None else EdgeCurvePoint(0.01, 324, 300, 99, around(smallest))
    areas = (around(value) for value in (0.9, 0.1, 0.7, 0.3))
    return EdgeCurve(ranking, points, *areas, kept)


def edge_curves(smallest: float | None = 0.86) -> EdgeCurves:
    both = (edge_curve(ranking, smallest) for ranking in ("signed", "absolute"))
    return EdgeCurves("<b>mine</b>", 32491, 16, 0.95, 0.85, *both)


class TestEdgeCurves:
    def test_both_rankings_with_their_areas_and_smallest_circuits(self):
        figure = edge_curves_figure(edge_curves())
        lines = [trace for trace in figure.data if trace.showlegend is not False]
        assert [line.name for line in lines] == [
            "&lt;b&gt;mine&lt;/b&gt;, signed scores: CPR 0.900",
            "&lt;b&gt;mine&lt;/b&gt;, absolute scores: CMD 0.100",
        ]
        assert list(lines[0].y) == [0.25, 1.5, 1.0]
        assert lines[0].hovertext[1].startswith("3,248 of 3,249 edges, 1,624 nodes<br>")
        stars = [trace for trace in figure.data if trace.marker.symbol == "star"]
        assert [star.x for star in stars] == [(0.01,), (0.01,)]
        assert figure.layout.xaxis.title.text == "share of edges kept"
        assert survives_json(figure)

    def test_several_scores(self):
        figure = edge_curves_figure({"one": edge_curves(None), "two": edge_curves(None)})
        names = [trace.name for trace in figure.data if trace.showlegend is not False]
        assert [name.split(",")[0] for name in names] == ["one", "one", "two", "two"]
        assert not [trace for trace in figure.data if trace.marker.symbol == "star"]
        assert notes(edge_curves_figure({})) == ["No curve was taken."]
