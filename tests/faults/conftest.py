"""What is shared by everything that is done to the command line; and how much of it was done."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import huggingface_hub.constants
import pytest

from tests.circuits.conftest import without_type_checks  # noqa: F401
from tests.faults.material import Material, make_material


@pytest.fixture(scope="session")
def material(tmp_path_factory) -> Material:
    return make_material(tmp_path_factory.mktemp("material"))


@pytest.fixture
def is_whole(request) -> bool:
    """Whether everything is to be done, and not the fast share of it."""
    return request.config.getoption("--every-fault")


@pytest.fixture
def count(record_property):
    """Counts what was done under a name; the numbers are printed in the end."""
    return lambda name, number: record_property(f"count: {name}", number)


@pytest.fixture(autouse=True)
def on_its_own(tmp_path, monkeypatch):
    """No network, and a working directory that nothing else is in."""
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


def pytest_terminal_summary(terminalreporter, config) -> None:
    """Print what was done, also of several processes, and write it where that is asked for."""
    counts: Counter[str] = Counter()
    for reports in terminalreporter.stats.values():
        for report in reports:
            for name, number in getattr(report, "user_properties", ()):
                if name.startswith("count: ") and report.when == "call":
                    counts[name.removeprefix("count: ")] += number
    for name, number in counts.items():
        terminalreporter.write_line(f"{number:>7,} {name}")
    if path := config.getoption("--write-counts"):
        Path(path).write_text(json.dumps(counts, indent=1))
