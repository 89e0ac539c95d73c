"""A batch on a real Ray cluster of two workers, and as jobs of submitit, each losing one."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

import circuits
from circuits.runtime.executors import EXECUTORS
from circuits.runtime.workers import Workers
from circuits.studies import run_batch
from tests.circuits.runtime.jobs import LosingKind
from tests.circuits.studies.test_batch import BEGUN, batch_of, figures, serial

__all__ = ["serial"]
pytestmark = [
    pytest.mark.cluster,
    pytest.mark.filterwarnings("ignore"),
]
CLUSTERS: dict[str, tuple[str, dict[str, Any]]] = {
    "ray": ("ray", {"num_cpus": 2}),
    "slurm": ("submitit", {"cluster": "local", "timeout_min": 30}),
}


@pytest.fixture(params=CLUSTERS)
def cluster(request, monkeypatch) -> tuple[str, dict[str, Any]]:
    """Its name and options; its workers import this repository."""
    package, options = CLUSTERS[request.param]
    if find_spec(package) is None:
        pytest.skip(f"needs {package}: pip install '.[{request.param}]'")
    paths = (str(Path(circuits.__path__[0]).parent), os.environ.get("PYTHONPATH", ""))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))
    return request.param, options


def test_a_lost_worker_changes_no_row(cluster, serial, tiny, tmp_path) -> None:
    name, options = cluster
    kind = LosingKind(EXECUTORS.get(name), BEGUN)
    with EXECUTORS.with_entry(kind):
        workers = Workers("losing", count=2, options=options)
        found = run_batch(batch_of(tiny), tmp_path / "batch", workers=workers)
    assert kind.opened[0].marker.exists(), "a worker was killed"
    assert max(row.attempts for row in found.rows) == 2
    assert figures(found) == figures(serial)
    again = run_batch(batch_of(tiny), tmp_path / "batch", resume=True)
    assert again == found
