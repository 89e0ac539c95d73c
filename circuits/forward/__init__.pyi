from .activations import LayerRun, PairedRun, paired_runs
from .layers import Layer, LayeredModel, TransformerBridge, in_float32
from .patterns import patterns_by_layer

__all__ = [
    "Layer",
    "LayerRun",
    "LayeredModel",
    "PairedRun",
    "TransformerBridge",
    "in_float32",
    "paired_runs",
    "patterns_by_layer",
]
