"""Faithfulness against size."""

from __future__ import annotations

import pytest

from circuits.evaluation import Curve, CurvePoint
from circuits.figures import faithfulness_figure
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
