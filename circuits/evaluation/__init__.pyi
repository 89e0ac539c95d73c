from .areas import MIB_SHARES
from .config import EvaluationConfig
from .contributions import Contributions, measure_contributions
from .curve import Curve, CurvePoint, faithfulness_curve
from .edge_curves import EdgeCurve, EdgeCurvePoint, EdgeCurves, edge_curves
from .edge_evaluator import EdgeEvaluator
from .edge_ranking import best_edges, rank_edges
from .evaluator import Evaluator
from .measure import evaluate_circuit
from .ordering import HeadScores, choose_scores, effect_scores, order_heads
from .prompts import FewPromptsWarning, evaluation_size, held_out_pairs, sample_size
from .result import Evaluation, Gap, Kept
from .saved import EVALUATION_FILE, SavedEvaluation
from .sizes import EdgePoint, SizeCurve, SizePoint

__all__ = [
    "EVALUATION_FILE",
    "MIB_SHARES",
    "Contributions",
    "Curve",
    "CurvePoint",
    "EdgeCurve",
    "EdgeCurvePoint",
    "EdgeCurves",
    "EdgeEvaluator",
    "EdgePoint",
    "Evaluation",
    "EvaluationConfig",
    "Evaluator",
    "FewPromptsWarning",
    "Gap",
    "HeadScores",
    "Kept",
    "SavedEvaluation",
    "SizeCurve",
    "SizePoint",
    "best_edges",
    "choose_scores",
    "edge_curves",
    "effect_scores",
    "evaluate_circuit",
    "evaluation_size",
    "faithfulness_curve",
    "held_out_pairs",
    "measure_contributions",
    "order_heads",
    "rank_edges",
    "sample_size",
]
