from .edges import edge_ablated_metric
from .heads import (
    CorruptedOutputs,
    HeadOutputs,
    MeanOutputs,
    Progress,
    ZeroOutputs,
    ablated_metric,
    kept_mask,
)

__all__ = [
    "CorruptedOutputs",
    "HeadOutputs",
    "MeanOutputs",
    "Progress",
    "ZeroOutputs",
    "ablated_metric",
    "edge_ablated_metric",
    "kept_mask",
]
