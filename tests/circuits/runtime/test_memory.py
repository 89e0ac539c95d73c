from __future__ import annotations

import pytest
import torch

from circuits.runtime import memory
from circuits.runtime.memory import free_share


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({}, 250_000),
        ({"a": "max\n"}, 250_000),
        ({"a": "400000\n"}, 100_000),
        ({"a": "max\n", "b": "800\n"}, 200),
        ({"a": "9223372036854771712\n"}, 250_000),
    ],
)
def test_a_quarter_of_what_the_machine_and_its_container_leave(
    tmp_path, monkeypatch, limits, expected: int
) -> None:
    for name, text in limits.items():
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(memory, "_CGROUP_LIMITS", (tmp_path / "a", tmp_path / "b"))
    machine = memory.psutil.virtual_memory()._replace(available=1_000_000)
    monkeypatch.setattr(memory.psutil, "virtual_memory", lambda: machine)
    assert free_share(torch.device("cpu")) == expected
