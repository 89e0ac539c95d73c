"""From a model and a task to a circuit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.kept import Kept
from circuits.discovery.named import read_settings
from circuits.discovery.pipeline import Pipeline
from circuits.discovery.result import Discovery
from circuits.discovery.session import Session
from circuits.forward import TransformerBridge
from circuits.metrics import metric_name
from circuits.runtime.progress import Progress, Stage
from circuits.runtime.settings import takes_settings
from circuits.runtime.workers import Workers
from circuits.tasks import Task, get_task


@takes_settings(DiscoveryConfig)
def discover_circuit(
    model: TransformerBridge,
    task: str | Task,
    *,
    directory: str | Path | None = None,
    workers: Workers | None = None,
    progress: Progress | Stage | None = None,
    overwrite: bool = False,
    **settings: Any,
) -> Discovery:
    """Find the attention heads, and the paths between them, that carry out a task.

    Heads are ranked by what they add in the company they keep, and the smallest set that keeps
    `keep` percent of the metric, on prompts beside those of the search, is chosen; its paths are
    patched. `performance` is on prompts that neither search nor choice has seen.

    `keep=None`, or `method="app"`, is Accelerated Path Patching (arXiv 2511.05442): prune heads,
    then grow a circuit downward by the path effects among what is left. The paper prunes by
    `prune_by="merged-flap"`; attribution loses fewer of the heads that path patching finds.

    Where the prompts do not show that the model does the task (`Behaviour.verdict`), nothing is
    searched for: the circuit is empty, its performance NaN, and `verdict` says why.

    Args:
        model: A TransformerBridge, from `load_model` or your own.
        task: A task's name, or a Task.
        directory: Where effects are kept as they become known: an interrupted discovery, or
            another one of the same model and prompts, goes on from there.
        workers: Who take part (docs/workers.md); they need a directory.
        overwrite: Whether to replace what `directory` holds of another task, model or prompts.
        progress: A `Progress`, or a function of a stage's name and the fraction of it that is done.
        settings: Every setting of `DiscoveryConfig`, by name; `metric` may be a function.

    Raises:
        SettingError: A setting is unknown or out of range, or the method has no use for it.
        TaskError: The task is unknown, or cannot give so many prompts.
        UnsupportedModelError: The model's forward pass cannot be run in pieces.
        OverwriteError, BusyError: `directory` holds something else, or is in use.

    Warns:
        WeakTaskWarning: The model does not do the task well, so that a circuit means little.
        FewPromptsWarning: The task leaves fewer prompts to choose by, and to report on, than asked.

    >>> few = {"n_prompts": 4, "n_mean_prompts": 4}
    >>> found = discover_circuit(model, task, method="app", selection=rule, **few)
    >>> print(max(found.circuit.edges, key=lambda edge: abs(edge.effect)).connection)
    1.2 -> logits
    """
    given = model, get_task(task), _config(settings), progress, directory
    return run_discovery(*given, workers=workers, overwrite=overwrite)


def run_discovery(
    model: TransformerBridge,
    task: Task,
    config: DiscoveryConfig,
    progress: Progress | Stage | None = None,
    directory: str | Path | None = None,
    *,
    workers: Workers | None = None,
    resume: bool = False,
    overwrite: bool = False,
) -> Discovery:
    """`discover_circuit` with all settings in one object.

    `resume` asks for a run that was begun in `directory`: ResumeError is raised where none was, or
    one of another model or other prompts.
    """
    kept = Kept(directory, (), resume, overwrite)
    with Session.at_work(model, task, config, kept, workers) as session:
        return Pipeline(session, Progress.of(progress)).discover()


def _config(settings: Mapping[str, Any]) -> DiscoveryConfig:
    given = dict(settings)
    if "metric" in given:
        given["metric"] = metric_name(given["metric"])
    if given.get("selection", ...) is None:
        del given["selection"]
    return read_settings(given)
