"""Killed at any moment and run again, every command ends with what it would have ended with."""

from __future__ import annotations

import json
import os
import shutil
import signal
import time
from functools import cache
from pathlib import Path
from random import Random
from typing import Any

import pytest

from circuits import Discovery
from circuits.model import default_weights as weights
from circuits.model.default_weights import default_model_directory
from tests.circuits.cli.command_line import start
from tests.circuits.model.test_default_weights import pip_calls, wheel  # noqa: F401
from tests.faults.child import run
from tests.faults.material import SEARCH

N_KILLS, N_KILLS_OF_DOWNLOADS = 54, 6
_PARTS, _FAST = 6, 3
_MOST_ATTEMPTS = 20
_IN_CONTEXT = (
    *("--n-prompts", "4", "--validation-prompts", "2", "--held-out-prompts", "2"),
    *("--n-mean-prompts", "4", "--ignore-behaviour"),
)
_SPLIT = ("--memory-budget", "1")
Commands = dict[str, tuple[list[Any], Path]]


def commands(material, place: Path) -> Commands:
    """Every command that writes, and what it writes last."""
    given, to, copied = (material.tables[0], "--model", material.model), place / "run", place / "a"
    out, few = ("--out", to), ("--n-prompts", "3", "--ignore-behaviour")
    files = {name: place / name for name in ("c.dot", "c.json", "t.csv")}
    return {
        "discover": (["discover", *given, *SEARCH, *_SPLIT, *out], to),
        "in-context": (["discover", *given, *_IN_CONTEXT, *out], to),
        "exact": (["discover", *given, *SEARCH, "--engine", "exact", *out], to),
        "grid": (["grid", *given, *few, *out], to),
        "study": (["study", *given, *few, "--trials", "3", *out], to),
        "seeds": (["seeds", *given, *SEARCH, "--seeds", "2", *out], to / "seed-1"),
        "evaluate": (
            ["evaluate", copied, "--n-prompts", "2", "--resamples", "2"],
            copied / "evaluation.json",
        ),
        "report": (["report", copied], copied / "report.html"),
        "export": (["export", copied, "--out", files["c.dot"]], files["c.dot"]),
        "import": (["import", material.circuits[0], "--out", files["c.json"]], files["c.json"]),
        "tasks export": (
            ["tasks", "export", *given, "--n-prompts", "4", "--out", files["t.csv"]],
            files["t.csv"],
        ),
    }


def result_of(path: Path) -> object:
    """What a command found, without the times in it."""
    if path.is_dir():
        found = Discovery.load(path)
        return found.circuit.to_dict(), found.performance, found.config
    if path.name == "evaluation.json":
        return json.loads(path.read_text())
    # A page has the place of its run in it.
    return path.suffix if path.suffix == ".html" else path.read_bytes()


def prepared(material, place: Path) -> Commands:
    """The commands in a place of their own, where there is a run that may be changed."""
    place.mkdir(exist_ok=True)
    shutil.copytree(material.run, place / "a")
    (place / "a" / "evaluation.json").unlink()
    return commands(material, place)


@pytest.fixture(scope="module")
def whole(material, tmp_path_factory):
    """Of a command: how long it takes where it is not killed, and what it finds."""

    @cache
    def of(name: str) -> tuple[float, object]:
        arguments, last = prepared(material, tmp_path_factory.mktemp("whole"))[name]
        ended = run(arguments)
        assert ended.code == 0, ended.stderr
        return ended.seconds, result_of(last)

    return of


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("part", range(_PARTS))
def test_killed_and_run_again_it_finds_the_same(part, material, whole, is_whole, count, tmp_path):
    names = list(commands(material, tmp_path))
    numbers = range(part, N_KILLS if is_whole else _FAST, _PARTS)
    for number in numbers:
        name, random = names[number % len(names)], Random(number)
        seconds, found = whole(name)
        for attempt in range(_MOST_ATTEMPTS):
            arguments, last = prepared(material, tmp_path / f"{number}-{attempt}")[name]
            ended = run(arguments, killed_after=random.uniform(0, seconds))
            again = run(arguments)
            assert again.code == 0, (name, again.stderr)
            assert result_of(last) == found, name
            if ended.code == -signal.SIGKILL:
                break
        else:
            pytest.fail(f"{name} was never killed: it ended earlier each time")
    count("kills of commands, each run again with the same result", len(numbers))


def test_a_first_download_that_is_killed_begins_anew(
    is_whole,
    count,
    tmp_path,
    monkeypatch,
    pip_calls,  # noqa: F811
):
    """pip and the conversion are stood in for; the conversion stays for a while half done."""
    convert, cache = weights._convert, tmp_path / "cache"

    def slowly(gguf: Path, ready: Path) -> None:
        convert(gguf, ready)
        (ready / "config.json").write_text("{")
        time.sleep(0.3)
        (ready / "config.json").write_text("{}")

    monkeypatch.setattr(weights, "_convert", slowly)
    n_killed = 0
    for number in range(N_KILLS_OF_DOWNLOADS if is_whole else 2):
        child = start(lambda: default_model_directory(cache))
        time.sleep(Random(number).uniform(0, 0.35))
        os.kill(child, signal.SIGKILL)
        n_killed += os.WIFSIGNALED(os.waitpid(child, 0)[1])
        ready = cache / "smollm2-135m"
        assert not ready.exists() or weights._is_intact(ready, check_weights=True)
    assert weights._is_intact(default_model_directory(cache), check_weights=True)
    assert not [path for path in cache.iterdir() if "build" in path.name]
    count("kills of a first download", n_killed)
