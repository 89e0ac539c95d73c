"""Language models: loading them, their tokenizers, and which model a result came from."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
