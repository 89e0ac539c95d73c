from .activations import Activations, Batch
from .check import check_reproduces
from .layers import Layer
from .model import LayeredModel, TransformerBridge, in_float32
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
    "check_reproduces",
    "in_float32",
    "patterns_by_layer",
]
