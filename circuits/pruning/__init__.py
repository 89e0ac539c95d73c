"""From head scores to candidate heads: how far to prune, and by which cliff."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
