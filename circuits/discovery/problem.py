"""What is asked: which circuit, of which model, on which prompts. Pickles, and opens anywhere."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from circuits.discovery.config import DiscoveryConfig
from circuits.model.identity import ModelIdentity
from circuits.runtime.lock import only_user
from circuits.runtime.progress import SILENT, Progress

_VERSIONED = ("accelerated-path-patching", "torch", "transformer-lens", "transformers")
_KEY_PARTS = {
    "task": "another task",
    "rows": "other contents of the task's file",
    "model": "other model weights or dtype",
    "prompts": "other prompts (number, seed or words)",
    "metric": "another metric",
    "engine": "another engine",
    "mlps": "other nodes (mlps)",
    "positions": "edges at other positions (positions)",
}


def installed_versions() -> dict[str, str]:
    """Of the packages that decide what is computed.

    >>> sorted(installed_versions())
    ['accelerated-path-patching', 'torch', 'transformer-lens', 'transformers']
    """
    return {name: metadata.version(name) for name in _VERSIONED}


@dataclass(frozen=True)
class Provenance:
    """Where a result came from: model, task, and the versions of what computed it.

    Attributes:
        model: Name, shape and weight hash.
        task: What `get_task` takes to give the task: its name, or where its rows are.
        versions: By package.
        task_digest: A hash of the task's rows, where they were read from somewhere.

    >>> found.provenance.model.name, found.provenance.task
    ('tiny-gemma3', 'toy')
    >>> sorted(found.provenance.versions)
    ['accelerated-path-patching', 'python', 'torch', 'transformer-lens', 'transformers']
    """

    model: ModelIdentity
    task: str
    versions: dict[str, str]
    task_digest: str | None = None


@dataclass(frozen=True)
class Problem:
    """A question that a discovery answers.

    Attributes:
        model: Name, shape and weight hash.
        task: What `get_task` takes to give the task: its name, or where its rows are.
        task_name: The task's name.
        task_digest: A hash of the task's rows, where they were read from somewhere.
        prompts: A hash of the prompts.
        exact_engine: What measures exact effects.
        config: Every setting.

    >>> from circuits.discovery import Session
    >>> problem = Session.of(layered, task, config).problem
    >>> sorted(problem.key)  # no threshold among them: effects are known for any
    ['engine', 'metric', 'model', 'prompts', 'task']
    """

    model: ModelIdentity
    task: str
    task_name: str
    task_digest: str | None
    prompts: str
    exact_engine: str
    config: DiscoveryConfig

    @property
    def key(self) -> dict[str, Any]:
        """All that effects depend on; no threshold changes one."""
        key = {
            "model": self.model.weight_hash,
            "task": self.task_name,
            "prompts": self.prompts,
            "metric": self.config.metric,
            "engine": self.exact_engine,
        }
        if self.config.has_mlps:
            key["mlps"] = self.config.mlps
        if self.config.positions == "spans":
            key["positions"] = self.config.positions
        # Means are over more rows of a file than the prompts are.
        return key if self.task_digest is None else {**key, "rows": self.task_digest}

    @property
    def pruning_key(self) -> dict[str, Any]:
        """What prunings depend on beside `key`."""
        config = self.config
        return {
            "means": config.n_mean_prompts,
            "rule": asdict(config.pruning_rule),
            "contrast": config.contrast,
            "names": config.scorers,
        }

    @property
    def ranking_key(self) -> dict[str, Any]:
        """What rankings depend on beside `key`: of a short table, means are over what is left."""
        config = self.config
        others = config.n_validation_prompts, config.n_held_out_prompts
        return {"means": config.n_mean_prompts, "keep": config.keep, "others": others}

    def provenance(self) -> Provenance:
        """Where an answer that is found now comes from."""
        versions = {"python": platform.python_version(), **installed_versions()}
        return Provenance(self.model, self.task, versions, self.task_digest)


@dataclass(frozen=True)
class Job:
    """A discovery as a function that can be sent to another process.

    Called, it loads the model, discovers, and saves. `Workers` runs many.

    Attributes:
        problem: What to discover.
        directory: Where to save it.

    >>> from circuits.discovery import Session
    >>> job = Job(Session.of(layered, task, config).problem, directory / "toy")
    >>> pickle.loads(pickle.dumps(job)) == job
    True
    """

    problem: Problem
    directory: Path

    def __call__(self, progress: Progress = SILENT) -> Path:
        """Load the model, discover, and save; what the directory holds already is not done again.

        Args:
            progress: Hears which fraction of all of it is done.

        Raises:
            MismatchError: The model's weights, or the rows of the task, are others here.
            CircuitsError: As `load_model` and `discover_circuit` raise it.

        """
        from circuits.discovery.finish import finish
        from circuits.discovery.session import Session

        with only_user(self.directory):
            finish(Session.open(self.problem, self.directory), progress)
        return self.directory


def differences(there: Mapping[str, Any], key: Mapping[str, Any]) -> str:
    """In words, what effects were kept of that is not what is asked for now."""
    if not there:
        return "a beginning that cannot be read"
    parts = [words for name, words in _KEY_PARTS.items() if there.get(name) != key.get(name)]
    return ", ".join(parts) or "another format"
