"""How many threads to compute with: no more than the cores that this process may really use."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from pathlib import Path

from circuits.errors import SettingError
from circuits.runtime.sizes import MOST_THREADS

_CGROUPS = Path("/sys/fs/cgroup")
_MEMBERSHIP = Path("/proc/self/cgroup")


def use_threads(count: int | None) -> None:
    """Compute with this many threads; without, with one for each usable core.

    OMP_NUM_THREADS is a choice, too, and is left alone.

    Raises SettingError where it is no number that there can be.
    """
    import torch

    if count is not None and not 1 <= count <= MOST_THREADS:
        raise SettingError(f"threads must be at least 1 and at most {MOST_THREADS}, got {count}")
    if count is not None or "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(usable_cores() if count is None else count)


def usable_cores(cgroups: Path = _CGROUPS, membership: Path = _MEMBERSHIP) -> int:
    """The cores that this process may run on, or those that a quota of its cgroups pays for."""
    # macOS has no affinity.
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    for directory in _own_cgroups(cgroups, membership):
        quota = _quota(directory)
        if quota is not None:
            cores = min(cores, max(1, math.ceil(quota)))
    return cores


def _own_cgroups(root: Path, membership: Path) -> Iterator[Path]:
    """The directories of this process's cgroups that limit its processor time, up to the root.

    Inside a container the path can be the host's, which is not there: then the root is its own.
    """
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers == "":
            mounts = [root, root / "unified"]
        elif "cpu" in controllers.split(","):
            mounts = [root / controllers, root / "cpu"]
        else:
            continue
        parts = Path(path.lstrip("/")).parts
        for mount in mounts:
            yield from (mount.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1))


def _quota(cgroup: Path) -> float | None:
    """Cores' worth of processor time that a cgroup may use; None where it is not limited."""
    try:
        if (cgroup / "cpu.max").is_file():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota = (cgroup / "cpu.cfs_quota_us").read_text()
            period = (cgroup / "cpu.cfs_period_us").read_text()
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None
