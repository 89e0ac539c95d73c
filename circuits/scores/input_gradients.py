"""EAP-IG's scores of heads: gradients averaged on the way from corrupted inputs to clean ones.

A head's change from the corrupted prompt to the clean one, times the mean gradient of the metric at
its output with embeddings 1/m, 2/m, ... m/m of the way (Hanna, Pezzelle and Belinkov 2024, arXiv
2403.17806, with inputs interpolated; there for edges, here for heads).
"""

from __future__ import annotations

from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.errors import InputError
from circuits.forward.activations import Activations, Batch
from circuits.forward.gradients import metric_gradients
from circuits.runtime.shrinking import Shrinking
from circuits.scores.attribution import changes_along
from circuits.scores.scorer import Scorer, finite_scores

_TOGETHER = Shrinking("prompts")


def input_gradient_scores(activations: Activations, steps: int = 5) -> Float[Tensor, "layer head"]:
    """Mean over prompts, in units of the metric: above 0 where a head helps the answer.

    Args:
        activations: The model on the prompts.
        steps: How many gradients are averaged.

    Raises:
        InputError: There is no step.
        NonFiniteError: A score, or a prompt's metric, is NaN or infinite.

    >>> input_gradient_scores(Activations(model, pairs)).shape
    torch.Size([3, 4])
    """
    if steps < 1:
        raise InputError(f"EAP-IG needs at least one step, got {steps}")

    def scores(batch: Batch, together: int) -> Float[Tensor, "prompt layer head"]:
        return torch.cat([_scores(part, steps) for part in batch.split(together)])

    parts = [_TOGETHER.run(len(b.prompts), partial(scores, b)) for b in activations.batches]
    per_prompt = torch.cat(parts)
    return finite_scores("eap-ig", per_prompt.mean(0).float().cpu())


def _scores(batch: Batch, steps: int) -> Float[Tensor, "prompt layer head"]:
    run = batch.paired
    clean = run.clean[0].resid_pre
    with torch.no_grad():
        corrupted = run.model.embed(run.pairs.corrupted).to(clean.device)
    at_steps = [
        metric_gradients(run, batch.tokens, torch.lerp(corrupted, clean, step / steps))
        for step in range(1, steps + 1)
    ]
    means = (torch.stack(of_layer).mean(0) for of_layer in zip(*at_steps, strict=True))
    return -changes_along(batch, means)


EAP_IG = Scorer(
    "eap-ig",
    "what each head's change is worth, by gradients on the way from corrupted inputs to clean ones",
    lambda activations, settings: input_gradient_scores(activations),
)
