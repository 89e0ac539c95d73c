"""Size against performance."""

from __future__ import annotations

from dataclasses import asdict, replace
from types import SimpleNamespace

from circuits import Head, SelectionRule
from circuits.figures import pareto_figure
from circuits.studies.record import SearchPoint, SearchRecord
from tests.circuits.figures.reading import heading, notes, survives_json


def point(n_heads: int, performance: float, *, pareto: bool, chosen: bool = False) -> SearchPoint:
    heads = frozenset(Head(0, index) for index in range(n_heads))
    rule = SelectionRule(threshold=1.25, min_effect=0.002)
    return SearchPoint(rule, heads, 2 * n_heads, 0.5, performance, pareto, chosen)


RECORD = SearchRecord(
    (
        point(9, 95.0, pareto=True),
        point(3, 40.0, pareto=True),
        point(5, 80.0, pareto=True, chosen=True),
        point(6, 60.0, pareto=False),
    ),
    keep=75.0,
)


def test_front_others_and_choice():
    figure = pareto_figure(RECORD)
    others, front, chosen = figure.data
    assert (list(others.x), list(others.y)) == ([6], [60.0])
    assert (list(front.x), list(front.y)) == ([3, 5, 9], [40.0, 80.0, 95.0])
    assert (list(chosen.x), list(chosen.y)) == ([5], [80.0])
    assert figure.layout.shapes[0].y0 == 75.0
    assert heading(figure) == "Size against performance of 4 circuits of 4 settings"
    assert "<b>5 heads, 10 edges</b>" in chosen.hovertext[0]
    assert "threshold 1.25" in chosen.hovertext[0]
    assert survives_json(figure)


def test_a_search_in_memory_is_drawn_as_its_record():
    points = [{**asdict(p), "heads": [str(h) for h in sorted(p.heads)]} for p in RECORD.points]
    search = SimpleNamespace(to_dict=lambda: {"keep": 75.0, "points": points, "more": "unread"})
    assert pareto_figure(search) == pareto_figure(RECORD)


def test_a_study_counts_its_trials():
    figure = pareto_figure(replace(RECORD, n_trials=50))
    assert heading(figure).endswith("4 circuits of 50 settings")


def test_one_circuit_of_one_setting():
    alone = replace(RECORD, points=(point(5, 80.0, pareto=True, chosen=True),))
    assert heading(pareto_figure(alone)).endswith("1 circuit of 1 setting")


def test_what_is_no_number_and_no_circuit():
    broken = replace(RECORD, points=(point(2, float("nan"), pareto=True, chosen=True),))
    assert survives_json(pareto_figure(broken))
    assert notes(pareto_figure(replace(RECORD, points=()))) == ["The search has no circuits."]
