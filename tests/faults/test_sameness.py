"""The same question gives the same circuit: over repeats, threads and how much is done at once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from circuits import Discovery
from tests.circuits.cli.command_line import circuits
from tests.faults.material import FEW, SEARCH

FILES = ("circuit.json", "tensors.safetensors")
ROUNDING = 1e-5
WAYS = {
    "again": (),
    "two threads": ("--threads", "2"),
    "four threads": ("--threads", "4"),
    "prompt by prompt": ("--memory-budget", "1"),
    "a few prompts": ("--memory-budget", "20kB"),
}
METHODS = {
    "app": SEARCH,
    "exact": (*FEW, "--method", "path-patching", "--engine", "exact", "--ignore-behaviour"),
    "in-context": (
        *("--n-prompts", "6", "--validation-prompts", "4", "--held-out-prompts", "4"),
        *("--n-mean-prompts", "8", "--ignore-behaviour"),
    ),
    "significance": (
        *(*SEARCH, "--n-prompts", "8", "--n-mean-prompts", "8"),
        *("--rule", "significance", "--false-discovery-rate", "0.9"),
    ),
    "top-n": (*SEARCH, "--search", "top-n", "--n-edges", "9"),
}
_FAST = ("app", "in-context")
"""The others are left to `make faults`."""


def searched(material, method, out: Path, *more) -> Path:
    model = ("--model", material.model, *METHODS[method])
    threads = () if "--threads" in more else ("--threads", "1")
    result = circuits("discover", material.tables[0], *model, *threads, *more, "--out", out)
    assert result.exit_code == 0, result.output
    return out


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("method", METHODS)
def test_circuits_are_the_same(method, material, is_whole, count, tmp_path):
    if not is_whole and method not in _FAST:
        pytest.skip("no part of the fast share")
    first = searched(material, method, tmp_path / "first")
    found = Discovery.load(first)
    for way, options in WAYS.items():
        if not is_whole and way not in ("again", "prompt by prompt"):
            continue
        other = searched(material, method, tmp_path / way, *options)
        again = Discovery.load(other)
        assert again.circuit.heads == found.circuit.heads, way
        assert again.circuit.connections == found.circuit.connections, way
        torch.testing.assert_close(
            again.effects.values, found.effects.values, rtol=0, atol=ROUNDING, equal_nan=True
        )
        if not options:
            assert all((other / n).read_bytes() == (first / n).read_bytes() for n in FILES)
        count("circuits compared over repeats, threads and batch sizes", 1)
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
