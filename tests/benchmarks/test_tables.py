from __future__ import annotations

from benchmarks.tables import spread, table


def test_numbers_are_aligned_to_the_right() -> None:
    lines = table(["task", "method", "heads"], [["ioi", "app", 7]], n_left=2).splitlines()
    assert lines == ["| task | method | heads |", "|---|---|--:|", "| ioi | app | 7 |"]
    assert table(["a", "b"], []).splitlines()[1] == "|---|--:|"


def test_mean_and_deviation() -> None:
    assert spread([0.1, 0.3], "{:.1%}") == "20.0% ± 14.1%"
    assert spread([2.0], "{:.1f}") == "2.0 ± 0.0"
    assert spread([], "{:.1f}") == "none"
