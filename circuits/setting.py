"""What a discovery is about: the model, its prompts, and what is known of them."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from circuits.config import DiscoveryConfig
from circuits.metrics import Metric, get_metric
from circuits.model import LayeredModel, TransformerBridge, check_reproduces, identify
from circuits.result import Provenance, sample_pairs
from circuits.workspace import Workspace, prompt_digest
from tasks import PromptPairs, Task

WORK_DIRECTORY = "work"
_VERSIONED = ("accelerated-path-patching", "torch", "transformer-lens", "transformers")


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

    @classmethod
    def of(
        cls,
        bridge: TransformerBridge,
        task: Task,
        config: DiscoveryConfig,
        directory: str | Path | None = None,
    ) -> Setting:
        """Check the model, sample the prompts, and open the workspace in a run's directory."""
        check_reproduces(bridge)
        layered = LayeredModel.of(bridge)
        pairs, mean_pairs = sample_pairs(bridge, task, config)
        key = {
            "model": identify(bridge).weight_hash,
            "task": task.name,
            "prompts": prompt_digest(pairs),
            "metric": config.metric,
            "engine": "reference" if config.engine == "reference" else "exact",
        }
        work = None if directory is None else Path(directory) / WORK_DIRECTORY
        return cls(bridge, layered, task, config, pairs, mean_pairs, Workspace(layered, key, work))

    @property
    def metric(self) -> Metric:
        """The metric that effects are measured by."""
        return get_metric(self.config.metric)

    @property
    def sizes(self) -> tuple[int, int]:
        """Layers, and heads of a layer."""
        return self.layered.n_layers, self.layered.n_heads

    def provenance(self) -> Provenance:
        """Where a result of this setting came from."""
        versions = {name: metadata.version(name) for name in _VERSIONED}
        versions = {"python": platform.python_version(), **versions}
        return Provenance(identify(self.bridge), self.task.name, versions)
