"""How much of the work is done at once, so that it fits into memory. Never changes a number."""

from __future__ import annotations

from dataclasses import dataclass

from circuits.components import Node
from circuits.errors import SettingError
from circuits.forward import Layer, LayeredModel
from circuits.forward.activations import PROMPTS_TOGETHER
from circuits.runtime.memory import free_share
from circuits.tasks import PromptPairs

SENDERS_TOGETHER = 32
"""Senders whose exact effects are measured at once: enough to keep a processor busy."""
_COPIES_OF_STATE = 3
"""A layer's old and new state, and the joining of the two."""
_MLP_TENSORS = 3
_RESIDUAL_TENSORS = 6
_SCORE_TENSORS = 3
"""Attention scores, what is left of them behind the mask, and the pattern."""
_ENOUGH_ROWS = {"cpu": 4096}
_ENOUGH_ROWS_ELSEWHERE = 1 << 16


@dataclass(frozen=True)
class Plan:
    """How a computation is split, and about what it takes.

    Attributes:
        batch_size: How many prompts are run together.
        n_batches: How many such batches there are.
        max_rows: Rows of (sender, token) that pass through a layer at once.
        kept_bytes: How much may be kept of what could be asked for again.
        n_bytes: About how much memory is used beside the model's own and the clean run's.
        flops: About how many floating-point operations the upward sweep takes.

    """

    batch_size: int
    n_batches: int
    max_rows: int
    kept_bytes: int
    n_bytes: int
    flops: int


def plan_work(
    model: LayeredModel,
    pairs: PromptPairs,
    senders: tuple[Node, ...],
    memory_bytes: int | None = None,
    together: int | None = None,
) -> Plan:
    """Give half of the memory to the senders' residual streams, half to one layer's work.

    Args:
        model: The model in pieces.
        pairs: The prompts.
        senders: All senders.
        memory_bytes: The budget; a safe share of what is free without.
        together: How many senders there are at once; all without.

    Raises:
        SettingError: The budget is not positive.

    """
    budget = min(map(free_share, model.devices)) if memory_bytes is None else memory_bytes
    if budget <= 0:
        raise SettingError(f"memory_bytes must be at least 1, got {budget}")
    item = model.layers[0].query.weight.element_size()
    tokens = pairs.end - pairs.first_difference + 1
    at_once = max(1, len(senders) if together is None else min(together, len(senders)))
    scores = model.n_heads * (int(pairs.end.max()) + 1)
    state = state_bytes(model.d_model, int(tokens.max()), at_once, item)
    # Gradients keep every layer's patterns, which only long prompts have more of than of senders.
    prompt_bytes = max(state, item * model.n_layers * scores * int(tokens.max()))
    batch_size = min(len(pairs), PROMPTS_TOGETHER, max(1, budget // 2 // prompt_bytes))
    max_rows, one_row = rows_together(model, pairs, budget // 2)
    return Plan(
        batch_size=batch_size,
        n_batches=-(-len(pairs) // batch_size),
        max_rows=max_rows,
        kept_bytes=budget // 4,
        n_bytes=batch_size * prompt_bytes + max_rows * one_row,
        flops=sweep_flops(model, int(tokens.sum()), senders),
    )


def rows_together(model: LayeredModel, pairs: PromptPairs, budget: int) -> tuple[int, int]:
    """How many rows of (sender, token) pass a layer at once, and how many bytes each takes."""
    d_mlp = getattr(model.bridge.cfg, "d_mlp", None) or 4 * model.d_model
    scores = model.n_heads * (int(pairs.end.max()) + 1)
    item = model.layers[0].query.weight.element_size()
    one_row = row_bytes(model.d_model, d_mlp, scores, item)
    enough = _ENOUGH_ROWS.get(model.device.type, _ENOUGH_ROWS_ELSEWHERE)
    return max(1, min(budget // one_row, enough)), one_row


def state_bytes(d_model: int, n_tokens: int, n_senders: int, item: int) -> int:
    """What the residual streams of senders take for one prompt, while a layer is passed."""
    return item * _COPIES_OF_STATE * d_model * n_tokens * n_senders


def row_bytes(d_model: int, d_mlp: int, n_scores: int, item: int) -> int:
    """What a layer takes for each (sender, token) row that passes it, with its attention scores."""
    per_row = _MLP_TENSORS * d_mlp + _RESIDUAL_TENSORS * d_model + _SCORE_TENSORS * n_scores
    return item * per_row


def sweep_flops(model: LayeredModel, n_tokens: int, senders: tuple[Node, ...]) -> int:
    """About what one upward sweep takes: each sender passes every projection and MLP above it."""
    carried, total = 0, 0
    for index, layer in enumerate(model.layers):
        receivers = sum(sender.layer == index for sender in senders)
        total += 2 * carried * n_tokens * (_mlp_weights(layer) + _projected(layer, receivers))
        carried += receivers
    return total


def _mlp_weights(layer: Layer) -> int:
    return 0 if layer.mlp is None else layer.mlp.n_weights


def _projected(layer: Layer, receivers: int) -> int:
    """Weights of the queries of `receivers` heads, and of the keys they read."""
    units = min(receivers, layer.n_kv_heads)
    return receivers * layer.query.weight[0].numel() + units * layer.key.weight[0].numel()
