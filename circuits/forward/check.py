"""Whether a model's forward pass in pieces reproduces the model."""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch
from einops import reduce
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from circuits.errors import UnsupportedModelError
from circuits.forward.extraction import architecture_of, vocabulary_of
from circuits.forward.finite import check_finite
from circuits.forward.model import LayeredModel, in_pieces
from circuits.forward.passes import run_layers
from circuits.runtime.told import told_as

_SEE_MODELS = "see `circuits models` for families that can"
_LONGEST_WINDOW_CHECKED = 128
_checked: WeakKeyDictionary[TransformerBridge, set[torch.dtype]] = WeakKeyDictionary()
"""The dtypes that each model was checked in."""


def check_once(bridge: TransformerBridge) -> None:
    """`check_reproduces`, unless the model passed it already. Raises as that does."""
    dtype = next(bridge.parameters()).dtype
    passed = _checked.setdefault(bridge, set())
    if dtype not in passed:
        check_reproduces(bridge)
        passed.add(dtype)


def check_reproduces(
    bridge: TransformerBridge, n_tokens: int = 24, tolerance: float | None = None
) -> float:
    """Compare the pieces with the model's own logits on two random prompts.

    Args:
        bridge: The model.
        n_tokens: Length of the prompts; more where attention windows are longer.
        tolerance: The largest difference that is allowed; by default what rounding in the model's
            dtype explains.

    Returns:
        The largest difference of two logits, in standard deviations of the logits.

    Raises:
        UnsupportedModelError: The difference is larger, or the pieces cannot be run.
        NonFiniteError: Logits are NaN or infinite.

    >>> check_reproduces(model) < 1e-3
    True
    """
    architecture = architecture_of(bridge)
    with torch.no_grad():
        with told_as(UnsupportedModelError, f"{architecture} cannot be run in pieces", _SEE_MODELS):
            tokens, ours = _run_in_pieces(bridge, n_tokens)
        # What a checkpoint's config says is read by the model's own code on its first prompt.
        with told_as(UnsupportedModelError, f"{architecture} cannot be run at all", _SEE_MODELS):
            theirs = bridge(tokens)
    for whose, logits in (("own logits", theirs), ("logits, run in pieces,", ours)):
        largest = reduce(logits, "prompt pos vocab -> prompt", "max")
        check_finite(bridge, f"the largest of {architecture}'s {whose}", largest, [tokens])
    difference = float((ours - theirs).abs().max() / theirs.std())
    # Families take the softmax in float32 whatever the model's dtype.
    precision = max(torch.finfo(theirs.dtype).eps, torch.finfo(torch.float32).eps)
    limit = tolerance if tolerance is not None else 2 * precision**0.5
    if not difference <= limit:
        raise UnsupportedModelError(
            f"{architecture} is not supported: its forward pass in pieces differs from the model's "
            f"own logits by {difference:.2g} standard deviations (allowed {limit:.2g}); "
            "see `circuits models` for the families that are"
        )
    return difference


def _run_in_pieces(
    bridge: TransformerBridge, n_tokens: int
) -> tuple[Int[Tensor, "prompt pos"], Float[Tensor, "prompt pos vocab"]]:
    """Two random prompts, and their logits."""
    model = in_pieces(bridge)
    length = min(_length_beyond_windows(model, n_tokens), bridge.cfg.n_ctx)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, vocabulary_of(bridge)[0], (2, length), generator=generator)
    tokens = tokens.to(model.device)
    return tokens, model.unembed(run_layers(model, tokens)[1])


def _length_beyond_windows(model: LayeredModel, n_tokens: int) -> int:
    """Tokens enough for every short attention window to hide some."""
    windows = [layer.window for layer in model.layers if layer.window is not None]
    short = [window for window in windows if window <= _LONGEST_WINDOW_CHECKED]
    return max([n_tokens, *(window + n_tokens for window in short)])
