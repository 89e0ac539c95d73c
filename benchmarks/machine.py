"""Where a measurement was made."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

_PACKAGES = ("torch", "transformer-lens", "transformers")


def describe_machine() -> dict[str, str | int]:
    """Processor, card if any, threads, versions and commit: what a figure depends on."""
    card = {"card": torch.cuda.get_device_name()} if torch.cuda.is_available() else {}
    return {
        **card,
        "processor": _processor(),
        "cores": os.cpu_count() or 0,
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in _PACKAGES},
        "commit": _commit(),
    }


def names_of(machines: Iterable[Mapping[str, Any]], *keys: str) -> str:
    """What some machines have under the first of the keys that they know, each named once."""
    found = (next(machine[key] for key in keys if key in machine) for machine in machines)
    return " and ".join(sorted(set(map(str, found))))


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _commit() -> str:
    """The commit, marked where code differs from it: results may be written meanwhile."""
    commit = _git("rev-parse", "--short", "HEAD")
    changed = _git("status", "--porcelain", "--", "*.py", "*.toml", "constraints.txt")
    return f"{commit}-dirty" if changed else commit or "unknown"


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(Path(__file__).parents[1]), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
