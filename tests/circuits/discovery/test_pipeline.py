"""Runs that are interrupted, and what others start from in the same directory."""

from __future__ import annotations

import multiprocessing
import os
import signal
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from circuits import Discovery
from circuits.components import Receiver
from circuits.discover import run_discovery
from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.kept import WORK_DIRECTORY
from circuits.discovery.store import EXACT_FILE, owner
from circuits.forward import LayeredModel, in_float32
from circuits.model import tokenizer_of
from circuits.model.tokenizers import remember_tokenizer
from circuits.patching import effect_table, path_effects
from circuits.pruning import PruningRule
from circuits.runtime.journal import Journal
from circuits.runtime.progress import Progress
from circuits.search import SelectionRule
from circuits.search.grow import receivers_of
from tests.circuits.conftest import RULE
from tests.circuits.families import tiny_model
from tests.circuits.flops import flops_of_search
from tests.circuits.prompts import word_tokenizer

SWEPT = DiscoveryConfig(
    method="app",
    n_prompts=3,
    n_mean_prompts=6,
    selection=RULE,
    pruning=PruningRule("biggest", 0.2, 0.5, 0.1),
    memory_bytes=60_000,
)
"""One prompt a batch."""
EXACT = replace(SWEPT, method="path-patching", engine="exact")
STRICTER = SelectionRule(threshold=0.8, logits_threshold=0.6, distance="linear")


class StoppedError(Exception):
    pass


def stopping(stage: str, part: float):
    """Progress that raises once a stage has got so far."""

    def progress(name: str, fraction: float) -> None:
        if name == stage and fraction >= part:
            raise StoppedError

    return progress


def known_paths(directory: Path) -> int:
    file = directory / WORK_DIRECTORY / EXACT_FILE
    records = Journal(file, Journal.owner(file)).records if file.exists() else []
    return sum(len(record["senders"]) for record in records)


def same_but_cost(found: Discovery, expected: Discovery) -> bool:
    return replace(found, cost=expected.cost) == expected


@pytest.fixture(scope="module")
def whole(toy):
    return run_discovery(*toy, SWEPT)


@pytest.fixture(scope="module")
def whole_exact(toy):
    return run_discovery(*toy, EXACT)


@dataclass
class Resumed:
    directory: Path
    known: list[int]
    last: Discovery


@pytest.fixture(scope="module")
def resumed(toy, tmp_path_factory) -> Resumed:
    """A run that was interrupted in every stage, and how many exact effects it knew each time."""
    directory, known = tmp_path_factory.mktemp("resumed"), []
    stops = [
        ("means", 0.5),
        ("pruning", 0.4),
        ("patching", 0.1),
        ("patching", 0.4),
        ("patching", 0.85),
        ("evaluation", 0.0),
    ]
    for stage, part in stops:
        with pytest.raises(StoppedError):
            run_discovery(*toy, SWEPT, stopping(stage, part), directory)
        known.append(known_paths(directory))
    return Resumed(directory, known, run_discovery(*toy, SWEPT, directory=directory))


def test_interrupted_again_and_again_it_ends_the_same(resumed, whole) -> None:
    assert whole.verification.verified > 0
    assert same_but_cost(resumed.last, whole)
    assert resumed.known == sorted(resumed.known)
    assert resumed.known[3] == 0 < resumed.known[5]
    assert resumed.last.cost.of("pruning").flops == 0
    assert resumed.last.cost.of("patching").flops == 0
    assert sum(stage.flops for stage in resumed.last.cost.stages) < whole.cost.flops


def test_what_all_processes_took_is_added_up(resumed, whole) -> None:
    cost = resumed.last.cost
    earlier = {stage.stage: stage for stage in cost.earlier}
    assert earlier.keys() == {stage.stage for stage in whole.cost.stages} - {"evaluation"}
    assert earlier["patching"].flops >= whole.cost.of("patching").flops
    assert earlier["pruning"].flops >= whole.cost.of("pruning").flops
    assert cost.flops == sum(stage.flops for stage in (*cost.stages, *cost.earlier))
    assert cost.flops > whole.cost.flops
    assert cost.seconds > sum(stage.seconds for stage in cost.stages)
    assert whole.cost.earlier == ()


def test_batches_that_were_swept_are_not_swept_again(toy, tmp_path, whole) -> None:
    with pytest.raises(StoppedError):
        run_discovery(*toy, SWEPT, stopping("patching", 0.4), tmp_path)
    again = run_discovery(*toy, SWEPT, directory=tmp_path)
    assert same_but_cost(again, whole)
    assert 0 < flops_of_search(again) < flops_of_search(whole)


def test_exact_effects_are_not_measured_again(toy, tmp_path, whole_exact) -> None:
    with pytest.raises(StoppedError):
        run_discovery(*toy, EXACT, stopping("patching", 0.5), tmp_path)
    assert known_paths(tmp_path) >= 12
    again = run_discovery(*toy, EXACT, directory=tmp_path)
    assert same_but_cost(again, whole_exact)
    assert 0 < again.cost.of("patching").flops < whole_exact.cost.of("patching").flops
    last = run_discovery(*toy, EXACT, directory=tmp_path)
    assert same_but_cost(last, whole_exact)
    assert last.cost.of("patching").flops == 0


def test_killed_it_goes_on(toy, tmp_path, whole_exact) -> None:
    """By a signal, at the third receiver, in the middle of a line."""
    heard = []

    def progress(stage: str, fraction: float) -> None:
        heard.append(stage)
        if heard.count("patching") == 5:
            os.kill(os.getpid(), signal.SIGKILL)

    child = multiprocessing.get_context("fork").Process(
        target=run_discovery, args=(*toy, EXACT, progress, tmp_path)
    )
    child.start()
    child.join(60)
    assert child.exitcode == -signal.SIGKILL
    assert known_paths(tmp_path) > 12
    file = tmp_path / WORK_DIRECTORY / EXACT_FILE
    file.write_bytes(file.read_bytes()[:-20])
    again = run_discovery(*toy, EXACT, directory=tmp_path)
    assert same_but_cost(again, whole_exact)
    assert again.cost.of("patching").flops < whole_exact.cost.of("patching").flops
    assert {"behaviour", "means", "pruning"} <= {stage.stage for stage in again.cost.earlier}


def test_another_threshold_starts_from_the_effects_that_are_known(toy, resumed) -> None:
    config = replace(SWEPT, selection=STRICTER)
    alone, after = (
        run_discovery(*toy, config, directory=where) for where in (None, resumed.directory)
    )
    assert same_but_cost(after, alone)
    assert after.cost.of("pruning").flops == 0
    assert after.cost.of("patching").flops < 0.5 * alone.cost.of("patching").flops
    assert after.cost.earlier == (), "what runs by other settings took is theirs"


def test_other_prompts_begin_anew(toy, tmp_path) -> None:
    """And are right, and replace what was there."""
    config = replace(SWEPT, method="path-patching", verify=False, memory_bytes=1 << 30)
    run_discovery(*toy, config, directory=tmp_path)
    before, notes = owner(tmp_path / WORK_DIRECTORY), []
    other = replace(config, seed=1)
    alone = run_discovery(*toy, other)
    after = run_discovery(*toy, other, Progress(notes=notes.append), tmp_path, overwrite=True)
    assert same_but_cost(after, alone)
    assert [cost.flops for cost in after.cost.stages] == [c.flops for c in alone.cost.stages]
    assert "begins anew" in notes[0]
    assert owner(tmp_path / WORK_DIRECTORY) not in (None, before)


def test_low_precision_is_verified_in_float32(toy) -> None:
    """With every path sampled, all effects are those of a float32 copy of the same weights."""
    bridge = tiny_model("gemma3").to(torch.bfloat16)
    remember_tokenizer(bridge, word_tokenizer())
    config = replace(SWEPT, method="path-patching", n_sampled_paths=10**6, memory_bytes=1 << 30)
    task = toy[1]
    found = run_discovery(bridge, task, config)
    pairs = task.sample(tokenizer_of(bridge), n=6, seed=0)[:3]
    swept, precise = effect_table(bridge, pairs), in_float32(LayeredModel.of(bridge))
    assert precise.dtype == torch.float32
    assert LayeredModel.of(bridge).dtype == torch.bfloat16, "the model itself is left alone"
    errors = [0.0]
    receivers = [
        r for r in receivers_of(found.circuit, found.effects.graph) if r != Receiver.logits()
    ]
    assert receivers
    for receiver in receivers:
        exact = path_effects(precise, pairs, receiver)
        torch.testing.assert_close(
            found.effects.effects(receiver), exact, rtol=0, atol=1e-5, equal_nan=True
        )
        errors.append(float((swept.effects(receiver) - exact).nan_to_num().abs().max()))
    assert max(errors) > 1e-3
    assert found.verification.largest_error == pytest.approx(max(errors), rel=1e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_higher_precision_is_left_as_it_is(dtype: torch.dtype) -> None:
    model = LayeredModel.of(tiny_model("llama").to(dtype))
    assert in_float32(model) is model
