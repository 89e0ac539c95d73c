from .edges import edge_ablated_metric
from .heads import ablated_metric, kept_mask
from .outputs import CorruptedOutputs, HeadOutputs, MeanOutputs, ZeroOutputs

__all__ = [
    "CorruptedOutputs",
    "HeadOutputs",
    "MeanOutputs",
    "ZeroOutputs",
    "ablated_metric",
    "edge_ablated_metric",
    "kept_mask",
]
