"""How good a circuit is: what it keeps alone, and what the model loses without it."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
