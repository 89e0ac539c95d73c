"""Head outputs when one input of a head (q, k or v) is replaced by what a sender makes of it."""

from __future__ import annotations

from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from circuits.components import HeadInput
from circuits.forward import Layer
from circuits.forward.passes import PairedActivations
from circuits.forward.positions import ActivePositions


def heads_reading(layer: Layer, head_input: HeadInput, units: list[int]) -> list[int]:
    """Query heads whose output changes with an input.

    Units of a q input are query heads, each its own reader; units of k and v are key/value heads,
    read by their whole group.
    """
    return units if head_input == "q" else layer.heads_of(units)


def patched_z(
    run: PairedActivations,
    index: int,
    head_input: HeadInput,
    units: list[int],
    normed: Float[Tensor, "*sender token d_model"],
    tokens: ActivePositions,
    reading: ActivePositions,
) -> Float[Tensor, "*sender read_token head d_head"]:
    """Outputs of `heads_reading(...)` at the `reading` tokens, in that order.

    `normed` is the layer's input behind its norm, per sender, at `tokens`; for a q input it holds
    the `reading` tokens, the only ones that matter there.
    """
    layer, clean = run.model.layers[index], run.clean[index]
    heads = heads_reading(layer, head_input, units)
    kv_heads = [layer.kv_head(head) for head in heads] if head_input == "q" else units
    queries = reading.to_slots(reading.pack(clean.queries[:, :, heads]))
    keys, values = clean.keys[:, :, kv_heads], clean.values[:, :, kv_heads]
    if head_input == "q":
        queries = reading.to_slots(layer.queries(normed, reading.position, heads))
    elif head_input == "k":
        keys = tokens.overwrite(keys, layer.keys(normed, tokens.position, units))
    else:
        values = tokens.overwrite(values, layer.values(normed, units))
    allowed = layer.allowed(reading.slot_position, keys.shape[-3])
    return reading.from_slots(layer.attend(queries, keys, values, allowed))


def group_sum(
    layer: Layer, head_input: HeadInput, per_head: Float[Tensor, "*sender head"]
) -> Float[Tensor, "*sender unit"]:
    """Add up what the query heads of each unit contribute."""
    if head_input == "q":
        return per_head
    group = layer.n_heads // layer.n_kv_heads
    return rearrange(per_head, "... (unit group) -> ... unit group", group=group).sum(-1)
