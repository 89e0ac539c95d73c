"""What the circuit that many seeds agree on keeps, on prompts that none of them has seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch

from circuits.circuit import Circuit, edge_mask
from circuits.discovery.choose import kept_on
from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.origin import seen_texts
from circuits.errors import InputError, NoEffectError, SettingError, TaskError
from circuits.evaluation import EdgeEvaluator, Evaluator, held_out_pairs, sample_size
from circuits.forward import LayeredModel, TransformerBridge
from circuits.metrics import get_metric
from circuits.model import tokenizer_of
from circuits.runtime.progress import SILENT, Progress
from circuits.statistics import Estimate
from circuits.statistics.inclusion import least_count
from circuits.studies.consensus import Consensus, ConsensusPoint
from circuits.studies.seed_result import SeedStudy
from circuits.tasks import PromptPairs, Task, get_task

SHARES = (0.25, 0.5, 0.75, 0.95, 1.0)
"""Of the seeds: what is shown beside the share that was asked for."""
_FEWEST = 2
"""Prompts over which there is an interval."""
_OTHERWISE = "take fewer seeds"
Sample = tuple[PromptPairs, PromptPairs]
"""Prompts to measure on, and those that means are taken over, which begin with them."""


def evaluate_consensus(
    study: SeedStudy,
    model: TransformerBridge | LayeredModel,
    task: str | Task,
    *,
    least: float | int | None = None,
    n_prompts: int | None = None,
    progress: Progress = SILENT,
) -> Consensus:
    """Measure what many seeds agree on, on prompts that none of them has seen.

    So are the circuits of several other shares. None was chosen by these prompts, but whoever then
    takes the best of them does choose by them.

    Args:
        study: From `discover_seeds`.
        model: The model that it was made with.
        task: Its task.
        least: Share of the seeds that must have a part; that of the study's rule without.
        n_prompts: How many prompts; as many as a seed is reported on without. Of a task that has
            fewer others all are taken; where it has none, the consensus says why it is unmeasured.
        progress: Hears of the fraction done.

    Raises:
        InputError: No seed has a circuit; or (SettingError) a number is out of range.

    >>> consensus = evaluate_consensus(study, model, task, least=1, n_prompts=4)
    >>> [point.count for point in consensus.points], consensus.n_prompts
    ([1, 2], 4)
    """
    config, n_seeds = study.found.config, len(study.runs)
    if len(study.refusals) == n_seeds:
        raise InputError(f"no seed has a circuit to agree on: {study.found.refusal}")
    least = study.rule.consensus if least is None else least
    n = config.n_held_out_prompts if n_prompts is None else n_prompts
    if n < _FEWEST:
        raise SettingError(f"n_prompts must be at least {_FEWEST}, got {n}")
    every = {least_count(share, n_seeds): study.consensus(share) for share in (*SHARES, least)}
    circuits, layered = dict(sorted(every.items())), LayeredModel.of(model)
    n_measured, why = 0, None
    kept: Sequence[Estimate | None] = [None] * len(circuits)
    try:
        sample = _unseen(study, layered, get_task(task), n)
        kept = _kept(list(circuits.values()), layered, sample, config, progress)
        n_measured = len(sample[0])
    except (TaskError, NoEffectError) as error:
        why = str(error)
    seeds, source = tuple(run.seed for run in study.runs), study.found.provenance
    points, found = _points(circuits, kept), circuits[least_count(least, n_seeds)]
    return Consensus(found, least, seeds, points, n_measured, why, config, source)


def _points(
    circuits: Mapping[int, Circuit], kept: Sequence[Estimate | None]
) -> tuple[ConsensusPoint, ...]:
    """The size of each circuit, by how many seeds agree on it, and what it keeps."""
    return tuple(
        ConsensusPoint(count, len(circuit.nodes), len(circuit.edges), part)
        for (count, circuit), part in zip(circuits.items(), kept, strict=True)
    )


def _unseen(study: SeedStudy, model: LayeredModel, task: Task, n: int) -> Sample:
    """Prompts that are none of any seed's. Raises TaskError where the task has too few."""
    config = study.found.config
    every = [seen_texts(model.bridge, task, run.found.config) for run in study.runs]
    seen = frozenset().union(*every)
    if task.n_pairs is not None:
        n = min(n, task.n_pairs - len(seen))
        if n < _FEWEST:
            raise TaskError(
                f"task {task.name!r} has {task.n_pairs} prompts, of which {len(every)} seeds have "
                f"seen {len(seen)}: {_OTHERWISE}, or add rows"
            )
    n_all = n
    if not config.has_mlps:
        n_all = sample_size(task, n, config.n_mean_prompts, len(seen))
    # The seed after a run's own draws what that run is reported on.
    seed = 2 + max(run.seed for run in study.runs)
    tokenizer = tokenizer_of(model.bridge)
    spans = study.found.circuit.spans
    found = held_out_pairs(task, tokenizer, n_all, seed, seen, otherwise=_OTHERWISE, spans=spans)
    return found[:n], found


def _kept(
    circuits: Sequence[Circuit],
    model: LayeredModel,
    sample: Sample,
    config: DiscoveryConfig,
    progress: Progress,
) -> list[Estimate]:
    """Percent that circuits keep of what a discovery's performance is a share of."""
    (pairs, mean_pairs), metric = sample, get_metric(config.metric)
    if not config.has_mlps:
        on = Evaluator(model, pairs, mean_pairs, metric)
        return kept_on([circuit.heads for circuit in circuits], on, progress)
    edges = EdgeEvaluator(model, pairs, metric)
    masks = torch.stack([edge_mask(circuit, edges.graph) for circuit in circuits])
    return [one.scaled(100) for one in edges.faithfulness(masks, progress=progress)]
