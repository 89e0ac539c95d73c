"""From a model and a task to a circuit."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Callable, Sequence
from importlib import metadata

from jaxtyping import Float
from torch import Tensor

from circuits.behaviour import Behaviour, WeakTaskWarning, measure_behaviour
from circuits.circuit import Circuit
from circuits.components import Head, Receiver
from circuits.config import DiscoveryConfig, Engine, Method
from circuits.cost import Cost, CostMeter
from circuits.evaluation import Evaluator
from circuits.metrics import get_metric
from circuits.model import LayeredModel, TransformerBridge, check_reproduces, identify, paired_runs
from circuits.patching import EffectTable
from circuits.patching.memory import DEFAULT_MEMORY_BYTES
from circuits.patching.paths import ReceiverEffects, effect_table
from circuits.pruning import Pruning, PruningRule, prune
from circuits.result import Discovery, Provenance, merged_candidates, sample_pairs
from circuits.scores import Contrast, HeadStatistics, Statistic
from circuits.search import SelectionRule, grow
from tasks import PromptPairs, Task, get_task

Progress = Callable[[str, float], None]
STAGES = ("behaviour", "means", "pruning", "patching", "evaluation")
_SCORES: dict[str, Statistic] = {"flap": "WIFV", "contrastive-flap": "WIFN"}
_VERSIONED = ("accelerated-path-patching", "torch", "transformer-lens", "transformers")


def discover_circuit(
    model: TransformerBridge,
    task: str | Task,
    *,
    method: Method = "app",
    engine: Engine = "sweep",
    n_prompts: int = 16,
    seed: int = 0,
    metric: str = "logit_diff",
    selection: SelectionRule | None = None,
    pruning: PruningRule | None = None,
    contrast: Contrast = "published",
    n_mean_prompts: int = 64,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    progress: Progress = lambda stage, fraction: None,
) -> Discovery:
    """Find the attention heads, and the paths between them, that carry out a task.

    Accelerated Path Patching (arXiv 2511.05442): prune heads by FLAP and Contrastive-FLAP, then
    grow a circuit from the logits downward by the path effects among what is left.

    Args:
        model: A TransformerBridge, from `load_model` or your own.
        task: A task's name, or a Task.
        method: "app", "path-patching" (no pruning), or pruning alone: "flap",
            "contrastive-flap", "merged-flap".
        engine: "sweep" (estimates every path at once), "exact" or "reference".
        n_prompts: Prompt pairs to discover on.
        seed: Seed of the prompts; the same seed gives the same circuit.
        metric: "logit_diff" or "prob_diff".
        selection: When a sender is kept.
        pruning: How far to prune.
        contrast: Contrast of Contrastive-FLAP, "published" or "paired".
        n_mean_prompts: Corrupted prompts that mean head outputs are taken over.
        memory_bytes: About how much memory path patching may use beside the model's own.
        progress: Called with a stage's name and the fraction of it that is done.

    Raises:
        ValueError: A setting is unknown or out of range (TaskError: the task is).
        UnsupportedModelError: The model's forward pass cannot be run in pieces.

    Warns:
        WeakTaskWarning: The model does not do the task, so that a circuit means little.

    """
    config = DiscoveryConfig(
        method=method,
        engine=engine,
        n_prompts=n_prompts,
        seed=seed,
        metric=metric,
        selection=selection or SelectionRule(),
        pruning=pruning or PruningRule(),
        contrast=contrast,
        n_mean_prompts=n_mean_prompts,
        memory_bytes=memory_bytes,
    )
    return run_discovery(model, get_task(task), config, progress)


def run_discovery(
    model: TransformerBridge,
    task: Task,
    config: DiscoveryConfig,
    progress: Progress = lambda stage, fraction: None,
) -> Discovery:
    """`discover_circuit` with all settings in one object."""
    check_reproduces(model)
    layered, metric, meter = LayeredModel.of(model), get_metric(config.metric), CostMeter(progress)
    pairs, mean_pairs = sample_pairs(model, task, config)
    with meter.stage("behaviour") as report:
        behaviour = measure_behaviour(model, pairs, metric, progress=report)
    _warn_if_weak(behaviour, task)
    with meter.stage("means") as report:
        evaluator = Evaluator(layered, pairs, mean_pairs, metric, report)
    with meter.stage("pruning") as report:
        prunings, scores = _prune(layered, pairs, evaluator, config, report)
    with meter.stage("patching") as report:
        circuit, effects = _patch(layered, pairs, prunings, config, report)
    with meter.stage("evaluation"):
        performance = evaluator.performance(circuit.heads)
    return Discovery(
        circuit=circuit,
        performance=performance,
        behaviour=behaviour,
        prunings=prunings,
        scores=scores,
        effects=effects,
        cost=Cost(tuple(meter.stages), meter.stages[0].flops // 2),
        config=config,
        provenance=Provenance(identify(model), task.name, _versions()),
        evaluator=evaluator,
    )


def _prune(
    model: LayeredModel,
    pairs: PromptPairs,
    evaluator: Evaluator,
    config: DiscoveryConfig,
    report: Callable[[float], None],
) -> tuple[dict[str, Pruning], dict[str, Float[Tensor, "layer head"]]]:
    names = config.pruning_names
    if not names:
        return {}, {}
    statistics = HeadStatistics.collect(model, paired_runs(model, pairs, evaluator.metric))
    contrasts = {"flap": None, "contrastive-flap": config.contrast}
    scores = {name: statistics.scores(_SCORES[name], contrasts[name]) for name in names}
    prunings = {}
    for done, name in enumerate(names):

        def performances(circuits: Sequence[frozenset[Head]], done: int = done) -> list[float]:
            return evaluator.performances(circuits, lambda part: report((done + part) / len(names)))

        prunings[name] = prune(scores[name], config.pruning, performances)
    return prunings, scores


def _patch(
    model: LayeredModel,
    pairs: PromptPairs,
    prunings: dict[str, Pruning],
    config: DiscoveryConfig,
    report: Callable[[float], None],
) -> tuple[Circuit, EffectTable | None]:
    candidates = merged_candidates(prunings)
    sizes, metric = (model.n_layers, model.n_heads), get_metric(config.metric)
    if not config.patches_paths:
        return Circuit.of_heads(candidates or (), *sizes), None
    if config.engine == "sweep":
        table = effect_table(model, pairs, candidates, metric, config.memory_bytes, report)
        return grow(table.effects, config.selection, *sizes), table
    measured = ReceiverEffects(model, pairs, candidates, config.engine, metric, config.memory_bytes)

    def effects_of(receiver: Receiver) -> Float[Tensor, "layer head"]:
        layer = model.n_layers if receiver.head is None else receiver.head.layer
        report(1 - layer / model.n_layers)
        return measured(receiver)

    return grow(effects_of, config.selection, *sizes), measured.table()


def _warn_if_weak(behaviour: Behaviour, task: Task) -> None:
    if behaviour.weakness:
        message = f"a circuit for {task.name} on this model means little: {behaviour.weakness}"
        warnings.warn(message, WeakTaskWarning, stacklevel=4)


def _versions() -> dict[str, str]:
    found = {name: metadata.version(name) for name in _VERSIONED}
    return {"python": platform.python_version(), **found}
