"""MIB's figures in words: which ranking, how small, and whether it overshoots."""

from __future__ import annotations

from circuits.summary import edge_curves as summary
from tests.circuits.figures.test_faithfulness import edge_curves


def test_every_area_says_its_ranking() -> None:
    rows = summary.figures(edge_curves())
    assert rows["CPR, by signed scores"].startswith("0.900 [0.800, 1.100]; over log share 0.700")
    assert rows["CMD, by absolute scores"].startswith("0.100 [0.000, 0.300]; over log share 0.300")


def test_the_smallest_circuit_has_edges_and_nodes() -> None:
    rows = summary.figures(edge_curves())
    assert rows["smallest, by signed scores"] == (
        "300 edges (0.92%) between 99 nodes keep 0.860 [0.760, 1.060], where 0.85 was asked for"
    )
    assert summary.figures(edge_curves(None))["smallest, by absolute scores"] == "none keeps 0.85"


def test_overshoot_is_named() -> None:
    rows = summary.figures(edge_curves())
    assert "1.500 [1.400, 1.700] at 10.0% by signed scores; faith" in rows["overshoot"]


def test_a_row_for_each_share() -> None:
    table = summary.table(edge_curves())
    assert table.rows[0] == ("0.1%", "32", *("0.250", "[0.150, 0.450]", "31 (16)") * 2)
    assert all(len(row) == len(table.headers) for row in table.rows)
