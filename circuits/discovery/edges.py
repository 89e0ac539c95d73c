"""A discovery where MLPs and the embedding are nodes: edges ranked, chosen, and verified."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from einops import reduce
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.circuit import Circuit, circuit_of_edges
from circuits.components import Connection, Head
from circuits.discovery.acdc import proposals
from circuits.discovery.methods import IN_CONTEXT
from circuits.discovery.session import Session
from circuits.discovery.uses import uses_of_score
from circuits.edge_scores import EDGE_SCORERS, EdgeScoreSettings
from circuits.edge_search import (
    EdgeChooser,
    PromptsInTurn,
    Proposal,
    ranked_in_context,
    with_held_out,
)
from circuits.evaluation import EdgeEvaluator, SizeCurve
from circuits.masking import MaskedRuns
from circuits.patching import EdgeValues
from circuits.patching.edge_values import checked_scale
from circuits.runtime.cost import CostMeter
from circuits.runtime.progress import SILENT, Progress
from circuits.statistics.intervals import Bootstrap, Estimate

OTHER = "eap-ig"
"""What proposes circuits beside the search in context: better where single edges do the most."""


@dataclass(frozen=True, eq=False)
class ChosenEdges:
    """A circuit of edges, and what led to it.

    Attributes:
        circuit: Its edges with what corrupting each does in it, measured.
        sizes: All circuits that were tried.
        rankings: By name, the places of all edges, the best highest.
        worth: Points of faithfulness that are lost without each edge, with intervals; None where
            there are too many edges to leave each out: effects are then estimated.

    """

    circuit: Circuit
    sizes: SizeCurve
    rankings: dict[str, EdgeValues]
    worth: dict[Connection, Estimate] | None

    @property
    def of_heads(self) -> dict[str, Float[Tensor, "layer head"]]:
        """Of each ranking, the place of the best edge that leaves each head."""
        return {
            name: ranking.by_head(ranking.values.nan_to_num(nan=-1.0).amax(0))
            for name, ranking in self.rankings.items()
        }


def choose_edges(
    session: Session, meter: CostMeter, heads: frozenset[Head] | None = None
) -> ChosenEdges:
    """Propose edges on the prompts of the search, choose on others, and report on third ones.

    `heads` are those that pruning left, where it did.
    """
    config = session.config
    assert config.keep is not None
    model, metric = session.model, session.metric
    search = EdgeEvaluator(model, session.pairs, metric, session.activations)
    validation, held_out = (EdgeEvaluator(model, some, metric) for some in session.other_pairs)
    with meter.stage("ranking") as part:
        proposed = _proposed(session, search, heads, part)
    chooser = EdgeChooser(config.keep, search, validation)
    with meter.stage("validation") as progress:
        along, thinning, last = progress.parts(0.4, 0.3, 0.3)
        for proposal, part in along.each(proposed):
            chooser.consider(proposal, part)
        if config.divergence_threshold is None:
            chooser.thin(thinning)
        circuit, worth = _measured(chooser, last)
    with meter.stage("evaluation") as part:
        sizes = with_held_out(chooser, held_out, part)
    return ChosenEdges(circuit, sizes, chooser.rankings, worth)


def _proposed(
    session: Session, search: EdgeEvaluator, heads: frozenset[Head] | None, progress: Progress
) -> list[Proposal]:
    if session.config.removes_edges:
        return proposals(session, search, heads, progress)
    return [Proposal(*ranked) for ranked in rank(session, search.runs, progress).items()]


def _measured(
    chooser: EdgeChooser, progress: Progress
) -> tuple[Circuit, dict[Connection, Estimate] | None]:
    """The chosen circuit with what each of its edges is worth in it, on validation prompts."""
    on, edges = chooser.validation, chooser.chosen
    lost = chooser.lost(progress) if chooser.is_small else _slopes(on, edges, progress)
    scale = checked_scale(float((on.baselines[1] - on.baselines[0]).mean()))
    effects = torch.zeros(edges.shape)
    effects[edges] = -lost.double().mean(-1).float() / scale
    circuit = circuit_of_edges(on.graph, edges, effects)
    return circuit, _points(chooser, lost, scale) if chooser.is_small else None


def _slopes(
    on: EdgeEvaluator, edges: Bool[Tensor, "receiver sender"], progress: Progress
) -> Float[Tensor, "edge prompt"]:
    """What is lost without each edge, to first order."""
    return on.runs.slopes(edges.float(), progress=progress).gradients[edges]


def _points(
    chooser: EdgeChooser, lost: Float[Tensor, "edge prompt"], scale: float
) -> dict[Connection, Estimate]:
    """Points of faithfulness, with intervals over prompts."""
    graph = chooser.validation.graph
    if not len(lost):
        return {}
    found = Bootstrap().estimates(lambda means: 100 * means / scale, lost.numpy())
    names = [
        Connection(graph.senders[column], graph.receivers[row])
        for row, column in chooser.chosen.nonzero().tolist()
    ]
    return dict(zip(names, found, strict=True))


def rank(session: Session, runs: MaskedRuns, progress: Progress = SILENT) -> dict[str, EdgeValues]:
    """Every ranking that the method proposes circuits by; what the store has is not made again."""
    config = session.config
    names = (IN_CONTEXT.name, OTHER) if config.method == IN_CONTEXT.name else (config.method,)
    key = {"keep": config.keep, "rankings": names, "seed": config.seed}
    graph = session.graph
    if (known := session.store.ranked(key)) is not None:
        return {name: EdgeValues(graph, known[name]) for name in names}
    found = {name: _ranked(session, runs, name, part) for name, part in progress.each(names)}
    session.store.keep_ranked(key, {name: ranking.values for name, ranking in found.items()})
    return found


def _ranked(session: Session, runs: MaskedRuns, name: str, progress: Progress) -> EdgeValues:
    config = session.config
    if name == IN_CONTEXT.name:
        prompts = PromptsInTurn(session.model, session.pairs, session.metric)
        assert config.keep is not None
        return ranked_in_context(prompts, config.keep / 100, config.seed, progress)
    used = {"seed", "most_passes"}.intersection(uses_of_score(name))
    settings = EdgeScoreSettings(**{name: getattr(config, name) for name in used})
    scores = EDGE_SCORERS.get(name).score(runs, settings, progress)
    mean = reduce(scores.values, "receiver sender prompt -> receiver sender", "mean")
    return replace(scores, values=mean)
