"""Contrastive prompt pairs for circuit discovery; publicly, the top-level package `tasks`.

`get_task("ioi").sample(tokenizer, n=64, seed=0)` gives token ids, answers and templates.
`get_task("mine.jsonl")` reads a task of your own, `register_task` adds one in Python.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
