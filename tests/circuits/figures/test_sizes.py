"""What circuits of every size keep."""

from __future__ import annotations

from circuits import Head
from circuits.evaluation import EdgePoint, SizeCurve, SizePoint
from circuits.figures import sizes_figure
from circuits.statistics import Estimate
from tests.circuits.figures.reading import heading, in_legend, survives_json


def around(value: float) -> Estimate:
    return Estimate(float(value), value - 2.0, value + 2.0)


def of_heads(n: int, kept: float, held_out: float | None = None) -> SizePoint:
    judged = around(kept)
    reported = None if held_out is None else around(held_out)
    heads = frozenset(Head(0, number) for number in range(n))
    return SizePoint("attribution", heads, judged, judged, judged, reported)


def of_edges(n: int, kept: float) -> EdgePoint:
    judged = around(kept)
    return EdgePoint("eap-ig", frozenset(), judged, judged, judged, n_ranked=n, n_edges=n)


class TestOfHeads:
    curve = SizeCurve.of([of_heads(1, 40), of_heads(2, 93, 91), of_heads(5, 60)], keep=85)

    def test_the_best_of_each_size_are_joined_and_the_others_stand_behind(self) -> None:
        behind, front, held_out, chosen = sizes_figure(self.curve).data
        assert (list(behind.x), list(behind.y)) == ([5], [60.0])
        assert (list(front.x), list(front.y)) == ([1, 2], [40.0, 93.0])
        assert front.mode == "lines+markers"
        assert (list(held_out.x), list(held_out.y)) == ([2], [91.0])
        assert list(held_out.error_y.array) == [2.0]
        assert (list(chosen.x), list(chosen.y)) == ([2], [93.0])

    def test_the_words(self) -> None:
        figure = sizes_figure(self.curve)
        assert "Size against performance of 3 circuits" in heading(figure)
        assert figure.layout.xaxis.title.text == "heads in the circuit"
        assert figure.layout.yaxis.title.text == "performance, % of the full model"
        assert in_legend(figure)[1:] == ["chosen by", "held out", "chosen"]
        assert figure.data[1].hovertext[1].startswith("<b>2 heads</b>, ranked attribution")
        assert "held out not run" in figure.data[1].hovertext[0]

    def test_it_is_json(self) -> None:
        assert survives_json(sizes_figure(self.curve))


def test_of_edges_it_says_so() -> None:
    figure = sizes_figure(SizeCurve.of([of_edges(40, 90), of_edges(300, 99)], keep=85))
    assert "Size against faithfulness of 2 circuits" in heading(figure)
    assert figure.layout.xaxis.title.text == "edges in the circuit"
    assert figure.layout.yaxis.title.text == "faithfulness, % of the full model"
    assert figure.data[1].hovertext[0].startswith("<b>40 edges</b>, ranked eap-ig")
