from .distinct_streams import Replacements
from .edges import edge_ablated_metric
from .heads import ablated_metric, kept_mask
from .outputs import CorruptedOutputs, HeadOutputs, MeanOutputs, OutputsOnPrompts, ZeroOutputs
from .weighted import WeightedRun, weighted_gradients

__all__ = [
    "CorruptedOutputs",
    "HeadOutputs",
    "MeanOutputs",
    "OutputsOnPrompts",
    "Replacements",
    "WeightedRun",
    "ZeroOutputs",
    "ablated_metric",
    "edge_ablated_metric",
    "kept_mask",
    "weighted_gradients",
]
