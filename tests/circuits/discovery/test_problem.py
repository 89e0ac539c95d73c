"""Questions and jobs as data: pickled, opened elsewhere, run in another process."""

from __future__ import annotations

import gc
import multiprocessing
import pickle
import subprocess
import sys
import warnings
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from circuits import Discovery, discover_circuit
from circuits.behaviour import WeakTaskWarning
from circuits.discovery import DiscoveryConfig, Job, Problem, Session
from circuits.discovery.origin import remember_task, task_of
from circuits.discovery.pipeline import Pipeline
from circuits.discovery.problem import differences
from circuits.errors import MismatchError
from circuits.model import load_model
from circuits.search import SelectionRule
from circuits.tasks import get_task
from tests.circuits.conftest import toy_discovery
from tests.circuits.prompts import ToyTask

SETTINGS = {
    "method": "app",
    "n_prompts": 3,
    "n_mean_prompts": 4,
    "n_sampled_paths": 2,
    "selection": SelectionRule(threshold=0.5, logits_threshold=0.5, min_effect=0.0),
    "ignore_behaviour": True,
}


@pytest.fixture(scope="module")
def model(tiny):
    return load_model(tiny)


@pytest.fixture(scope="module")
def problem(model) -> Problem:
    return Session.of(model, get_task("ioi"), DiscoveryConfig(**SETTINGS)).problem


@pytest.fixture(scope="module")
def here(model) -> Discovery:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", WeakTaskWarning)
        return discover_circuit(model, "ioi", **SETTINGS)


@pytest.fixture(scope="module")
def there(problem, tmp_path_factory) -> Path:
    """The same, found by a process that is started anew."""
    job = Job(problem, tmp_path_factory.mktemp("runs") / "ioi")
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        assert pool.submit(job).result(timeout=300) == job.directory
    return job.directory


def same_but_cost(found: Discovery, expected: Discovery) -> bool:
    return replace(found, cost=expected.cost) == expected


def test_both_pickle(problem, tmp_path) -> None:
    job = Job(problem, tmp_path)
    again = pickle.loads(pickle.dumps(job))
    assert again == job
    assert again.problem.key == problem.key
    assert hash(again) == hash(job)


def test_a_job_in_another_process_finds_the_same(problem, here, there) -> None:
    found = Discovery.load(there)
    assert same_but_cost(found, here)
    assert 0 < len(found.circuit) < 8
    assert found.circuit.edges
    assert found.verification is not None
    assert [stage.flops for stage in found.cost.stages] == [s.flops for s in here.cost.stages]
    assert found.config == problem.config
    assert found.provenance == problem.provenance()


def test_what_it_found_is_not_found_again(problem, there, monkeypatch) -> None:
    before = {path: path.read_bytes() for path in there.rglob("*.*")}
    monkeypatch.setattr(Pipeline, "__init__", lambda *_: pytest.fail("began a run"))
    assert Job(problem, there)() == there
    assert len(before) > 4
    assert {path: path.read_bytes() for path in there.rglob("*.*")} == before


def test_other_settings_are_found_from_the_effects_that_are_there(problem, here, there) -> None:
    config = replace(problem.config, memory_bytes=10**9)
    with pytest.warns(WeakTaskWarning):
        Job(replace(problem, config=config), there)()
    found = Discovery.load(there)
    assert found.circuit == here.circuit
    assert found.config == config
    assert found.cost.of("patching").flops == 0


def test_a_problem_opens_only_where_it_is_the_same(problem, model, tmp_path) -> None:
    session = Session.open(problem)
    assert session.bridge is model, "the one in use"
    assert session.problem == problem
    with pytest.raises(MismatchError, match="the prompts of ioi are not those of the problem"):
        Job(replace(problem, prompts="0" * 32), tmp_path)()
    others = replace(problem.model, weight_hash="0" * 32)
    with pytest.raises(MismatchError, match="with weights 000000000000"):
        Job(replace(problem, model=others), tmp_path)()
    assert list(tmp_path.iterdir()) == []


def test_a_task_in_use_needs_no_name(toy, tmp_path) -> None:
    bridge, task = toy
    found = toy_discovery(bridge, task)
    problem = Session.of(bridge, task, found.config).problem
    assert (problem.task, problem.task_name, problem.task_digest) == ("toy", "toy", None)
    Job(problem, tmp_path)()
    assert same_but_cost(Discovery.load(tmp_path), found)


def test_a_twin_that_is_gone_takes_no_task_with_it(toy) -> None:
    class Unregistered(ToyTask):
        name = "unregistered"

    task, twin = Unregistered(toy[0]), Unregistered(toy[0])
    remember_task(task)
    remember_task(twin)
    del twin
    gc.collect()
    assert task_of("unregistered", None) is task


def test_the_key_is_what_effects_depend_on(problem, model, toy) -> None:
    task, config = get_task("ioi"), problem.config
    harmless = {"selection": SelectionRule(), "memory_bytes": 10**8, "search": "top-n", "seed": 0}
    assert Session.of(model, task, replace(config, **harmless)).problem.key == problem.key
    for name, value, words in [
        ("seed", 1, "other prompts"),
        ("n_prompts", 2, "other prompts"),
        ("metric", "prob_diff", "another metric"),
        ("engine", "reference", "another engine"),
    ]:
        key = Session.of(model, task, replace(config, **{name: value})).problem.key
        assert key != problem.key
        assert words in differences(key, problem.key)
    bridge, _ = toy
    other = Session.of(bridge, ToyTask(bridge), config).problem
    assert differences(other.key, problem.key).startswith("another task, other model weights")
    assert differences({"other": 1, **problem.key}, problem.key) == "another format"


def test_loading_a_run_loads_no_model(there) -> None:
    code = (
        "import gc\n"
        "from circuits import Discovery\n"
        f"found = Discovery.load({str(there)!r})\n"
        "from transformer_lens.model_bridge import TransformerBridge\n"
        "assert found.circuit.heads and found.effects is not None\n"
        "assert not any(type(one) is TransformerBridge for one in gc.get_objects())\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=300)
