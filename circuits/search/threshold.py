"""Keeping the senders whose effect stands out among those of one receiver. Knows no model."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.components import Node, Receiver
from circuits.graph import ModelGraph
from circuits.search.grow import chosen
from circuits.search.rules import SelectionRule

_LARGEST_OF_MANY = 2.0
"""How many usual errors the largest of some hundred may be."""
_BATCH_SHARE = 0.5
"""Senders run together keep a selection open at least this share of what the first one does."""


@dataclass(frozen=True)
class ThresholdSelector:
    """Keep senders whose |effect| stands out: the rule of kind "threshold" (`SelectionRule`).

    >>> rule = SelectionRule(threshold=1.0, distance="linear")
    >>> effects = torch.tensor([-0.5, 0.0, 0.01, -0.02])  # of layer 0 on a value of layer 1
    >>> selected = ThresholdSelector(rule, graph).select(effects, Receiver.parse("1.0.v"))
    >>> [str(sender) for sender in selected]
    ['0.0']
    """

    rule: SelectionRule
    graph: ModelGraph

    def select(self, effects: Float[Tensor, " sender"], receiver: Receiver) -> tuple[Node, ...]:
        """The senders kept for one receiver, of those that it may read."""
        known = known_effects(effects)
        if known.numel() == 0 or not known.abs().max() > self.rule.min_effect:
            return ()
        if known.numel() == 1:
            return chosen(torch.tensor([self.graph.has_mlps]), self.graph)
        return chosen(known.abs() > self.limits(effects, receiver), self.graph)

    def limits(
        self, effects: Float[Tensor, " sender"], receiver: Receiver
    ) -> Float[Tensor, " sender"]:
        """What |effect| of each sender must exceed."""
        known = known_effects(effects)
        return known.mean().abs() + self._thresholds(receiver) * known.std()

    def deciding(
        self,
        effects: Float[Tensor, " sender"],
        errors: Float[Tensor, " sender"],
        receiver: Receiver,
    ) -> tuple[Node, ...]:
        """The senders to be run exactly next; none when no selection can flip within the errors.

        A sender's own error counts in full. The limit it is measured against moves with the mean
        and the standard deviation of all effects: taking the errors of different senders as
        independent, by the root of the summed squares of what each alone could move it by. Those
        whose errors keep a selection most open are run first.
        Whether any effect is above `min_effect` rests on the largest of many errors, which count
        twice there. While that is open it is all that matters, and one sender that passes settles
        it: the likeliest is named alone.
        """
        known, error = known_effects(effects), known_effects(errors)
        least, most = (known.abs() + sign * _LARGEST_OF_MANY * error for sign in (-1, 1))
        if known.numel() < 2 or not most.max() > self.rule.min_effect:
            alone = self.graph.has_mlps and known.numel() == 1
            unsure = (known.abs() - self.rule.min_effect).abs() <= error
            return chosen(unsure & (error > 0), self.graph) if alone else ()
        limit, moves = self._limits(known, error, receiver)
        distance = known.abs() - limit
        reach = error + moves.square().sum(-1).sqrt()
        if not least.max() > self.rule.min_effect and bool((distance > -reach).any()):
            return chosen(most == most.where(error > 0, 0.0).max(), self.graph)
        unsure = (distance.abs() <= reach) & (reach > 0)
        moving = moves.where(unsure[:, None], 0.0).amax(0)
        weight = torch.maximum(error.where(unsure, 0.0), moving)
        return chosen((weight > 0) & (weight >= _BATCH_SHARE * weight.max()), self.graph)

    def _limits(
        self, known: Float[Tensor, " sender"], error: Float[Tensor, " sender"], receiver: Receiver
    ) -> tuple[Float[Tensor, " sender"], Float[Tensor, "sender sender"]]:
        """What |effect| of each sender must exceed, and how far each sender's error moves that.

        The limit is convex in every effect: within one sender's error nothing moves it further
        than it rises at one of the two ends.
        """
        thresholds, n = self._thresholds(receiver), known.numel()
        mean, spread = known.mean(), known.std()
        limit = mean.abs() + thresholds * spread
        rises = []
        for change in (error, -error):
            squares = (n - 1) * spread**2 + 2 * change * (known - mean) + change**2 * (n - 1) / n
            moved = thresholds[:, None] * (squares.clamp(min=0) / (n - 1)).sqrt()
            rises.append((mean + change / n).abs() + moved - limit[:, None])
        return limit, torch.maximum(*rises).clamp(min=0).where(error > 0, 0.0)

    def _thresholds(self, receiver: Receiver) -> Float[Tensor, " sender"]:
        rule, below = self.rule, self.graph.senders_below(receiver)
        base = rule.logits_threshold if receiver.is_logits else rule.threshold
        layer = torch.tensor([sender.layer for sender in below], dtype=torch.float64)
        if rule.distance == "sqrt":
            up_to = torch.searchsorted(layer, layer, right=True).double()
            return base + 2 / up_to.sqrt()
        return base + rule.alpha * (layer[-1:] - layer)


def known_effects(values: Float[Tensor, " sender"]) -> Float[Tensor, " sender"]:
    """In float64; what is not known counts as 0."""
    return values.double().nan_to_num(0.0)
