"""Running the layers above a change, exactly and only where the change can reach."""

from __future__ import annotations

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.forward.passes import PairedActivations
from circuits.forward.positions import ActivePositions

VisitZ = Callable[[int, Tensor], Tensor]


def read_tokens(run: PairedActivations, layer: int, tokens: ActivePositions) -> ActivePositions:
    """Where a layer's head outputs matter: everywhere, but in the last layer only at the answer."""
    return ActivePositions.at_end(run.pairs) if layer == run.model.n_layers - 1 else tokens


def metric_above(
    run: PairedActivations,
    first_layer: int,
    resid: Float[Tensor, "*sender token d_model"],
    tokens: ActivePositions,
    visit_z: VisitZ | None = None,
) -> Float[Tensor, "*sender prompt"]:
    """The metric when `resid` enters `first_layer` and everything above is recomputed.

    Keys and values of positions outside `tokens` keep their clean values. `visit_z` may replace a
    layer's head outputs (`[*sender token head d_head]`, in the last layer only answer positions).
    A `first_layer` past the last means that `resid` is the final residual stream at the answers.
    """
    for index in range(first_layer, run.model.n_layers):
        layer, clean = run.model.layers[index], run.clean[index]
        reading = read_tokens(run, index, tokens)
        normed = layer.norm_attention(resid)
        if reading is not tokens:
            resid = tokens.ends(resid)
        read_normed = normed if reading is tokens else layer.norm_attention(resid)
        z = layer.attend(
            reading.to_slots(layer.queries(read_normed, reading.position)),
            tokens.overwrite(clean.keys, layer.keys(normed, tokens.position)),
            tokens.overwrite(clean.values, layer.values(normed)),
            layer.allowed(reading.slot_position, clean.keys.shape[1]),
        )
        z = reading.from_slots(z)
        if visit_z is not None:
            z = visit_z(index, z)
        resid = layer.finish(resid, layer.attention_output(z))
    return run.metric(run.model.unembed(resid), run.pairs)


def metric_gradients(
    run: PairedActivations,
    tokens: ActivePositions,
    embedded: Float[Tensor, "prompt pos d_model"] | None = None,
) -> tuple[Float[Tensor, "read_token head d_head"], ...]:
    """Gradient of each prompt's metric by every layer's head outputs, on the clean run.

    One forward and one backward pass for all layers. In the last layer the tokens are the answer
    positions, in all others `tokens`. At these, `embedded` enters the first layer in the place of
    the clean prompts' own.
    """
    outputs: list[Tensor] = []

    def keep(_: int, z: Tensor) -> Tensor:
        outputs.append(z if z.requires_grad else z.requires_grad_())
        return outputs[-1]

    entering = run.clean[0].resid_pre if embedded is None else embedded
    with torch.enable_grad():
        metric = metric_above(run, 0, tokens.pack(entering), tokens, keep)
        return torch.autograd.grad(metric.sum(), outputs)
