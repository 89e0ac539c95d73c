"""How far the next-token distribution of one run is from that of another."""

from __future__ import annotations

import torch
from einops import reduce
from jaxtyping import Float
from torch import Tensor


def kl_divergence(
    logits: Float[Tensor, "*batch prompt vocab"], reference: Float[Tensor, "prompt vocab"]
) -> Float[Tensor, "*batch prompt"]:
    """KL divergence of next-token distributions from those of a reference, in nats.

    Sum over tokens of p log(p / q), p the distribution of the reference: D_KL(G || H) of a model G
    and its circuit H (Conmy et al. 2023, arXiv 2304.14997, section 3). In float32 at least.

    >>> logits = model(pairs.clean)[torch.arange(len(pairs)), pairs.end]
    >>> kl_divergence(logits, logits)
    tensor([0., 0., 0., 0.])
    >>> f"{kl_divergence(torch.zeros(1, 2), torch.tensor([[1000.0, 0.0]])).item():.4f}"  # log 2
    '0.6931'
    """
    kind = torch.promote_types(logits.dtype, torch.float32)
    log_q = logits.to(kind).log_softmax(-1)
    log_p = reference.to(log_q).log_softmax(-1)
    return reduce(log_p.exp() * (log_p - log_q), "... prompt vocab -> ... prompt", "sum")
