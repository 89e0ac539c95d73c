from .bench import run_truth
from .ground import (
    GroundTruth,
    Interchange,
    TruthRecord,
    list_truths,
    load_truth,
    save_truth,
    truth_record,
)
from .methods import Contestant, contestants, small_selection
from .rows import PathScore, TruthRow

__all__ = [
    "Contestant",
    "GroundTruth",
    "Interchange",
    "PathScore",
    "TruthRecord",
    "TruthRow",
    "contestants",
    "list_truths",
    "load_truth",
    "run_truth",
    "save_truth",
    "small_selection",
    "truth_record",
]
