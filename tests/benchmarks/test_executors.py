"""The table of workers: ratios to the first row, and no table of figures that differ."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from benchmarks import executors

MACHINE = {"cores": 2, "processor": "of a test", "commit": "abc"}


def test_the_table_has_ratios_to_one_worker() -> None:
    rows = [
        {"workers": 1, "seconds": 100.0, "inside": 90.0},
        {"workers": 2, "seconds": 55.0, "inside": 95.0},
    ]
    about = {"model": "m", "task": "ioi", "seeds": 10, "n_prompts": 16, "executor": "processes"}
    text = executors.markdown({**about, "machine": MACHINE, "rows": rows})
    assert "| 1 | 100 | 90 | 1.00 |" in text
    assert "| 2 | 55 | 95 | 1.82 |" in text
    assert "10 seeds of 16 prompts, executor processes" in text


@pytest.mark.parametrize("differs", [False, True])
def test_figures_must_be_the_same(monkeypatch, differs) -> None:
    heads = iter((7.0, 8.0) if differs else (7.0, 7.0))

    def discover_seeds(*_, workers, directory, **__) -> SimpleNamespace:
        assert directory.is_dir()
        assert workers.threads == 1
        run = SimpleNamespace(
            figures={"heads": next(heads)},
            found=SimpleNamespace(cost=SimpleNamespace(seconds=3.0)),
        )
        return SimpleNamespace(runs=[run])

    monkeypatch.setattr(executors, "load_model", lambda name: name)
    monkeypatch.setattr(executors, "discover_seeds", discover_seeds)
    given = ("m", "ioi", 1, [1, 2], "processes", 4)
    if differs:
        with pytest.raises(ValueError, match="gave different figures"):
            executors.measure(*given)
        return
    rows = executors.measure(*given)
    assert [row["workers"] for row in rows] == [1, 2]
    assert [row["inside"] for row in rows] == [3.0, 3.0]
