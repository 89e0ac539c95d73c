"""From effects to a circuit: growing it, when a sender is kept, verifying what decides."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
