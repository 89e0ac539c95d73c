"""How prompts and senders are split so that the work fits into memory. Never changes a number."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Int
from torch import Tensor

from circuits.model import LayeredModel
from tasks import PromptPairs

DEFAULT_MEMORY_BYTES = 1 << 30
_COPIES_OF_STATE = 3
"""A layer's old and new state, and the joining of the two."""
_MLP_TENSORS = 3
_RESIDUAL_TENSORS = 6


@dataclass(frozen=True, eq=False)
class Split:
    """Index tensors of the prompts run together, and rows of (sender, token) computed at once."""

    batches: tuple[Int[Tensor, " _"], ...]
    max_rows: int


def plan_split(model: LayeredModel, pairs: PromptPairs, n_senders: int, memory_bytes: int) -> Split:
    """Give half of the memory to the senders' residual streams, half to one layer's work."""
    if memory_bytes <= 0:
        raise ValueError(f"memory_bytes must be > 0, got {memory_bytes}")
    item = model.layers[0].query.weight.element_size()
    d_mlp = getattr(model.bridge.cfg, "d_mlp", None) or 4 * model.d_model
    row_bytes = item * (_MLP_TENSORS * d_mlp + _RESIDUAL_TENSORS * model.d_model)
    tokens = int((pairs.end - pairs.first_difference).max()) + 1
    prompt_bytes = item * _COPIES_OF_STATE * model.d_model * tokens * max(n_senders, 1)
    per_batch = max(1, memory_bytes // 2 // prompt_bytes)
    by_length = torch.argsort(pairs.end.cpu(), stable=True)
    return Split(by_length.split(per_batch), max(1, memory_bytes // 2 // row_bytes))
