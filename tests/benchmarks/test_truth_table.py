"""The recorded figures of ground truth: what is promised of exact searches, and what is shown."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from benchmarks import truth_table
from circuits.truth import TruthRow, contestants, list_truths
from circuits.truth.bench import as_json, from_json
from circuits.truth.ground import truth_digest

MEASURED = json.loads(truth_table.RESULTS.read_text())
ROWS = from_json(MEASURED["rows"])
LEAST = {"hand-wired": 0.9, "compiled": 0.9, "siit": 0.8}


def test_every_method_was_measured_on_the_models_that_are_shipped() -> None:
    assert MEASURED["digests"] == {name: truth_digest(name) for name in list_truths()}
    methods = [contestant.name for contestant in contestants()]
    assert [(row.model, row.method) for row in ROWS] == [
        (name, method) for name in list_truths() for method in methods
    ]


@pytest.mark.parametrize("method", ["app-merged-flap-exact", "path-patching-exact"])
def test_exact_searches_find_what_is_known(method: str) -> None:
    rows = [row for row in ROWS if row.method == method]
    assert {row.kind for row in rows} == LEAST.keys()
    for row in rows:
        assert row.precision is not None
        assert row.precision >= LEAST[row.kind], row.model
        assert row.recall >= LEAST[row.kind], row.model


def test_app_loses_heads_to_pruning_alone() -> None:
    """Attribution is blind behind a saturated softmax: what it misses, it says why."""
    for row in ROWS:
        if row.method == "app-exact":
            assert row.precision is not None
            assert row.precision >= LEAST[row.kind], row.model
            for head in row.missed:
                assert any(why.startswith(f"{head} was pruned") for why in row.reasons), row.model


def test_a_wrong_search_is_explained() -> None:
    for row in ROWS:
        if "patching" in row.method or "app" in row.method:
            assert bool(row.missed | row.false) == bool(row.reasons), (row.model, row.method)


def test_the_table_says_what_the_rows_say() -> None:
    first = ROWS[0]
    empty = replace(first, precision=None, recall=0.0, reasons=("0.2 was pruned",))
    shown = truth_table.markdown({**MEASURED, "rows": as_json(_with(empty)), "unseen": []})
    assert f"none found / 0.00 / {first.auc:.2f}" in shown
    assert f"- {first.model}, {first.method}: 0.2 was pruned." in shown
    assert "other seeds (0)" in shown
    assert len(MEASURED["unseen"]) > 0


def _with(row: TruthRow) -> list[TruthRow]:
    return [row, *ROWS[1:]]
