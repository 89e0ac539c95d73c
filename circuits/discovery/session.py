"""What a discovery is about: the model, its prompts, and what is known of them."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.result import Discovery, Provenance, sample_pairs
from circuits.discovery.store import Workspace, owner, prompt_digest
from circuits.forward import LayeredModel, TransformerBridge
from circuits.metrics import Metric, get_metric
from circuits.model import check_reproduces, identify
from circuits.tasks import PromptPairs, Task

WORK_DIRECTORY = "work"
_VERSIONED = ("accelerated-path-patching", "torch", "transformer-lens", "transformers")
_KEY_PARTS = {
    "task": "another task",
    "rows": "other contents of the task's file",
    "model": "other model weights or dtype",
    "prompts": "other prompts (number, seed or words)",
    "metric": "another metric",
    "engine": "another engine",
}


class ResumeError(ValueError):
    """A run was to be gone on with that is not there, or that is about something else."""


@dataclass(frozen=True, eq=False)
class Setting:
    """A model, the prompts of a task, and the workspace of both."""

    bridge: TransformerBridge
    layered: LayeredModel
    task: Task
    config: DiscoveryConfig
    pairs: PromptPairs
    mean_pairs: PromptPairs
    workspace: Workspace
    replaced: str | None = None
    """What the directory holds that is about something else, in words; it will be replaced."""
    continues: bool = False
    """Whether the directory holds effects of just this."""

    @classmethod
    def of(
        cls,
        model: TransformerBridge | LayeredModel,
        task: Task,
        config: DiscoveryConfig,
        directory: str | Path | None = None,
        *,
        resume: bool = False,
    ) -> Setting:
        """Check the model, sample the prompts, and open the workspace in a run's directory.

        A model in pieces is taken as checked, so that many settings can share it. With `resume`
        the directory must hold a run of just this. Raises ResumeError.
        """
        if resume:
            check_begun(directory)
        layered = model if isinstance(model, LayeredModel) else checked(model)
        bridge = layered.bridge
        pairs, mean_pairs = sample_pairs(bridge, task, config)
        key = {
            "model": identify(bridge).weight_hash,
            "task": task.name,
            "prompts": prompt_digest(pairs),
            "metric": config.metric,
            "engine": _exact_engine(config, layered),
        }
        # Means are over more rows of a file than the prompts are.
        key |= {} if task.digest is None else {"rows": task.digest}
        work = None if directory is None else Path(directory) / WORK_DIRECTORY
        there = None if work is None else owner(work)
        replaced = None if there in (None, key) else _differences(there, key)
        if resume and replaced is not None:
            raise ResumeError(
                f"asked to resume the run in {directory}, but it has {replaced}: give the "
                "settings it was begun with, name another directory, or begin anew without resume"
            )
        workspace = Workspace(layered, key, work)
        return cls(
            bridge, layered, task, config, pairs, mean_pairs, workspace, replaced, there == key
        )

    @property
    def metric(self) -> Metric:
        """The metric that effects are measured by."""
        return get_metric(self.config.metric)

    @property
    def sizes(self) -> tuple[int, int]:
        """Layers, and heads of a layer."""
        return self.layered.n_layers, self.layered.n_heads

    def saved_in(self, directory: Path) -> Discovery | None:
        """The finished discovery of just this setting that a directory holds, if it holds one."""
        try:
            found = Discovery.load(directory) if self.continues else None
        except (OSError, ValueError):
            return None
        if found is None or (found.config, found.provenance) != (self.config, self.provenance()):
            return None
        return replace(found, task=self.task)

    def provenance(self) -> Provenance:
        """Where a result of this setting came from."""
        versions = {name: metadata.version(name) for name in _VERSIONED}
        versions = {"python": platform.python_version(), **versions}
        task = self.task.spec or self.task.name
        return Provenance(identify(self.bridge), task, versions, self.task.digest)


def checked(bridge: TransformerBridge) -> LayeredModel:
    """A model in pieces. Raises UnsupportedModelError where these do not reproduce it."""
    check_reproduces(bridge)
    return LayeredModel.of(bridge)


def is_begun(directory: str | Path) -> bool:
    """Whether a directory holds something that a run can go on from."""
    return owner(Path(directory) / WORK_DIRECTORY) is not None


def check_begun(directory: str | Path | None) -> None:
    """Raise ResumeError where a directory holds no begun run."""
    if directory is None:
        raise ResumeError(
            "asked to resume a run without the directory it is in: name the directory it was begun "
            "in, or begin one without resume"
        )
    if not is_begun(directory):
        what = "holds no begun run" if Path(directory).is_dir() else "is no directory"
        raise ResumeError(
            f"asked to resume the run in {directory}, which {what}: name the directory it was "
            "begun in, or begin one without resume"
        )


def _exact_engine(config: DiscoveryConfig, model: LayeredModel) -> str:
    """What measures exact effects; a model in lower precision is verified in float32."""
    if config.engine == "reference":
        return "reference"
    lower = model.dtype.itemsize < torch.float32.itemsize
    return "exact in float32" if lower and config.engine == "sweep" else "exact"


def _differences(there: Mapping[str, Any], key: Mapping[str, Any]) -> str:
    """In words, what a workspace was begun with that is not what is asked for now."""
    parts = [words for name, words in _KEY_PARTS.items() if there.get(name) != key.get(name)]
    return ", ".join(parts) or "another format"
