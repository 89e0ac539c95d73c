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
from .methods import CONTESTANTS, Contestant, small_selection
from .rows import PathScore, TruthRow

__all__ = [
    "CONTESTANTS",
    "Contestant",
    "GroundTruth",
    "Interchange",
    "PathScore",
    "TruthRecord",
    "TruthRow",
    "list_truths",
    "load_truth",
    "run_truth",
    "save_truth",
    "small_selection",
    "truth_record",
]
