"""All figures of a circuit."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from circuits.components import Node
from circuits.evaluation.config import Ablation, Prompts, Ranking
from circuits.evaluation.curve import Curve
from circuits.statistics.intervals import Estimate


@dataclass(frozen=True)
class Kept:
    """What is left of the metric, on two scales.

    Attributes:
        performance: In percent of the full model's metric.
        faithfulness: 0 where all heads are replaced likewise, 1 for the full model (as in MIB).

    >>> kept = evaluation.node_level["mean"]
    >>> kept.faithfulness.value < kept.performance.value / 100  # what MLPs alone keep counts there
    True
    """

    performance: Estimate
    faithfulness: Estimate


@dataclass(frozen=True)
class Gap:
    """How much better a circuit does where it was discovered.

    Attributes:
        discovery: Performance on the prompts of the discovery, in percent.
        difference: Performance on the held-out prompts minus that, in percentage points.

    >>> from circuits.evaluation import Evaluator, evaluate_circuit
    >>> first, rest = Evaluator(model, pairs[:2]), Evaluator(model, pairs[2:])
    >>> gap = evaluate_circuit(circuit, rest, discovery=first).gap
    >>> abs(gap.discovery.value - first.performance(circuit.heads)) < 1e-6
    True
    """

    discovery: Estimate
    difference: Estimate


@dataclass(frozen=True)
class Evaluation:
    """Figures of a circuit, each with its interval over prompts.

    Attributes:
        prompts: "held-out" from the discovery, or the "discovery" itself.
        n_prompts: How many.
        seed: Seed of the prompts.
        confidence: Coverage of the intervals.
        full_metric: The full model's metric.
        sparsity: Share of the model's heads outside the circuit (0 to 1).
        edge_sparsity: Share of the model's paths outside the circuit; None without edges.
        node_level: By ablation, what the circuit's heads keep when all others are replaced.
        edge_level: What is kept when every path outside the circuit is corrupted; None for a
            circuit of heads alone, as pruning gives.
        completeness: Percent of the metric with the circuit's own heads replaced by their means:
            near 0 for a complete circuit. Where MLPs are nodes, percent of what corrupting every
            edge takes away, with the circuit's own edges corrupted.
        minimality: What replacing each head by its mean costs, in percentage points of performance.
            Where MLPs are nodes, what corrupting the edges of each node costs in the strict test.
        curves: By ranking, faithfulness against circuit size.
        gap: Performance on held-out prompts against that on the discovery's; None where these
            are the discovery's own.
        edge_gap: The same at the level of edges.

    >>> sorted(evaluation.node_level), sorted(evaluation.curves)
    (['mean', 'resample', 'zero'], ['absolute', 'signed'])
    >>> evaluation.prompts, evaluation.gap is None
    ('discovery', True)
    """

    prompts: Prompts
    n_prompts: int
    seed: int
    confidence: float
    full_metric: Estimate
    sparsity: float
    edge_sparsity: float | None
    node_level: dict[Ablation, Kept]
    edge_level: Kept | None
    completeness: Estimate
    minimality: dict[Node, Estimate]
    curves: dict[Ranking, Curve]
    gap: Gap | None
    edge_gap: Gap | None

    @property
    def performance(self) -> Estimate:
        """Percent of the full model's metric with every head outside replaced by its mean."""
        return self.node_level["mean"].performance

    def to_dict(self) -> dict[str, Any]:
        """As plain lists and numbers, fit for JSON; NaN where something is undefined."""
        minimality = {str(node): asdict(cost) for node, cost in sorted(self.minimality.items())}
        return {
            "performance": asdict(self.performance),
            **asdict(replace(self, minimality={})),
            "minimality": minimality,
        }
