"""How much each edge of the field's graph matters, by name, and edges chosen by such scores."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
