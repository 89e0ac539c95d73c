from .activations import Activations, Batch
from .layers import Layer, LayeredModel, TransformerBridge, in_float32
from .passes import LayerActivations, PairedActivations
from .patterns import patterns_by_layer

__all__ = [
    "Activations",
    "Batch",
    "Layer",
    "LayerActivations",
    "LayeredModel",
    "PairedActivations",
    "TransformerBridge",
    "in_float32",
    "patterns_by_layer",
]
