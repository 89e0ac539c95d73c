"""Growing a circuit from path effects. Knows no model: effects come from a function."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.circuit import Circuit
from circuits.components import HEAD_INPUTS, Edge, Head, Receiver
from circuits.significance import discoveries

EffectsOf = Callable[[Receiver], Float[Tensor, "layer head"]]
PValuesOf = Callable[[Receiver], Float[Tensor, "layer head"]]
"""Of the null hypothesis that a sender has no effect on the receiver; NaN: not tested."""
Distance = Literal["linear", "sqrt"]
RuleKind = Literal["threshold", "significance"]


def no_p_values(receiver: Receiver) -> Float[Tensor, "layer head"]:
    """In the place of p-values that nobody has. Raises ValueError."""
    raise ValueError(
        f"a significance rule was asked about {receiver} without p-values: "
        "give a function from receivers to p-values, or use the threshold rule"
    )


@dataclass(frozen=True)
class SelectionRule:
    """When a sender is kept: by how far its effect stands out, or by whether it is chance.

    Kind "threshold": |effect| - |mean effect| > t standard deviations.

    Mean and standard deviation run over all heads below the receiver; one that pruning left out
    counts as a sender without effect, so that a threshold means the same with and without pruning.
    For distance "linear", t = threshold + alpha * (layers between the sender and the nearest
    possible sender layer); for "sqrt", t = threshold + 2 / sqrt(number of heads up to the sender's
    layer). Nothing is kept where the largest |effect| is at most `min_effect`. Published rule: APP
    (arXiv 2511.05442) and its code; there `threshold` is searched over {1, 1.5, 2, 2.5},
    `min_effect` over {0.001, 0.002, 0.01, 0.02}, and the logits receiver always takes threshold 2.

    Kind "significance": |effect| > `min_effect`, and the effect's sign is no chance of the prompts:
    among all senders of the receiver that are kept, at most a share `false_discovery_rate` is
    expected to have none (Benjamini and Hochberg 1995, see `significance`). The thresholds and
    `distance` play no part there. Heads that pruning left out are not tested and do not count.

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
        """Whether the rule asks for p-values."""
        return self.kind == "significance"

    def select(
        self,
        effects: Float[Tensor, "layer head"],
        receiver: Receiver,
        p_values_of: PValuesOf = no_p_values,
    ) -> tuple[Head, ...]:
        """The senders kept for one receiver; NaN marks heads that send nothing to it.

        Only a rule that tests significance asks for p-values.
        """
        below = _below(effects, receiver)
        if self.tests_significance:
            significant = self._significant(receiver, p_values_of)
            return _heads(significant & (below.abs() > self.min_effect))
        if below.numel() < 2 or not below.abs().max() > self.min_effect:
            return ()
        limit = below.mean().abs() + self._thresholds(below, receiver) * below.std()
        return _heads(below.abs() > limit)

    def undecided(
        self,
        effects: Float[Tensor, "layer head"],
        errors: Float[Tensor, "layer head"],
        receiver: Receiver,
        p_values_of: PValuesOf = no_p_values,
    ) -> tuple[Head, ...]:
        """The senders whose selection could flip while every effect is uncertain by its error.

        P-values are taken as they are: a significant sender is undecided while its |effect| could
        be on either side of `min_effect`.

        By thresholds, a sender's own error counts in full. The limit it is measured against moves
        with the mean and the standard deviation of all effects: taking the errors of different
        senders as independent, by the root of the summed squares of what each alone could move it
        by.
        """
        below, error = _below(effects, receiver), _below(errors, receiver)
        if self.tests_significance:
            distance = (below.abs() - self.min_effect).abs()
            unsure = (distance <= error) & (error > 0)
            return _heads(self._significant(receiver, p_values_of) & unsure)
        least, most = below.abs() - error, below.abs() + error
        if below.numel() < 2 or not most.max() > self.min_effect:
            return ()
        limit, limit_error = self._limits(below, error, receiver)
        distance, reach = below.abs() - limit, error + limit_error
        unsure = (distance.abs() <= reach) & (reach > 0)
        if not least.max() > self.min_effect and bool((distance > -reach).any()):
            unsure |= (most > self.min_effect) & (error > 0)
        return _heads(unsure)

    def _significant(
        self, receiver: Receiver, p_values_of: PValuesOf
    ) -> Bool[Tensor, "lower_layer head"]:
        p_values = p_values_of(receiver)
        n_layers = len(p_values) if receiver.head is None else receiver.head.layer
        return discoveries(p_values[:n_layers], self.false_discovery_rate)

    def _limits(
        self,
        below: Float[Tensor, "layer head"],
        error: Float[Tensor, "layer head"],
        receiver: Receiver,
    ) -> tuple[Float[Tensor, "layer 1"], Float[Tensor, "layer 1"]]:
        """What |effect| must exceed, and how uncertain that is.

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
        most = torch.maximum(*rises).clamp(min=0).where(error > 0, 0.0)
        return limit, most.flatten(1).square().sum(-1, keepdim=True).sqrt()

    def _thresholds(
        self, below: Float[Tensor, "layer head"], receiver: Receiver
    ) -> Float[Tensor, "layer 1"]:
        n_layers, n_heads = below.shape
        base = self.logits_threshold if receiver.head is None else self.threshold
        layer = torch.arange(n_layers, dtype=below.dtype)[:, None]
        if self.distance == "sqrt":
            return base + 2 / ((layer + 1) * n_heads).sqrt()
        return base + self.alpha * (n_layers - 1 - layer)


def grow(
    effects_of: EffectsOf,
    rule: SelectionRule,
    n_layers: int,
    n_heads: int,
    p_values_of: PValuesOf = no_p_values,
) -> Circuit:
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
            for sender in rule.select(effects, receiver, p_values_of):
                edges.add(Edge(sender, receiver, float(effects[sender.layer, sender.index])))
                if sender not in heads and sender.layer > 0:
                    heapq.heappush(waiting, (-sender.layer, sender.index))
                heads.add(sender)
        if not waiting:
            return Circuit(frozenset(heads), frozenset(edges), n_layers, n_heads)
        layer, index = heapq.heappop(waiting)
        receivers = (Receiver(Head(-layer, index), name) for name in HEAD_INPUTS)


def _below(
    values: Float[Tensor, "layer head"], receiver: Receiver
) -> Float[Tensor, "lower_layer head"]:
    """The part below a receiver, in float64; heads that send nothing to it count as 0."""
    n_layers = len(values) if receiver.head is None else receiver.head.layer
    return values[:n_layers].double().nan_to_num(0.0)


def _heads(mask: Bool[Tensor, "layer head"]) -> tuple[Head, ...]:
    return tuple(Head(layer, index) for layer, index in mask.nonzero().tolist())
