"""Small models whose circuits are known by construction, to test discovered circuits against."""

from circuits.truth.bench import CONTESTANTS, Contestant, TruthRow, run_truth
from circuits.truth.ground import (
    GroundTruth,
    Interchange,
    TruthRecord,
    list_truths,
    load_truth,
    save_truth,
    truth_record,
)
from circuits.truth.scores import auc, head_strengths

__all__ = [
    "CONTESTANTS",
    "Contestant",
    "GroundTruth",
    "Interchange",
    "TruthRecord",
    "TruthRow",
    "auc",
    "head_strengths",
    "list_truths",
    "load_truth",
    "run_truth",
    "save_truth",
    "truth_record",
]
