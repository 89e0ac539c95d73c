"""Threads for every test, set before its first fixture; the same examples in every run."""

from __future__ import annotations

import os

import pytest
import torch
from hypothesis import HealthCheck, settings

# isort: off
import tests.checked  # noqa: F401  Before anything that it checks.
from circuits.runtime.threads import usable_cores
# isort: on

# No deadlines: a busy machine is no failure.
settings.register_profile(
    "repeatable", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("repeatable")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Of `tests/faults` a share is done that is fast, unless all of it is asked for."""
    group = parser.getgroup("faults")
    group.addoption("--every-fault", action="store_true", help="kill, starve and feed it for long")
    group.addoption("--write-counts", metavar="FILE", help="write down what was done")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Real models first: they take longest, and nobody should wait for the last one alone."""
    items.sort(key=lambda item: item.get_closest_marker("real") is None)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Tiny models gain nothing from a second thread, and wait long for it on a busy machine.

    Real models share the cores with the other processes of the run. Results that are compared are
    always computed with the same number: sums of floats depend on it.
    """
    processes = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    is_real = item.get_closest_marker("real") is not None
    count = max(1, usable_cores() // processes) if is_real else 1
    torch.set_num_threads(count)
    os.environ["OMP_NUM_THREADS"] = str(count)
