"""Data drawn from nothing is refused in a sentence, or read as what it says."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.faults.material import SEARCH
from tests.faults.strategies import circuit_files, table_files
from tests.faults.watching import outcome_of

_WHOLE, _FAST = 600, 15


@pytest.fixture(autouse=True)
def with_own_checks_alone(without_type_checks):
    """Users have no others."""


def circuit_commands(file, material):
    good, table, model = material.circuits[-1], material.tables[0], ("--model", material.model)
    return [
        ["import", file],
        ["compare", file, good],
        ["compare", good, file, "--json"],
        ["export", file, "--format", "dot"],
        ["evaluate", file, "--task", table, "--n-prompts", "2", "--resamples", "2", *model],
    ]


def table_commands(file, material):
    model = ("--model", material.model)
    return [
        ["tasks", "check", file, *model],
        ["tasks", file, "--n-prompts", "2", *model],
        ["discover", file, *SEARCH, *model],
    ]


KINDS = {
    "circuits": (circuit_files, "circuit.json", circuit_commands),
    "tables": (table_files, "mine.jsonl", table_commands),
}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_drawn_data_is_read_or_refused(kind, material, is_whole, count, tmp_path, monkeypatch):
    files, name, commands = KINDS[kind]
    n_inputs = _WHOLE if is_whole else _FAST
    codes = []

    @settings(
        max_examples=n_inputs,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    @given(text=files, number=st.integers(0, 9))
    def draw(text, number):
        with TemporaryDirectory(dir=tmp_path) as place:
            monkeypatch.chdir(place)
            file = Path(place) / name
            file.write_text(text)
            every = commands(file, material)
            outcome = outcome_of(every[number % len(every)], Path(place))
            monkeypatch.chdir(tmp_path)
        assert outcome.flaws == [], (text, outcome.arguments, outcome.stderr[-500:])
        codes.append(outcome.code)

    draw()
    count(f"inputs drawn from nothing: {kind}", len(codes))
    assert set(codes) >= {0, 1}, "some must be right, and some wrong"
