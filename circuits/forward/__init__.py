"""The forward pass in pieces that can be run alone: the only reader of a bridge's hooks."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
