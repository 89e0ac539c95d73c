from .bench import run_truth
from .direct import DirectTruth
from .direct_scores import SetScore
from .ground import (
    GroundTruth,
    Interchange,
    TruthRecord,
    list_truths,
    load_truth,
    save_truth,
    truth_record,
)
from .methods import Contestant, contestants, edge_contestants, small_selection
from .rows import PathScore, TruthRow

__all__ = [
    "Contestant",
    "DirectTruth",
    "GroundTruth",
    "Interchange",
    "PathScore",
    "SetScore",
    "TruthRecord",
    "TruthRow",
    "contestants",
    "edge_contestants",
    "list_truths",
    "load_truth",
    "run_truth",
    "save_truth",
    "small_selection",
    "truth_record",
]
