"""What the page says of one run."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import groupby

from circuits.discovery.result import Discovery, Provenance
from circuits.errors import TaskError
from circuits.report.drawing import Drawing, drawings, named
from circuits.report.saved_run import SavedRun
from circuits.summary import agreement, certainty, choice, settings
from circuits.summary import tables as summary
from circuits.summary.size import counts
from circuits.tasks import PromptPair, Task, get_task
from circuits.tasks.sources import HUB

_SHOWN_EDGES = 15


@dataclass(frozen=True)
class Asked:
    """What was asked for.

    Attributes:
        description: What the task is; empty where it is not known here.
        example: One pair of such prompts.
        model: The model's name, shape and weights.
        settings: Every setting.

    """

    description: str
    example: PromptPair | None
    model: summary.NamedValues
    settings: summary.NamedValues

    @classmethod
    def of(cls, found: Discovery) -> Asked:
        """Ask the task, where it is known."""
        task = _task(found.provenance)
        description = "" if task is None else task.description
        example = None if task is None else task.example(found.config.seed)
        return cls(description, example, _model(found), dict(settings.of_run(found)))


@dataclass(frozen=True)
class Evaluated:
    """An evaluation that was kept with the run."""

    on: str
    kept: summary.Table
    figures: summary.NamedValues
    curves: Mapping[str, summary.Table]
    minimality: summary.Table

    @classmethod
    def of(cls, run: SavedRun) -> Evaluated | None:
        """None where none was kept."""
        if run.evaluation is None:
            return None
        evaluation, found = run.evaluation.evaluation, run.found
        return cls(
            on=summary.evaluated_on(evaluation, evaluation.prompts),
            kept=summary.kept(evaluation, found.config.metric),
            figures=summary.evaluated(evaluation, found.circuit),
            curves={
                summary.curve_title(one): summary.curve(one) for one in evaluation.curves.values()
            },
            minimality=summary.minimality(evaluation),
        )


@dataclass(frozen=True)
class OverSeeds:
    """What many seeds have in common."""

    kinds: summary.Table
    parts: summary.Table
    consensus: summary.Table | None

    @classmethod
    def of(cls, run: SavedRun) -> OverSeeds | None:
        """None where the run is not one of a study's directory."""
        if run.seeds is None:
            return None
        agreed = run.seeds.consensus
        return cls(
            kinds=agreement.kinds(run.seeds),
            parts=agreement.parts(run.seeds),
            consensus=None if agreed is None else agreement.consensus(agreed),
        )


@dataclass(frozen=True)
class RunSections:
    """Everything that the page shows of one run, in words, tables and drawings."""

    id: str
    run: SavedRun
    asked: Asked
    key_figures: summary.NamedValues
    behaviour: summary.NamedValues
    does_the_task: summary.Answer
    circuit: summary.NamedValues
    heads: summary.Table
    strongest: summary.Table
    edges: summary.Table
    certainty: summary.NamedValues
    seeds: OverSeeds | None
    evaluated: Evaluated | None
    how_to_evaluate: str
    sizes: summary.Table | None
    contributions: summary.Table | None
    cost: summary.Table
    reproduce: str
    drawings: Mapping[str, tuple[Drawing, ...]]

    @classmethod
    def of(cls, run: SavedRun, id: str, reproduce: str) -> RunSections:
        """Put a run into words, tables and drawings; `id` is unique on the page."""
        found = run.found
        drawn = drawings(run)
        return cls(
            id=id,
            run=run,
            asked=Asked.of(found),
            key_figures=_key_figures(found),
            behaviour=summary.behaviour(found),
            does_the_task=summary.does_the_task(found),
            circuit=summary.circuit(found),
            heads=_heads(found),
            strongest=summary.edges(found.circuit, _SHOWN_EDGES),
            edges=summary.edges(found.circuit),
            certainty=certainty.rows(found),
            seeds=OverSeeds.of(run),
            evaluated=Evaluated.of(run),
            how_to_evaluate=shlex.join(["circuits", "evaluate", run.name]),
            sizes=choice.sizes(found.sizes) if found.sizes else None,
            contributions=choice.contributions(found.contributions)
            if found.contributions
            else None,
            cost=summary.cost(found.cost),
            reproduce=reproduce,
            drawings={key: tuple(named(one, id) for one in some) for key, some in drawn.items()},
        )


def _task(source: Provenance) -> Task | None:
    """The task, where it can be had without a network and still has the rows of the run."""
    if source.task.startswith(HUB):
        return None
    try:
        task = get_task(source.task)
    except TaskError:
        return None
    return task if task.digest == source.task_digest else None


def _key_figures(found: Discovery) -> summary.NamedValues:
    circuit = found.circuit
    of_circuit = {
        **{name: f"{n} of {most}" for name, (n, most) in counts(circuit).items()},
        "edges": f"{len(circuit.edges)}",
        "performance kept": summary.percent(found.performance),
    }
    return {
        **({"circuit": "none"} if found.refusal else of_circuit),
        "model right": summary.percent(100 * found.behaviour.accuracy),
        "forward passes": f"{found.cost.forward_passes:,.0f}",
    }


def _model(found: Discovery) -> summary.NamedValues:
    model = found.provenance.model
    heads = f"{model.n_heads} heads each"
    if model.n_kv_heads != model.n_heads:
        heads = f"{heads}, on {model.n_kv_heads} keys and values"
    return {
        "model": model.name,
        "architecture": model.architecture,
        "layers": f"{model.n_layers}, {heads} of {model.d_head} dimensions",
        "residual stream": f"{model.d_model} dimensions",
        "precision": model.dtype,
        "weights (xxh3-128)": model.weight_hash,
    }


def _heads(found: Discovery) -> summary.Table:
    by_layer = groupby(sorted(found.circuit.heads), key=lambda head: head.layer)
    rows = tuple((str(layer), "  ".join(map(str, heads))) for layer, heads in by_layer)
    return summary.Table((">layer", "heads"), rows)
