"""Runs of a model whose every receiver reads weighted edges, and gradients by the weights."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
