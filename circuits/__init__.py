"""Find the attention heads, and the paths between them, that carry out a task."""

import lazy_loader

# Imported on first use: torch and TransformerLens take seconds, `circuits --help` needs neither.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
