import os

import pytest
import torch

from circuits.runtime import threads
from circuits.runtime.threads import usable_cores


@pytest.fixture(autouse=True)
def eight_cores(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


@pytest.fixture
def cgroups(tmp_path):
    """Writes quotas, and what this process belongs to; gives the arguments of usable_cores."""

    def write(membership, files):
        for name, text in files.items():
            file = tmp_path / "cgroup" / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
        (tmp_path / "self").write_text(membership)
        return tmp_path / "cgroup", tmp_path / "self"

    return write


@pytest.mark.parametrize(
    ("quota", "cores"),
    [
        ("max 100000", 8),
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("20000 100000", 1),
        ("1600000 100000", 8),
        ("", 8),
        ("200000 0", 8),
    ],
)
def test_a_quota_of_cgroup_v2(cgroups, quota, cores):
    assert usable_cores(*cgroups("0::/app", {"app/cpu.max": quota})) == cores


def test_the_smallest_quota_on_the_way_up_counts(cgroups):
    files = {"a/cpu.max": "300000 100000", "a/b/cpu.max": "500000 100000", "cpu.max": "max 100000"}
    assert usable_cores(*cgroups("0::/a/b", files)) == 3


@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
@pytest.mark.parametrize(("quota", "cores"), [("-1", 8), ("400000", 4)])
def test_a_quota_of_cgroup_v1(cgroups, mount, quota, cores):
    files = {"cpu.cfs_quota_us": quota, "cpu.cfs_period_us": "100000"}
    files = {f"{mount}/job/{name}": text for name, text in files.items()}
    membership = "5:memory:/job\n3:cpu,cpuacct:/job\n0::/\n"
    assert usable_cores(*cgroups(membership, files)) == cores


def test_a_container_that_sees_the_path_of_its_host(cgroups):
    files = {"cpu/cpu.cfs_quota_us": "300000", "cpu/cpu.cfs_period_us": "100000"}
    assert usable_cores(*cgroups("3:cpu:/docker/abc\n", files)) == 3


def test_the_cpuset_controller_is_not_the_cpu_controller(cgroups):
    files = {"cpuset/cpu.cfs_quota_us": "100000", "cpuset/cpu.cfs_period_us": "100000"}
    assert usable_cores(*cgroups("3:cpuset:/\n", files)) == 8


def test_without_cgroups_or_affinity(tmp_path, monkeypatch):
    assert usable_cores(tmp_path, tmp_path / "none") == 8
    monkeypatch.delattr(os, "sched_getaffinity")
    monkeypatch.setattr(os, "cpu_count", lambda: 3)
    assert usable_cores(tmp_path, tmp_path / "none") == 3


def test_what_torch_is_set_to(monkeypatch):
    counts = []
    monkeypatch.setattr(torch, "set_num_threads", counts.append)
    monkeypatch.setattr(threads, "usable_cores", lambda: 4)
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    threads.use_threads(None)
    threads.use_threads(2)
    monkeypatch.delenv("OMP_NUM_THREADS")
    threads.use_threads(None)
    threads.use_threads(3)
    assert counts == [2, 4, 3]
