"""Small circuits on the field's graph: edges ranked for the company they keep, and the smallest."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
