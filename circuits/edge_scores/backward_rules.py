"""EAP with other rules than the derivative for the way back: RelP and GIM.

The pieces of the model give what they gave, and have other derivatives; all else is EAP.

- RelP (Rezaei Jafari et al. 2025, arXiv 2508.21258): the scale of a norm is constant (LN rule); an
  activation function multiplies by a constant, f(x) / x (identity rule); of a gate's product each
  factor gets a half (half rule). Attention is differentiated, as in the authors' code, whose rule
  of constant patterns is off unless it is asked for.
- GIM (Edin et al. 2025, arXiv 2505.17630): the scale of a norm is constant; attention's softmax is
  differentiated at twice the temperature; of each product, query with key, pattern with value, and
  a gate's, each factor gets a half, so that queries and keys get a quarter and values a half.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from einops import reduce
from jaxtyping import Float, Int
from torch import Tensor, nn

from circuits.edge_scores.gradients import Point, mean_gradients
from circuits.edge_scores.registry import EdgeScoreSettings
from circuits.edge_scores.scorer import FunctionScorer, PerPrompt
from circuits.errors import UnsupportedModelError
from circuits.forward import Layer, LayeredModel
from circuits.forward.mlps import BlockMlp
from circuits.forward.norms import HeldNorm
from circuits.forward.projections import TensorMap
from circuits.masking import MaskedRuns
from circuits.runtime.progress import Progress

_TEMPERATURE = 2.0
_HALF, _QUARTER = 0.5, 0.25
_SMALLEST = 1e-6
"""What an activation function is divided by at least."""
Rule = Callable[[Layer], Layer]


def relp_layer(layer: Layer) -> Layer:
    """A block by RelP's rules. Raises UnsupportedModelError where its MLP has experts."""
    return _with_constant_scales(replace(layer, mlp=_ruled(layer.mlp, is_constant=True)))


def gim_layer(layer: Layer) -> Layer:
    """A block by GIM's rules. Raises UnsupportedModelError where its MLP has experts."""
    ruled = _with_constant_scales(replace(layer, mlp=_ruled(layer.mlp, is_constant=False)))
    return _GimLayer(**{one.name: getattr(ruled, one.name) for one in fields(ruled)})


def _score_by(rule: Rule, runs: MaskedRuns, progress: Progress) -> PerPrompt:
    model: LayeredModel = runs.activations.model
    ruled = replace(
        model,
        layers=tuple(map(rule, model.layers)),
        norm_final=_ConstantScale(model.norm_final),
    )
    return mean_gradients(runs.differentiated(ruled), [Point()], progress)


def _with_gradient_of(value: Tensor, way: Tensor) -> Tensor:
    """One value with the derivative of another."""
    return value.detach() + (way - way.detach())


def _scaled(value: Tensor, share: float) -> Tensor:
    """The value with a share of its derivative."""
    return _with_gradient_of(value, share * value)


@dataclass(frozen=True, eq=False)
class _ConstantScale:
    """A norm whose scale has no derivative."""

    norm: TensorMap

    def __call__(self, x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*normed_batch d"]:
        return _with_gradient_of(self.norm(x), HeldNorm.at(self.norm, x.detach())(x))


def _with_constant_scales(layer: Layer) -> Layer:
    held: dict[str, Any] = {}
    for name in ("norm_attention", "norm_attention_output", "norm_mlp", "norm_mlp_output"):
        norm = getattr(layer, name)
        # Some families put norms behind attention and the MLP alone, and give the stream as it is.
        if norm is not None and _is_norm(norm, layer):
            held[name] = _ConstantScale(norm)
    for name in ("norm_query", "norm_key"):
        norm = getattr(layer, name)
        if norm is not None:
            held[name] = replace(norm, norm=_ConstantScale(norm.norm))
    return replace(layer, **held)


def _is_norm(norm: TensorMap, layer: Layer) -> bool:
    probe = torch.linspace(-1, 1, layer.query.weight.shape[2]).to(layer.query.weight)
    return not norm(probe).equal(probe)


def _ruled(mlp: BlockMlp | None, is_constant: bool) -> BlockMlp | None:
    """An MLP whose product has half rules, and whose activation function may be constant."""
    if mlp is None:
        return None
    activations = list(_activations(mlp.function))
    if not activations or (isinstance(mlp.function, nn.Module) and _has_experts(mlp.function)):
        raise UnsupportedModelError(
            f"the rules of relp and gim are not defined here for {type(mlp.function).__name__}, an "
            "MLP of experts or without a module for its activation function: use eap or eap-ig"
        )

    def function(x: Tensor) -> Tensor:
        with ExitStack() as stack:
            for module in activations if is_constant else ():
                hook = module.register_forward_hook(_as_constant_factor)
                stack.callback(hook.remove)
            added = mlp.function(x)
        added = added[0] if isinstance(added, tuple) else added
        # What follows the product is linear, but for norms, which are held.
        return _scaled(added, _HALF) if mlp.is_gated else added

    return replace(mlp, function=function)


def _activations(function: Any) -> Iterator[nn.Module]:
    """Modules without weights that are called: what is no dropout is an activation function."""
    for module in function.modules() if isinstance(function, nn.Module) else ():
        is_leaf = not any(True for _ in module.children())
        is_linear = any(True for _ in module.parameters()) or isinstance(
            module, nn.Dropout | nn.Identity
        )
        if is_leaf and not is_linear and type(module).__name__ != "HookPoint":
            yield module


def _has_experts(module: nn.Module) -> bool:
    parts = module.modules()
    return any(w.ndim == 3 for w in module.parameters()) or any(hasattr(m, "top_k") for m in parts)


def _as_constant_factor(module: nn.Module, given: tuple[Tensor, ...], value: Tensor) -> Tensor:
    (x,) = given
    divisor = torch.where(x.abs() < _SMALLEST, torch.full_like(x, _SMALLEST), x)
    return _with_gradient_of(value, x * (value / divisor).detach())


class _Softmax(torch.autograd.Function):
    """A softmax that is differentiated at another temperature."""

    @staticmethod
    def forward(ctx: Any, scores: Tensor) -> Tensor:
        ctx.save_for_backward((scores / _TEMPERATURE).softmax(-1))
        return scores.softmax(-1)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> Tensor:
        (pattern,), (slope,) = ctx.saved_tensors, slopes
        return pattern * (slope - reduce(pattern * slope, "... key -> ... 1", "sum"))


class _GimLayer(Layer):
    """Attention by GIM's rules."""

    def queries(
        self,
        normed: Float[Tensor, "*batch token d_model"],
        positions: Int[Tensor, " token"],
        heads: list[int] | None = None,
    ) -> Float[Tensor, "*batch token head d_query"]:
        return _scaled(super().queries(normed, positions, heads), _QUARTER)

    def keys(
        self,
        normed: Float[Tensor, "*batch token d_model"],
        positions: Int[Tensor, " token"],
        kv_heads: list[int] | None = None,
    ) -> Float[Tensor, "*batch token kv_head d_query"]:
        return _scaled(super().keys(normed, positions, kv_heads), _QUARTER)

    def values(
        self, normed: Float[Tensor, "*batch token d_model"], kv_heads: list[int] | None = None
    ) -> Float[Tensor, "*batch token kv_head d_head"]:
        return _scaled(super().values(normed, kv_heads), _HALF)

    def softmax(self, scores: Float[Tensor, "*batch slot key"]) -> Float[Tensor, "*batch slot key"]:
        wide = scores.float() if scores.dtype.itemsize < torch.float32.itemsize else scores
        return _Softmax.apply(wide).to(scores.dtype)  # type: ignore[union-attr]


def _relp(runs: MaskedRuns, settings: EdgeScoreSettings, progress: Progress) -> PerPrompt:
    return _score_by(relp_layer, runs, progress)


def _gim(runs: MaskedRuns, settings: EdgeScoreSettings, progress: Progress) -> PerPrompt:
    return _score_by(gim_layer, runs, progress)


RELP = FunctionScorer(
    "relp", "EAP with the rules of layer-wise relevance propagation on the way back (RelP)", _relp
)
GIM = FunctionScorer(
    "gim",
    "EAP with products shared out and a softmax of twice the temperature on the way back",
    _gim,
)
