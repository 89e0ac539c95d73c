"""One discovery: what is asked, what is loaded, what is known, and what was found."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
