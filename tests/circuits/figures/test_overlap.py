"""What two circuits share."""

from __future__ import annotations

import pytest

from circuits import Circuit, Edge, Head, Receiver
from circuits.errors import MismatchError
from circuits.figures import overlap_figure
from tests.circuits.figures.reading import heading, in_legend, notes, survives_json


def circuit(*heads: str) -> Circuit:
    """Every head with an edge to the logits."""
    edges = frozenset(Edge(Head.parse(head), Receiver.logits(), -0.1) for head in heads)
    return Circuit(frozenset(edge.sender for edge in edges), edges, 4, 3)


FIRST, SECOND = circuit("0.0", "1.1", "2.2"), circuit("1.1", "2.2", "3.0", "3.1")


def test_every_head_is_in_its_group():
    figure = overlap_figure(FIRST, SECOND, ("ours", "theirs"))
    places = [list(zip(trace.x, trace.y, strict=True)) for trace in figure.data]
    assert places == [[(1, 1), (2, 2)], [(0, 0)], [(3, 0), (3, 1)]]
    assert in_legend(figure) == ["in both (2)", "only in ours (1)", "only in theirs (2)"]
    assert heading(figure) == "ours and theirs"
    assert figure.layout.title.subtitle.text == (
        "2 heads shared, IoU 0.40; 2 edges shared, IoU 0.40"
    )
    assert survives_json(figure)


def test_groups_differ_in_shape_and_in_colour():
    markers = [trace.marker for trace in overlap_figure(FIRST, SECOND).data]
    assert len({marker.symbol for marker in markers}) == len({m.color for m in markers}) == 3


def test_two_of_one_name_are_still_two():
    assert len(overlap_figure(FIRST, SECOND, ("run", "run")).data) == 3


def test_an_empty_group_is_in_the_legend_and_edges_need_both():
    bare = Circuit.of_heads(["1.1"], 4, 3)
    figure = overlap_figure(circuit("1.1"), bare)
    assert in_legend(figure) == ["in both (1)", "only in first (0)", "only in second (0)"]
    assert figure.layout.title.subtitle.text == "1 heads shared, IoU 1.00"


def test_other_models_are_refused_and_nothing_is_said():
    with pytest.raises(MismatchError, match="different models"):
        overlap_figure(FIRST, Circuit.of_heads([], 2, 2))
    empty = Circuit.of_heads([], 2, 2)
    assert notes(overlap_figure(empty, empty)) == ["Neither circuit has heads."]
