"""How good a circuit is: what it keeps alone, and what the model loses without it."""

from circuits.evaluation.config import EvaluationConfig
from circuits.evaluation.curve import MIB_SHARES, Curve, CurvePoint, faithfulness_curve
from circuits.evaluation.edges import edge_ablated_metric
from circuits.evaluation.evaluator import Evaluator
from circuits.evaluation.intervals import Bootstrap, Estimate
from circuits.evaluation.measure import evaluate_circuit
from circuits.evaluation.prompts import held_out_pairs, sample_size
from circuits.evaluation.ranking import HeadScores, choose_scores, effect_scores, rank_heads
from circuits.evaluation.report import Evaluation, Gap, Kept
from circuits.evaluation.saved import EVALUATION_FILE, SavedEvaluation

__all__ = [
    "EVALUATION_FILE",
    "MIB_SHARES",
    "Bootstrap",
    "Curve",
    "CurvePoint",
    "Estimate",
    "Evaluation",
    "EvaluationConfig",
    "Evaluator",
    "Gap",
    "HeadScores",
    "Kept",
    "SavedEvaluation",
    "choose_scores",
    "edge_ablated_metric",
    "effect_scores",
    "evaluate_circuit",
    "faithfulness_curve",
    "held_out_pairs",
    "rank_heads",
    "sample_size",
]
