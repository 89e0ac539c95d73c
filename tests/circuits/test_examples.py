"""Every public function and class has an example in its docstring, and the examples run.

They run on a tiny random model whose task is to say what it says. An example may use the names of
its own module, every public name of `circuits` and `tasks`, and what `namespace` gives.
"""

from __future__ import annotations

import doctest
import pickle
from importlib import import_module
from inspect import isclass, isfunction
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

import circuits
import tasks
from circuits import Circuit, EvaluationConfig, discover_circuit, discover_seeds
from circuits.evaluation import Evaluator
from circuits.forward import Activations, LayeredModel
from circuits.metrics import logit_diff
from circuits.model import tokenizer_of
from circuits.patching import EdgeValues
from circuits.tasks.registry import TASKS
from tests.circuits.conftest import RULE, toy_discovery

MODULES = (
    "circuits.components",
    "circuits.graph",
    "circuits.behaviour",
    "circuits.errors",
    "circuits.errors.wording",
    "circuits.runtime.progress",
    "circuits.runtime.registry",
    "circuits.runtime.settings",
    "circuits.runtime.executors",
    "circuits.runtime.workers",
)
"""Public, and no packages."""
OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def packages() -> list[ModuleType]:
    """Every package that says what is public, but for the command line."""
    stubs = sorted(Path(circuits.__path__[0]).rglob("__init__.pyi"))
    root = Path(circuits.__path__[0]).parent
    names = (".".join(stub.parent.relative_to(root).parts) for stub in stubs)
    return [import_module(name) for name in (*names, "tasks")]


def public() -> dict[str, Any]:
    """Public functions and classes of ours, each once, by where they are defined."""
    found: dict[str, Any] = {}
    for module in packages():
        found |= {_place(thing): thing for thing in _ours(module, module.__all__)}
    for module in map(import_module, MODULES):
        names = [name for name in vars(module) if not name.startswith("_")]
        own = (t for t in _ours(module, names) if t.__module__ == module.__name__)
        found |= {_place(thing): thing for thing in own}
    return dict(sorted(found.items()))


def _ours(module: ModuleType, names: list[str]) -> list[Any]:
    things = (getattr(module, name) for name in names)
    return [t for t in things if (isclass(t) or isfunction(t)) and _is_ours(t)]


def _is_ours(thing: Any) -> bool:
    return thing.__module__.partition(".")[0] == "circuits"


def _place(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"


PUBLIC = public()


@pytest.fixture(scope="module")
def namespace(toy, tiny, tmp_path_factory):
    """What examples may use without saying where it comes from."""
    model, task = toy
    pairs = task.sample(tokenizer_of(model), n=4, seed=0)
    found = toy_discovery(model, task)
    run = tmp_path_factory.mktemp("runs") / "toy"
    found.save(run)
    quick = EvaluationConfig(prompts="discovery", n_resamples=20)
    study = discover_seeds(model, task, seeds=2, config=found.config)
    return {
        "model": model,
        "layered": LayeredModel.of(model),
        "tokenizer": tokenizer_of(model),
        "task": task,
        "pairs": pairs,
        "rule": RULE,
        "found": found,
        "config": found.config,
        "circuit": found.circuit,
        "other": Circuit.of_heads(["0.0", "2.1"], 3, 4),
        "effects": found.effects,
        "scores": found.scores["attribution"],
        "graph": found.effects.graph,
        "metric": logit_diff,
        "scored": scored(model),
        "activations": Activations(model, pairs),
        "evaluator": Evaluator(model, pairs),
        "evaluation": found.evaluate(model, task, quick),
        "study": study,
        "run": run,
        "checkpoint": tiny,
        "directory": tmp_path_factory.mktemp("new"),
        "torch": torch,
        "pickle": pickle,
        "discover_circuit": discover_circuit,
    }


def scored(model) -> EdgeValues:
    """Invented ones, of all edges where MLPs are nodes."""
    scores = EdgeValues.unknown(LayeredModel.of(model).graph("nodes"))
    draw = torch.Generator().manual_seed(0)
    for receiver in scores.graph.receivers:
        scores.into(receiver).normal_(generator=draw)
    return scores


@pytest.fixture(autouse=True)
def tasks_as_they_were(monkeypatch):
    """What an example registers is gone when it ends."""
    monkeypatch.setattr(TASKS, "_registered", dict(TASKS._registered))


@pytest.mark.parametrize("place", PUBLIC)
def test_it_has_an_example(place):
    assert ">>>" in (PUBLIC[place].__doc__ or ""), f"{place} has no example in its docstring"


@pytest.mark.parametrize("place", PUBLIC)
def test_its_examples_run(place, namespace):
    thing = PUBLIC[place]
    module = import_module(thing.__module__)
    names = {
        name: getattr(package, name) for package in (circuits, tasks) for name in package.__all__
    }
    globs = {**names, **vars(module), **namespace}
    test = doctest.DocTestParser().get_doctest(thing.__doc__ or "", globs, place, None, None)
    report: list[str] = []
    doctest.DocTestRunner(optionflags=OPTIONS).run(test, out=report.append, clear_globs=False)
    assert not report, "".join(report)
