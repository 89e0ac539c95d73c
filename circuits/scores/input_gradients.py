"""EAP-IG's scores of heads: gradients averaged on the way from corrupted inputs to clean ones.

A head's change from the corrupted prompt to the clean one, times the mean gradient of the metric at
its output with embeddings 1/m, 2/m, ... m/m of the way (Hanna, Pezzelle and Belinkov 2024, arXiv
2403.17806, with inputs interpolated; there for edges, here for heads).
"""

from __future__ import annotations

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from circuits.errors import InputError
from circuits.forward.activations import Activations, Batch
from circuits.forward.gradients import metric_above, read_tokens
from circuits.scores.scorer import Scorer


def input_gradient_scores(activations: Activations, steps: int = 5) -> Float[Tensor, "layer head"]:
    """Mean over prompts, in units of the metric: above 0 where a head helps the answer.

    Args:
        activations: The model on the prompts.
        steps: How many gradients are averaged.

    Raises:
        InputError: There is no prompt, or no step.

    >>> input_gradient_scores(Activations(model, pairs)).shape
    torch.Size([3, 4])
    """
    if steps < 1 or not activations.batches:
        raise InputError(
            f"EAP-IG needs at least one prompt pair and one step, got {len(activations.pairs)} and "
            f"{steps}"
        )
    per_prompt = torch.cat([_scores(batch, steps) for batch in activations.batches])
    return per_prompt.mean(0).float().cpu()


def _scores(batch: Batch, steps: int) -> Float[Tensor, "prompt layer head"]:
    run, tokens, layers = batch.paired, batch.tokens, []
    shares = [step / steps for step in range(1, steps + 1)]
    gradients = [_gradients(batch, share) for share in shares]
    for index in range(run.model.n_layers):
        reading = read_tokens(run, index, tokens)
        change = reading.pack(run.clean[index].z - run.corrupted_z[index])
        mean = torch.stack([at_share[index] for at_share in gradients]).mean(0)
        effects = einsum(change, mean, "token head d, token head d -> token head").double()
        summed = effects.new_zeros(len(run.pairs), effects.shape[-1])
        layers.append(summed.index_add(0, reading.prompt, effects))
    return torch.stack(layers, dim=1)


def _gradients(batch: Batch, share: float) -> tuple[Float[Tensor, "read_token head d_head"], ...]:
    """By every layer's head outputs, with inputs so far on the way to the clean ones."""
    run, tokens, outputs = batch.paired, batch.tokens, []

    def keep(_: int, z: Tensor) -> Tensor:
        outputs.append(z if z.requires_grad else z.requires_grad_())
        return outputs[-1]

    with torch.no_grad():
        clean, corrupted = (run.model.embed(t) for t in (run.pairs.clean, run.pairs.corrupted))
    start = tokens.pack(torch.lerp(corrupted, clean, share))
    with torch.enable_grad():
        return torch.autograd.grad(metric_above(run, 0, start, tokens, keep).sum(), outputs)


EAP_IG = Scorer(
    "eap-ig",
    "what each head's change is worth, by gradients on the way from corrupted inputs to clean ones",
    lambda activations, settings: input_gradient_scores(activations),
)
