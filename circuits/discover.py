"""From a model and a task to a circuit."""

from __future__ import annotations

from pathlib import Path

from circuits.discovery.config import DiscoveryConfig, Engine, Method, PruneBy
from circuits.discovery.result import Discovery
from circuits.discovery.run import STAGES, Announce, Progress, Run
from circuits.discovery.session import Setting
from circuits.forward import TransformerBridge
from circuits.pruning import PruningRule
from circuits.scores import Contrast
from circuits.search.grow import SelectionRule
from circuits.tasks import Task, get_task

__all__ = ["STAGES", "discover_circuit", "run_discovery"]


def discover_circuit(
    model: TransformerBridge,
    task: str | Task,
    *,
    method: Method = "app",
    prune_by: PruneBy = "attribution",
    engine: Engine = "sweep",
    verify: bool = True,
    n_sampled_paths: int = 32,
    n_prompts: int = 16,
    seed: int = 0,
    metric: str = "logit_diff",
    selection: SelectionRule | None = None,
    pruning: PruningRule | None = None,
    contrast: Contrast = "published",
    n_mean_prompts: int = 64,
    memory_bytes: int | None = None,
    ignore_behaviour: bool = False,
    n_templates: int | None = None,
    directory: str | Path | None = None,
    progress: Progress = lambda stage, fraction: None,
) -> Discovery:
    """Find the attention heads, and the paths between them, that carry out a task.

    Accelerated Path Patching (arXiv 2511.05442): prune heads, then grow a circuit from the logits
    downward by the path effects among what is left. The paper prunes by FLAP and Contrastive-FLAP
    merged (`prune_by="merged-flap"`); attribution loses fewer of the heads that path patching of
    the whole model finds.

    Where the prompts do not show that the model does the task (`Behaviour.verdict`), nothing is
    searched for: the circuit is empty, its performance NaN, and `verdict` says why.

    Args:
        model: A TransformerBridge, from `load_model` or your own.
        task: A task's name, or a Task.
        method: "app", "path-patching" (no pruning), or pruning alone: "attribution", "flap",
            "contrastive-flap", "merged-flap".
        prune_by: Which scores "app" prunes by: "attribution", "flap", "contrastive-flap" or
            "merged-flap".
        engine: "sweep" (estimates every path at once), "exact" or "reference".
        verify: Run paths of the sweep exactly whose selection could flip, and a random sample.
        n_sampled_paths: About how many paths that sample has.
        n_prompts: Prompt pairs to discover on.
        seed: Seed of the prompts; the same seed gives the same circuit.
        metric: "logit_diff" or "prob_diff".
        selection: When a sender is kept.
        pruning: How far to prune; without, by the rule that suits the scores.
        contrast: Contrast of Contrastive-FLAP, "published" or "paired".
        n_mean_prompts: Corrupted prompts that mean head outputs are taken over.
        memory_bytes: About how much memory path patching may use beside the model's own; a safe
            share of what is free without.
        ignore_behaviour: Search even where the prompts do not show that the model does the task.
        n_templates: How many of the task's templates prompts are drawn from, by chance of the
            seed; all of them without.
        directory: Where effects are kept as they become known. A discovery that was interrupted
            goes on from there, and another one of the same model and prompts starts from them.
        progress: Called with a stage's name and the fraction of it that is done.

    Raises:
        ValueError: A setting is unknown or out of range (TaskError: the task is).
        UnsupportedModelError: The model's forward pass cannot be run in pieces.

    Warns:
        WeakTaskWarning: The model does not do the task, so that a circuit means little.

    """
    config = DiscoveryConfig(
        method=method,
        prune_by=prune_by,
        engine=engine,
        verify=verify,
        n_sampled_paths=n_sampled_paths,
        n_prompts=n_prompts,
        seed=seed,
        metric=metric,
        selection=selection or SelectionRule(),
        pruning=pruning,
        contrast=contrast,
        n_mean_prompts=n_mean_prompts,
        memory_bytes=memory_bytes,
        ignore_behaviour=ignore_behaviour,
        n_templates=n_templates,
    )
    return run_discovery(model, get_task(task), config, progress, directory)


def run_discovery(
    model: TransformerBridge,
    task: Task,
    config: DiscoveryConfig,
    progress: Progress = lambda stage, fraction: None,
    directory: str | Path | None = None,
    announce: Announce = lambda line: None,
    *,
    resume: bool = False,
) -> Discovery:
    """`discover_circuit` with all settings in one object.

    `announce` hears, before the long part starts, how it is split and about what it will take, and
    that effects of something else in `directory` are replaced. `resume` asks for a run that was
    begun there: ResumeError is raised where none was, or one of another model or other prompts.
    """
    run = Run(Setting.of(model, task, config, directory, resume=resume), progress, announce)
    return run.discover()
