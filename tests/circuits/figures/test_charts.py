"""The sparsity sweep and the cost of stages."""

from __future__ import annotations

from circuits import Head
from circuits.figures import cost_figure, sparsity_curve_figure
from circuits.pruning import Pruning
from circuits.runtime.cost import Cost, StageCost
from tests.circuits.figures.reading import heading, in_legend, notes, survives_json


class TestSparsityCurve:
    pruning = Pruning(frozenset({Head(0, 0)}), (0.6, 0.7, 0.8), (98.0, 95.0, 20.0), cut=1)

    def test_the_cut_is_marked(self):
        figure = sparsity_curve_figure(self.pruning)
        curve, cut, ring = figure.data
        assert (list(curve.x), list(curve.y)) == ([0.6, 0.7, 0.8], [98.0, 95.0, 20.0])
        assert (list(cut.x), list(cut.y)) == ([0.7], [95.0])
        assert cut.marker.size == ring.marker.size
        assert in_legend(figure) == ["pruning: 1 head left at 70%", "cut"]

    def test_points_stand_where_they_were_evaluated(self):
        """A sweep that stopped early leaves gaps."""
        sparsities, performances = (0.6, 0.61, 0.62, 0.9, 0.99), (98.0, 95.0, 20.0, 10.0, 5.0)
        pruning = Pruning(frozenset({Head(0, 0)}), sparsities, performances, cut=1)
        curve, cut, _ = sparsity_curve_figure(pruning).data
        assert (tuple(curve.x), tuple(curve.y)) == (sparsities, performances)
        assert curve.mode == "lines+markers"
        assert (list(cut.x), list(cut.y)) == ([0.61], [95.0])

    def test_each_of_several_prunings_has_its_colour(self):
        figure = sparsity_curve_figure({"flap": self.pruning, "contrastive-flap": self.pruning})
        names = [name.partition(":")[0] for name in in_legend(figure)]
        assert names == ["flap", "contrastive-flap", "cut"]
        lines = [trace for trace in figure.data if trace.mode == "lines+markers"]
        assert len({(line.line.color, line.marker.symbol) for line in lines}) == 2
        assert survives_json(figure)

    def test_a_cut_that_looked_at_no_performance_is_a_point(self):
        pruning = Pruning(frozenset({Head(0, 0), Head(1, 0)}), (0.75,), (60.0,), cut=0)
        figure = sparsity_curve_figure({"attribution": pruning})
        curve, cut, _ = figure.data
        assert (list(curve.x), list(curve.y)) == (list(cut.x), list(cut.y)) == ([0.75], [60.0])
        assert in_legend(figure) == ["attribution: 2 heads left at 75%", "cut"]
        axis = figure.layout.xaxis
        assert (axis.minallowed, axis.maxallowed) == (0, 1), "no sparsity is outside"

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

    def test_numbers_are_rounded_once(self):
        """The report's table says 0.5 of such a stage, too."""
        cost = Cost((StageCost("pruning", 5463, 61.8478, 0),), 10_000)
        assert [trace.text[0] for trace in cost_figure(cost).data] == ["0.5", "61.8"]

    def test_stages_that_took_nothing(self):
        assert survives_json(cost_figure(Cost((StageCost("pruning", 0, 0.0, 0),), 100)))

    def test_no_stage_gives_a_message(self):
        assert notes(cost_figure(Cost((), 100))) == ["No stage was measured."]
