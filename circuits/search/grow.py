"""Growing a circuit from path effects. Knows no model: effects come from a function."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, Protocol, get_args, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.circuit import Circuit
from circuits.components import HEAD_INPUTS, Edge, Head, Receiver

EffectsOf = Callable[[Receiver], Float[Tensor, "layer head"]]
Distance = Literal["linear", "sqrt"]
RuleKind = Literal["threshold", "significance"]
_LARGEST_OF_MANY = 2.0
"""How many usual errors the largest of some hundred may be."""
_BATCH_SHARE = 0.5
"""Senders run together keep a selection open at least this share of what the first one does."""


@runtime_checkable
class Selector(Protocol):
    """What decides which senders are kept."""

    def select(self, effects: Float[Tensor, "layer head"], receiver: Receiver) -> tuple[Head, ...]:
        """The senders kept for one receiver; NaN marks heads that send nothing to it."""
        ...

    def deciding(
        self,
        effects: Float[Tensor, "layer head"],
        errors: Float[Tensor, "layer head"],
        receiver: Receiver,
    ) -> tuple[Head, ...]:
        """The senders to be run exactly next; none when no selection can flip within the errors."""
        ...


@dataclass(frozen=True)
class SelectionRule:
    """When a sender is kept: because its effect stands out, or because it is no chance.

    Kind "threshold": |effect| - |mean effect| > t standard deviations.

    Mean and standard deviation run over all heads below the receiver; one that pruning left out
    counts as a sender without effect, so that a threshold means the same with and without pruning.
    For distance "linear", t = threshold + alpha * (layers between the sender and the nearest
    possible sender layer); for "sqrt", t = threshold + 2 / sqrt(number of heads up to the sender's
    layer). Nothing is kept where the largest |effect| is at most `min_effect`. Published rule: APP
    (arXiv 2511.05442) and its code; there `threshold` is searched over {1, 1.5, 2, 2.5},
    `min_effect` over {0.001, 0.002, 0.01, 0.02}, and the logits receiver always takes threshold 2.

    Kind "significance": because its effect is no chance of the prompts. That takes `min_effect` and
    `false_discovery_rate` alone, and p-values (`selection.SignificanceSelector`).

    Raises:
        ValueError: A number is out of range, or the kind or the distance is unknown.

    """

    threshold: float = 2.5
    logits_threshold: float = 2.0
    min_effect: float = 0.01
    distance: Distance = "sqrt"
    alpha: float = 0.1
    kind: RuleKind = "threshold"
    false_discovery_rate: float = 0.05

    def __post_init__(self) -> None:
        for name in ("threshold", "logits_threshold"):
            if not getattr(self, name) > 0:
                raise ValueError(
                    f"{name} must be > 0 standard deviations, got {getattr(self, name)}"
                )
        for name in ("min_effect", "alpha"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be >= 0, got {getattr(self, name)}")
        if not 0 < self.false_discovery_rate < 1:
            raise ValueError(
                f"false_discovery_rate must be above 0 and below 1, got {self.false_discovery_rate}"
            )
        for name, known in (("distance", get_args(Distance)), ("kind", get_args(RuleKind))):
            if getattr(self, name) not in known:
                raise ValueError(f"{name} must be one of {known}, got {getattr(self, name)!r}")

    @property
    def tests_significance(self) -> bool:
        """Whether the rule needs p-values."""
        return self.kind == "significance"

    def select(self, effects: Float[Tensor, "layer head"], receiver: Receiver) -> tuple[Head, ...]:
        """The senders kept for one receiver; NaN marks heads that send nothing to it."""
        self._check_needs_no_p_values()
        below = values_below(effects, receiver)
        if below.numel() < 2 or not below.abs().max() > self.min_effect:
            return ()
        return heads_in(below.abs() > self.limits(effects, receiver))

    def limits(
        self, effects: Float[Tensor, "layer head"], receiver: Receiver
    ) -> Float[Tensor, "lower_layer 1"]:
        """What |effect| must exceed on a receiver, by the sender's layer below it."""
        below = values_below(effects, receiver)
        return below.mean().abs() + self._thresholds(below, receiver) * below.std()

    def deciding(
        self,
        effects: Float[Tensor, "layer head"],
        errors: Float[Tensor, "layer head"],
        receiver: Receiver,
    ) -> tuple[Head, ...]:
        """The senders to be run exactly next; none when no selection can flip within the errors.

        A sender's own error counts in full. The limit it is measured against moves with the mean
        and the standard deviation of all effects: taking the errors of different senders as
        independent, by the root of the summed squares of what each alone could move it by. Those
        whose errors keep a selection most open are run first.
        Whether any effect is above `min_effect` rests on the largest of many errors, which count
        twice there. While that is open it is all that matters, and one sender that passes settles
        it: the likeliest is named alone.
        """
        self._check_needs_no_p_values()
        below, error = values_below(effects, receiver), values_below(errors, receiver)
        least, most = (below.abs() + sign * _LARGEST_OF_MANY * error for sign in (-1, 1))
        if below.numel() < 2 or not most.max() > self.min_effect:
            return ()
        limit, moves = self._limits(below, error, receiver)
        distance = below.abs() - limit
        reach = error + moves.flatten(1).square().sum(-1, keepdim=True).sqrt()
        if not least.max() > self.min_effect and bool((distance > -reach).any()):
            return heads_in(most == most.where(error > 0, 0.0).max())
        unsure = (distance.abs() <= reach) & (reach > 0)
        moving = moves.where(unsure.any(1)[:, None, None], 0.0).amax(0)
        weight = torch.maximum(error.where(unsure, 0.0), moving)
        return heads_in((weight > 0) & (weight >= _BATCH_SHARE * weight.max()))

    def _check_needs_no_p_values(self) -> None:
        if self.tests_significance:
            raise ValueError(
                "a significance rule was asked to select without p-values: give them by "
                "`selection.selector_of`, or use the threshold rule"
            )

    def _limits(
        self,
        below: Float[Tensor, "layer head"],
        error: Float[Tensor, "layer head"],
        receiver: Receiver,
    ) -> tuple[Float[Tensor, "layer 1"], Float[Tensor, "layer layer head"]]:
        """What |effect| must exceed in each layer, and by how much each sender's error moves that.

        The limit is convex in every effect: within one sender's error nothing moves it further
        than it rises at one of the two ends.
        """
        thresholds, n = self._thresholds(below, receiver), below.numel()
        mean, spread = below.mean(), below.std()
        limit = mean.abs() + thresholds * spread
        rises = []
        for change in (error, -error):
            squares = (n - 1) * spread**2 + 2 * change * (below - mean) + change**2 * (n - 1) / n
            moved = thresholds[..., None] * (squares.clamp(min=0) / (n - 1)).sqrt()
            rises.append((mean + change / n).abs() + moved - limit[..., None])
        return limit, torch.maximum(*rises).clamp(min=0).where(error > 0, 0.0)

    def _thresholds(
        self, below: Float[Tensor, "layer head"], receiver: Receiver
    ) -> Float[Tensor, "layer 1"]:
        n_layers, n_heads = below.shape
        base = self.logits_threshold if receiver.head is None else self.threshold
        layer = torch.arange(n_layers, dtype=below.dtype)[:, None]
        if self.distance == "sqrt":
            return base + 2 / ((layer + 1) * n_heads).sqrt()
        return base + self.alpha * (n_layers - 1 - layer)


def grow(effects_of: EffectsOf, rule: Selector, n_layers: int, n_heads: int) -> Circuit:
    """From the logits downward: senders that are kept become receivers, until none is new.

    Receivers are visited from the top layer down, so that every sender of a head is known before
    the head's own inputs are looked at, and one layer's receivers follow each other.
    """
    edges: set[Edge] = set()
    heads: set[Head] = set()
    waiting: list[tuple[int, int]] = []
    receivers: Iterator[Receiver] = iter([Receiver.logits()])
    while True:
        for receiver in receivers:
            effects = effects_of(receiver)
            for sender in rule.select(effects, receiver):
                edges.add(Edge(sender, receiver, float(effects[sender.layer, sender.index])))
                if sender not in heads and sender.layer > 0:
                    heapq.heappush(waiting, (-sender.layer, sender.index))
                heads.add(sender)
        if not waiting:
            return Circuit(frozenset(heads), frozenset(edges), n_layers, n_heads)
        layer, index = heapq.heappop(waiting)
        receivers = (Receiver(Head(-layer, index), name) for name in HEAD_INPUTS)


def values_below(
    values: Float[Tensor, "layer head"], receiver: Receiver
) -> Float[Tensor, "lower_layer head"]:
    """The part below a receiver, in float64; heads that send nothing to it count as 0."""
    n_layers = len(values) if receiver.head is None else receiver.head.layer
    return values[:n_layers].double().nan_to_num(0.0)


def heads_in(mask: Bool[Tensor, "layer head"]) -> tuple[Head, ...]:
    return tuple(Head(layer, index) for layer, index in mask.nonzero().tolist())
