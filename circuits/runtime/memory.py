"""How much memory a process may use."""

from __future__ import annotations

from pathlib import Path

import psutil
import torch

_SAFE_SHARE = {"cpu": 0.25}
_SAFE_SHARE_ELSEWHERE = 0.5
_CGROUP_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def free_share(device: torch.device) -> int:
    """Bytes that can safely be used: a quarter of what a machine has free, half of a GPU's."""
    if device.type == "cuda":
        free = torch.cuda.mem_get_info(device)[0]
    else:
        free = min(psutil.virtual_memory().available, *_container_limits())
    return int(free * _SAFE_SHARE.get(device.type, _SAFE_SHARE_ELSEWHERE))


def _container_limits() -> list[int]:
    found = [path.read_text().strip() for path in _CGROUP_LIMITS if path.is_file()]
    return [int(text) for text in found if text.isdigit()] or [1 << 62]
