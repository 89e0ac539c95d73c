"""Saved runs as one HTML page; and figures of results in words, for the page and the terminal."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
