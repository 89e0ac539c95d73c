"""How well a circuit, or the scores behind it, agree with a reference, and what chance would do."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
