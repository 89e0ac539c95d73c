"""Small models whose circuits are known by construction, to test discovered circuits against."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
