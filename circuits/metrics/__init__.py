"""Task metrics: from the logits where the answer is read to one number per prompt."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
