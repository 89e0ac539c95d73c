"""Language models: loading them, and running their forward pass in pieces."""

from circuits.model.layers import Layer, LayeredModel, check_reproduces

__all__ = ["Layer", "LayeredModel", "check_reproduces"]
