"""Figures of results: each a function from a result to a plotly figure, in one of three themes."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
