"""What a method found on a model whose circuit is known, beside the truth."""

from __future__ import annotations

from dataclasses import dataclass
from math import nan

from jaxtyping import Float
from torch import Tensor, stack

from circuits.circuit import Circuit, Overlap
from circuits.comparison import head_roc_curve, head_strengths
from circuits.components import Head
from circuits.discovery.pipeline import Pipeline
from circuits.discovery.result import Discovery
from circuits.evaluation import EdgeEvaluator
from circuits.fields import ConnectionSet, HeadSet
from circuits.truth.direct import DirectTruth
from circuits.truth.direct_scores import SetScore, edge_score, node_score
from circuits.truth.ground import GroundTruth, Kind
from circuits.truth.reasons import reasons


@dataclass(frozen=True)
class PathScore:
    """How the found paths agree with the true ones.

    Attributes:
        precision: Share of the found paths that are true; None where none was found.
        recall: Share of the true paths that were found.
        missed: True paths that were not.
        false: Found paths that are not true.

    >>> from circuits.truth import Contestant, run_truth
    >>> exact = Contestant("path-patching-exact", method="path-patching", engine="exact")
    >>> (row,) = run_truth(["hand-induction"], directory / "truth", methods=[exact])
    >>> row.paths.precision, row.paths.recall
    (1.0, 1.0)
    """

    precision: float | None
    recall: float
    missed: ConnectionSet
    false: ConnectionSet


@dataclass(frozen=True)
class TruthRow:
    """What one method found on one model.

    Attributes:
        model: Name of the model.
        kind: How its circuit came about.
        method: Name of the method.
        precision: Share of the found heads that are true; None where none was found.
        recall: Share of the true heads that were found.
        auc: How often the method's scores put a true head above another one: the strongest effect
            of a head's paths, or its pruning score.
        performance: Percent of the model's metric that the found heads keep alone.
        true_performance: Percent of it that the true heads keep alone.
        candidates: Heads that pruning left.
        true_heads: The heads of the true circuit.
        found: The heads that were found.
        paths: The same for paths; None where none was sought, or the construction fixes none.
        reasons: For every head that a search of paths missed or wrongly found: by which path.
        nodes: Where MLPs and the embedding are nodes: the same figures of all nodes.
        edges: And of direct edges; None where the construction fixes none.

    >>> from circuits.truth import Contestant, run_truth
    >>> exact = Contestant("path-patching-exact", method="path-patching", engine="exact")
    >>> (row,) = run_truth(["hand-induction"], directory / "truth", methods=[exact])
    >>> sorted(map(str, row.found)), row.missed == row.false == frozenset(), row.candidates
    (['0.6', '1.6'], True, 16)
    """

    model: str
    kind: Kind
    method: str
    precision: float | None
    recall: float
    auc: float
    performance: float
    true_performance: float
    candidates: int
    true_heads: HeadSet
    found: HeadSet
    paths: PathScore | None
    reasons: tuple[str, ...]
    nodes: SetScore | None = None
    edges: SetScore | None = None

    @property
    def missed(self) -> frozenset[Head]:
        """True heads that were not found."""
        return self.true_heads - self.found

    @property
    def false(self) -> frozenset[Head]:
        """Found heads that are not true."""
        return self.found - self.true_heads


def row_of(truth: GroundTruth, method: str, run: Pipeline) -> TruthRow:
    """Let a run find a circuit, and compare it with the truth."""
    found, direct = run.discover(), _direct(truth, run)
    circuit = Circuit.of_heads(found.circuit.heads, found.circuit.n_layers, found.circuit.n_heads)
    overlap = circuit.compare(truth.circuit)
    return TruthRow(
        model=truth.name,
        kind=truth.record.kind,
        method=method,
        precision=overlap.precision if found.circuit.heads else None,
        recall=overlap.recall,
        auc=head_roc_curve(_scores(found), truth.heads).auc,
        performance=found.performance,
        true_performance=_performance(run, truth.circuit if direct is None else direct.circuit),
        candidates=len(found.candidates),
        true_heads=truth.heads,
        found=found.circuit.heads,
        paths=_paths(truth, found),
        reasons=reasons(truth, found, run.session) if direct is None else (),
        nodes=None if direct is None else node_score(found, direct),
        edges=None if direct is None else edge_score(found, direct),
    )


def _direct(truth: GroundTruth, run: Pipeline) -> DirectTruth | None:
    """What is true where MLPs and the embedding are nodes; None where they are not."""
    session = run.session
    if not session.config.has_mlps:
        return None
    on = EdgeEvaluator(session.model, session.pairs, session.metric, session.activations)
    return DirectTruth(truth, on)


def _performance(run: Pipeline, circuit: Circuit) -> float:
    """NaN where the model does not do the task."""
    return nan if run.verdict.refuses else run.performances([circuit])[0]


def _scores(found: Discovery) -> Float[Tensor, "layer head"]:
    """What a method ranks heads by.

    A head without a measured path, because pruning left it out or the search did not get there, has
    strength 0. Of merged prunings a head's better score counts: both are standardised.
    """
    if found.effects is not None:
        return head_strengths(found.effects)
    return stack(list(found.scores.values())).amax(0)


def _paths(truth: GroundTruth, found: Discovery) -> PathScore | None:
    if found.effects is None or truth.connections is None or found.config.has_mlps:
        return None
    overlap = Overlap.of(found.circuit.connections, truth.connections)
    return PathScore(
        precision=overlap.precision if found.circuit.edges else None,
        recall=overlap.recall,
        missed=overlap.false_negatives,
        false=overlap.false_positives,
    )
