"""Path patching: what a sender does to a receiver, along the path between them alone."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
