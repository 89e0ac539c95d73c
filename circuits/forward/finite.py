"""Numbers that are none: where NaN and infinity are refused, and where a model first has one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from circuits.errors import NonFiniteError

_PROMPTS_LOOKED_AT = 8
_LOWER = {torch.float16: "float32 or bfloat16", torch.bfloat16: "float32"}
"""What models of these dtypes are loaded in instead, where numbers are too large for them."""


def check_finite(
    bridge: TransformerBridge,
    what: str,
    values: Float[Tensor, "*rows prompt"],
    tokens: Sequence[Int[Tensor, "prompt pos"]],
) -> None:
    """Refuse numbers of which some are NaN or infinite: nothing may rest on them.

    Args:
        bridge: The model that they are of.
        what: What they are, in words.
        values: The numbers, by prompt.
        tokens: What the model was run on for them, for example clean and corrupted prompts.

    Raises:
        NonFiniteError: It says on how many prompts, in which layer of the model's own forward pass
            the first such number appears, and what to try.

    """
    bad = ~values.isfinite().reshape(-1, values.shape[-1]).all(0)
    if not bad.any():
        return
    runs = [run.to(bad.device)[bad][:_PROMPTS_LOOKED_AT] for run in tokens]
    raise NonFiniteError(
        f"{what} is NaN or infinite on {int(bad.sum())} of {len(bad)} prompts, so that nothing can "
        f"be told from it: {_place(bridge, runs)}; {_advice(bridge)}"
    )


def _place(bridge: TransformerBridge, tokens: Iterable[Int[Tensor, "prompt pos"]]) -> str:
    """In words, where the model's own forward pass has its first bad number."""
    dtype = str(next(bridge.parameters()).dtype).removeprefix("torch.")
    stages = (*(f"layer {index}" for index in range(bridge.cfg.n_layers)), "the logits")
    found = [place for run in tokens if (place := _first_bad(bridge, run)) is not None]
    if not found:
        return f"the model's own forward pass, in {dtype}, has no such number"
    return f"the first such number of the forward pass, in {dtype}, is in {stages[min(found)]}"


def _first_bad(bridge: TransformerBridge, tokens: Int[Tensor, "prompt pos"]) -> int | None:
    """The lowest layer whose output is no number; one more for logits alone, None for nowhere."""
    device, n_layers = next(bridge.parameters()).device, bridge.cfg.n_layers
    bad: set[int] = set()

    def look_at(place: int) -> Callable[..., None]:
        def hook(value: Tensor, hook: object) -> None:
            if not bool(value.isfinite().all()):
                bad.add(place)

        return hook

    hooks: list[Any] = [(f"blocks.{i}.hook_resid_post", look_at(i)) for i in range(n_layers)]
    with torch.no_grad():
        look_at(n_layers)(bridge.run_with_hooks(tokens.to(device), fwd_hooks=hooks), None)
    return min(bad, default=None)


def _advice(bridge: TransformerBridge) -> str:
    """What to try, in words."""
    dtype = next(bridge.parameters()).dtype
    if dtype in _LOWER:
        return f"load the model in {_LOWER[dtype]} (dtype, --dtype)"
    damaged = [name for name, weight in bridge.named_parameters() if _is_damaged(weight)]
    if damaged:
        return (
            f"{len(damaged)} of its weights hold such numbers ({damaged[0]} for one): download or "
            "save the checkpoint again"
        )
    return "its weights are finite, so look at the prompts, and at a metric of your own"


def _is_damaged(weight: Tensor) -> bool:
    bad: Bool[Tensor, "*size"] = ~weight.isfinite()
    return bool(bad.any())
