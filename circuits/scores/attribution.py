"""What every head's change is worth to the metric, to first order: attribution patching.

A head's output z changes by d between the clean and the corrupted prompt; with g the metric's
gradient at z on the clean run, g . d summed over tokens estimates what corrupting that head alone
does, along all paths at once (Nanda 2023, "Attribution patching"; Syed, Rager and Conmy 2023, arXiv
2310.10348). As in AtP* (Kramar et al. 2024, arXiv 2403.00745, section 3) sizes are averaged over
prompts, so that what helps on one prompt and harms on another does not cancel.

FLAP asks how much a head's output varies, Contrastive-FLAP how much that differs between clean and
corrupted prompts. Neither asks whether anything that matters to the answer reads it; this does, for
one forward and one backward pass.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from einops import einsum
from jaxtyping import Float
from torch import Tensor

from circuits.forward.activations import Activations, Batch
from circuits.forward.gradients import read_tokens
from circuits.runtime.precision import in_float64
from circuits.scores.scorer import Scorer, finite_scores


def attribution_scores(activations: Activations) -> Float[Tensor, "layer head"]:
    """Mean size of every head's estimated effect over prompts, in units of the metric.

    Raises:
        NonFiniteError: A score, or a prompt's metric, is NaN or infinite.

    >>> attribution_scores(Activations(model, pairs)).shape
    torch.Size([3, 4])
    """
    per_prompt = [_sizes(batch) for batch in activations.batches]
    return finite_scores("attribution", torch.cat(per_prompt).mean(0).float().cpu())


def _sizes(batch: Batch) -> Float[Tensor, "prompt layer head"]:
    return changes_along(batch, batch.gradients).abs()


def changes_along(batch: Batch, gradients: Iterable[Tensor]) -> Float[Tensor, "prompt layer head"]:
    """What corrupting each head changes to first order, summed over tokens.

    `gradients` are by each layer's head outputs, as `metric_gradients` gives them.
    """
    run, layers = batch.paired, []
    for index, gradient in enumerate(gradients):
        reading = read_tokens(run, index, batch.tokens)
        change = reading.pack(run.corrupted_z[index] - run.clean[index].z)
        effects = einsum(change, gradient, "token head d, token head d -> token head")
        effects = in_float64(effects.to(run.model.device))
        summed = effects.new_zeros(len(run.pairs), effects.shape[-1])
        layers.append(summed.index_add(0, reading.prompt.to(effects.device), effects))
    return torch.stack(layers, dim=1)


ATTRIBUTION = Scorer(
    "attribution",
    "what corrupting each head would do to the answer, to first order",
    lambda activations, settings: attribution_scores(activations),
    cut="share",
)
