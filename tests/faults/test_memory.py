"""With too little memory a command does less at once, with the same result, or says so."""

from __future__ import annotations

import json
import resource
from bisect import bisect_left
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from circuits.model.native import word_tokenizer
from tests.faults.child import run
from tests.faults.material import WORDS

_NONE, _PLENTY = 0, 1024
"""Megabytes."""
_STATUS = Path("/proc/self/status")


@pytest.fixture(scope="module")
def wide(tmp_path_factory) -> Path:
    """A model of few weights, whose batch needs more than a process keeps of what it freed."""
    directory = tmp_path_factory.mktemp("wide")
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "intermediate_size": 8192, "num_attention_heads": 16}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(WORDS), num_hidden_layers=4, **sizes))
    model.save_pretrained(directory)
    word_tokenizer(WORDS).save_pretrained(directory)
    return directory


def starved(megabytes: int) -> Callable[[], None]:
    """So much more address space than the process has, and no more."""

    def limit() -> None:
        lines = dict(line.split(":", 1) for line in _STATUS.read_text().splitlines())
        most = (int(lines["VmSize"].split()[0]) << 10) + (megabytes << 20)
        resource.setrlimit(resource.RLIMIT_AS, (most, most))

    return limit


def edges_of(stdout: str) -> dict[tuple[str, str], float]:
    edges = json.loads(stdout)["circuit"]["edges"]
    return {(edge["sender"], edge["receiver"]): edge["effect"] for edge in edges}


@pytest.mark.skipif(not _STATUS.exists(), reason="only Linux says how much there is")
@pytest.mark.filterwarnings("ignore")
def test_a_batch_shrinks_or_what_lacks_is_told(wide, material, is_whole, count):
    command = ["discover", material.tables[0], "--model", wide, "--n-prompts", "20", "--json"]
    command += ["--method", "path-patching", "--ignore-behaviour", "--no-verify"]
    command += ["--memory-budget", "4GB"]
    whole = run(command)
    assert whole.code == 0, whole.stderr
    expected = edges_of(whole.stdout)
    ways = {"ended": 0, "shrank": 0, "told": 0}

    def tried(megabytes: int) -> str:
        ended = run(command, before=starved(megabytes))
        assert ended.code == 0 or ended.is_told, (megabytes, ended)
        if ended.code:
            assert "too little memory" in ended.stderr or "fit in" in ended.stderr, ended
            way = "told"
        else:
            assert edges_of(ended.stdout) == pytest.approx(expected, abs=1e-5)
            way = "shrank" if "memory is too short" in ended.stderr else "ended"
        ways[way] += 1
        return way

    assert (tried(_NONE), tried(_PLENTY)) == ("told", "ended")
    if is_whole:
        # Down to the least that is enough: there a batch has to shrink.
        bisect_left(range(_PLENTY), True, lo=1, key=lambda megabytes: tried(megabytes) != "told")
        assert ways["shrank"], ways
    for way, number in ways.items():
        count(f"memory limits under which a search {way}", number)
