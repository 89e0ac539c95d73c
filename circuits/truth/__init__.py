"""Small models whose circuits are known by construction, to test discovered circuits against."""

from circuits.truth.bench import run_truth
from circuits.truth.contestants import CONTESTANTS, Contestant, small_selection
from circuits.truth.ground import (
    GroundTruth,
    Interchange,
    TruthRecord,
    list_truths,
    load_truth,
    save_truth,
    truth_record,
)
from circuits.truth.rows import PathScore, TruthRow

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
