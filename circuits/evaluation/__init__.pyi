from .config import EvaluationConfig
from .contributions import Contributions, measure_contributions
from .curve import MIB_SHARES, Curve, CurvePoint, faithfulness_curve
from .evaluator import Evaluator
from .measure import evaluate_circuit
from .ordering import HeadScores, choose_scores, effect_scores, order_heads
from .prompts import FewPromptsWarning, evaluation_size, held_out_pairs, sample_size
from .result import Evaluation, Gap, Kept
from .saved import EVALUATION_FILE, SavedEvaluation
from .sizes import SizeCurve, SizePoint

__all__ = [
    "EVALUATION_FILE",
    "MIB_SHARES",
    "Contributions",
    "Curve",
    "CurvePoint",
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
    "choose_scores",
    "effect_scores",
    "evaluate_circuit",
    "evaluation_size",
    "faithfulness_curve",
    "held_out_pairs",
    "measure_contributions",
    "order_heads",
    "sample_size",
]
