"""Taking all figures of a circuit."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from circuits.circuit import Circuit
from circuits.components import Head, Node
from circuits.errors import MismatchError
from circuits.evaluation.areas import faithfulness
from circuits.evaluation.config import Ablation, EvaluationConfig, Ranking
from circuits.evaluation.curve import Curve, faithfulness_curve
from circuits.evaluation.evaluator import Evaluator
from circuits.evaluation.ordering import HeadScores
from circuits.evaluation.result import Evaluation, Gap, Kept
from circuits.evaluation.without import without_nodes
from circuits.runtime.progress import SILENT, Progress
from circuits.statistics.intervals import Bootstrap, Estimate

Metrics = Float[np.ndarray, "run _"]
Means = Float[np.ndarray, "run *resample"]
Values = Float[np.ndarray, "figure *resample"]


def evaluate_circuit(
    circuit: Circuit,
    evaluator: Evaluator,
    discovery: Evaluator | None = None,
    scores: HeadScores | None = None,
    config: EvaluationConfig | None = None,
    progress: Progress = SILENT,
) -> Evaluation:
    """Measure what a circuit keeps of the metric, and what the model loses without it.

    Args:
        circuit: Heads and edges.
        evaluator: The model on the prompts to evaluate on.
        discovery: The model on the discovery's prompts, for the gap; none without.
        scores: What the heads of the curves are ranked by; no curves without.
        config: Intervals, rankings and the curves' ablation; what it says of prompts is not read.
        progress: Hears of the fraction done.

    Raises:
        MismatchError: The circuit is one of a model of another size.

    >>> figures = evaluate_circuit(circuit, evaluator)
    >>> sorted(figures.node_level), figures.minimality.keys() == circuit.heads
    (['mean', 'resample', 'zero'], True)
    """
    _check_sizes(circuit, evaluator)
    taking = _Taking(circuit, evaluator, discovery, scores, config or EvaluationConfig(), progress)
    # First of all, because what it runs serves the others.
    completeness, minimality = taking.without_nodes()
    return Evaluation(
        prompts="discovery" if discovery is None else "held-out",
        n_prompts=len(evaluator.pairs),
        seed=evaluator.pairs.seed,
        confidence=taking.config.confidence,
        full_metric=taking.full_metric(),
        sparsity=circuit.sparsity,
        edge_sparsity=taking.edge_sparsity(),
        node_level={"mean": taking.node("mean"), **taking.other_ablations()},
        edge_level=taking.edge(),
        completeness=completeness,
        minimality=minimality,
        curves=taking.curves(),
        gap=taking.gap(),
        edge_gap=taking.edge_gap(),
    )


@dataclass
class _Taking:
    """An evaluation under way.

    Runs are rows: the model without its heads, the whole model, then what is asked for.
    """

    circuit: Circuit
    evaluator: Evaluator
    discovery: Evaluator | None
    scores: HeadScores | None
    config: EvaluationConfig
    progress: Progress
    steps_done: int = 0

    def without_nodes(self) -> tuple[Estimate, dict[Node, Estimate]]:
        """Completeness, and what removing each node costs: heads, unless MLPs are nodes, too."""
        if self.circuit.mlps == "nodes":
            on = self.evaluator.on_edges
            return without_nodes(self.circuit, on, self.bootstrap, self._step())
        heads = sorted(self.circuit.heads)
        kept = self.circuit.heads
        others = [self.evaluator.everything - kept, *(kept - {head} for head in heads)]
        runs = self._runs(self.evaluator, "mean", [kept, *others], self._step())

        def figures(means: Means) -> Values:
            percent = 100 * means / means[1]
            return np.concatenate([percent[3:4], percent[2] - percent[4:]])

        completeness, *costs = self.bootstrap.estimates(figures, runs)
        return completeness, dict(zip(heads, costs, strict=True))

    def full_metric(self) -> Estimate:
        """The whole model's metric."""
        runs = self._runs(self.evaluator, "mean", [])
        return self.bootstrap.estimates(lambda means: means[1:], runs)[0]

    def node(self, ablation: Ablation, progress: Progress = SILENT) -> Kept:
        """What the circuit's heads keep."""
        return self._kept(self._runs(self.evaluator, ablation, [self.circuit.heads], progress))

    def other_ablations(self) -> dict[Ablation, Kept]:
        """What the circuit's heads keep when the others are not replaced by means."""
        return {
            "resample": self.node("resample", self._step()),
            "zero": self.node("zero", self._step()),
        }

    def edge(self) -> Kept | None:
        """What the circuit's edges keep."""
        return self._kept(self._edge_runs) if self.has_edges else None

    def edge_sparsity(self) -> float | None:
        """Share of the model's paths that are no edge."""
        if not self.has_edges:
            return None
        graph = self.evaluator.model.graph(self.circuit.mlps, self.circuit.spans)
        return 1 - graph.n_distinct(self.circuit.connections) / graph.n_edges

    def curves(self) -> dict[Ranking, Curve]:
        """Faithfulness against size, for each ranking."""
        if self.scores is None:
            return {}
        return {
            ranking: faithfulness_curve(
                self.evaluator,
                self.scores,
                ranking,
                self.config.curve_ablation,
                bootstrap=self.bootstrap,
                progress=self._step(),
            )
            for ranking in self.config.rankings
        }

    def gap(self) -> Gap | None:
        """Performance against that on the discovery's prompts."""
        if self.discovery is None:
            return None
        heads = [self.circuit.heads]
        there = self._runs(self.discovery, "mean", heads, self._step())
        return self._gap(self._runs(self.evaluator, "mean", heads), there)

    def edge_gap(self) -> Gap | None:
        """The same for edges."""
        if self.discovery is None or not self.has_edges:
            return None
        return self._gap(self._edge_runs, self._edges(self.discovery))

    @property
    def has_edges(self) -> bool:
        """Whether it is a circuit of edges; one of heads alone comes from pruning."""
        return bool(self.circuit.edges) or not self.circuit.heads

    @property
    def bootstrap(self) -> Bootstrap:
        """How intervals are taken."""
        return Bootstrap(self.config.confidence, self.config.n_resamples)

    @property
    def n_steps(self) -> int:
        """Long runs: three ablations, curves, edges, and those on the discovery's prompts."""
        n_curves = 0 if self.scores is None else len(self.config.rankings)
        n_sets = 1 if self.discovery is None else 2
        return 2 + n_curves + n_sets * (1 + self.has_edges)

    def _step(self) -> Progress:
        number, n_steps = self.steps_done, self.n_steps
        self.steps_done += 1
        return self.progress.within(number / n_steps, (number + 1) / n_steps)

    @cached_property
    def _edge_runs(self) -> Metrics:
        return self._edges(self.evaluator)

    def _edges(self, evaluator: Evaluator) -> Metrics:
        kept = evaluator.edge_metrics(self.circuit, self._step()).numpy()
        baselines = evaluator.edge_baselines(self.circuit.mlps)
        return np.concatenate([baselines.numpy(), kept[None]])

    @staticmethod
    def _runs(
        evaluator: Evaluator,
        ablation: Ablation,
        circuits: list[frozenset[Head]],
        progress: Progress = SILENT,
    ) -> Metrics:
        circuits = [frozenset(), evaluator.everything, *circuits]
        return evaluator.metrics(circuits, ablation, progress).numpy()

    def _kept(self, runs: Metrics) -> Kept:
        def figures(means: Means) -> Values:
            percent = 100 * means[2:] / means[1]
            return np.concatenate([percent, faithfulness(means)])

        return Kept(*self.bootstrap.estimates(figures, runs))

    def _gap(self, here: Metrics, there: Metrics) -> Gap:
        def figures(means: Means, discovery: Means) -> Values:
            mine, other = 100 * means[2] / means[1], 100 * discovery[2] / discovery[1]
            return np.stack([other, mine - other])

        return Gap(*self.bootstrap.estimates(figures, here, there))


def _check_sizes(circuit: Circuit, evaluator: Evaluator) -> None:
    sizes, own = (
        (circuit.n_layers, circuit.n_heads),
        (evaluator.model.n_layers, evaluator.model.n_heads),
    )
    if sizes != own:
        raise MismatchError(
            f"the circuit is one of a model of {sizes[0]} layers x {sizes[1]} heads, this model "
            f"has {own[0]} x {own[1]}; evaluate it on the model it was discovered on"
        )
