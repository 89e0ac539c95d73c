"""Work in batches that shrink where memory is too short for them."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TypeVar

import torch

from circuits.runtime.shortage import is_memory

Found = TypeVar("Found")


class SmallerBatchWarning(UserWarning):
    """Memory was too short for a batch: from then on, less is done at once.

    >>> import warnings
    >>> warnings.simplefilter("error", SmallerBatchWarning)  # to stop there instead
    """


class Shrinking:
    """How much of something is done at once: as much as is asked for, until memory is too short.

    What is learned is kept as long as the process lives, as its memory is.

    >>> together = Shrinking("prompts")
    >>> together.run(32, lambda size: f"{size} at once")
    '32 at once'
    """

    def __init__(self, unit: str) -> None:
        """Of `unit`, such as prompts."""
        self.unit = unit
        self.most: int | None = None

    def run(self, size: int, work: Callable[[int], Found]) -> Found:
        """What `work` gives of a size, or of a half of it for as long as memory is too short.

        `work` is called again from its beginning, and must leave nothing behind when it fails.

        Raises:
            MemoryError, RuntimeError: As `work` does where there is too little for a single one.

        Warns:
            SmallerBatchWarning: Less was done at once than was asked for.

        """
        size = size if self.most is None else min(size, self.most)
        while True:
            try:
                return work(size)
            except Exception as error:
                if size <= 1 or not is_memory(error):
                    raise
            # Outside of `except`, where the error keeps alive all that its frames hold.
            half = size // 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            warnings.warn(
                f"memory is too short for {size} {self.unit} at once: from here on {half} are done "
                "together, which takes longer and changes no more than the rounding",
                SmallerBatchWarning,
                stacklevel=3,
            )
            size = self.most = half
