"""Keeping the senders whose effect is larger than one that counts. Knows no model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from circuits.components import Node, Receiver
from circuits.errors import SettingError
from circuits.graph import ModelGraph
from circuits.search.grow import Selector, chosen
from circuits.search.rules import SelectionRule
from circuits.search.threshold import ThresholdSelector, known_effects
from circuits.statistics.significance import discoveries, least_p_value, prompts_needed

PValuesOf = Callable[[Receiver, float], Float[Tensor, " sender"]]
"""Of the null hypothesis that a sender's |effect| on the receiver is at most so large; NaN: not
tested."""


def selector_of(rule: SelectionRule, graph: ModelGraph, p_values_of: PValuesOf) -> Selector:
    """What a rule selects by: how effects stand out, or p-values where it tests significance.

    >>> rule = SelectionRule(kind="significance", min_effect=0.01)
    >>> selector = selector_of(rule, graph, lambda receiver, least: torch.full((12,), 0.001))
    >>> len(selector.select(torch.full((12,), 0.1), Receiver.logits()))  # all of twelve heads
    12
    """
    if rule.tests_significance:
        return SignificanceSelector(rule, graph, p_values_of)
    return ThresholdSelector(rule, graph)


@dataclass(frozen=True)
class SignificanceSelector:
    """Keep senders of which the prompts show that their |effect| is above `min_effect`.

    Among the senders that are kept for one receiver, at most a share `false_discovery_rate` is
    expected to have a smaller effect (Benjamini and Hochberg 1995, see `statistics.significance`).
    The test is against `min_effect`, not against 0: to test against 0 and then drop what is small
    keeps those that chance made large, and of what is kept nearly all can be false. With a
    `min_effect` of 0 it asks whether there is any effect. So an effect that is larger by little is
    found only with many prompts.

    Heads that pruning left out are not tested and do not count. P-values are those of estimates;
    where paths are verified, one whose exact effect is not above `min_effect` is dropped, too. The
    rate holds receiver by receiver, not for the whole circuit, and for prompts that are drawn
    independently.

    >>> p_values = torch.tensor([0.001, 0.8, 0.002, 0.5])
    >>> rule = SelectionRule(kind="significance", min_effect=0.01)
    >>> selector = SignificanceSelector(rule, graph, lambda receiver, least: p_values)
    >>> effects = torch.tensor([-0.3, -0.3, 0.001, 0.0])  # one by chance, one exact and too small
    >>> [str(sender) for sender in selector.select(effects, Receiver.parse("1.0.v"))]
    ['0.0']
    """

    rule: SelectionRule
    graph: ModelGraph
    p_values_of: PValuesOf

    def select(self, effects: Float[Tensor, " sender"], receiver: Receiver) -> tuple[Node, ...]:
        """The senders kept for one receiver; NaN marks what sends nothing to it."""
        large = known_effects(effects).abs() > self.rule.min_effect
        return chosen(self._significant(receiver) & large, self.graph)

    def deciding(
        self,
        effects: Float[Tensor, " sender"],
        errors: Float[Tensor, " sender"],
        receiver: Receiver,
    ) -> tuple[Node, ...]:
        """The significant senders whose |effect| could be on either side of `min_effect`.

        P-values are taken as they are: what an error could flip is how large an effect is.
        """
        size, error = known_effects(effects).abs(), known_effects(errors)
        unsure = ((size - self.rule.min_effect).abs() <= error) & (error > 0)
        return chosen(self._significant(receiver) & unsure, self.graph)

    def _significant(self, receiver: Receiver) -> Bool[Tensor, " sender"]:
        p_values = self.p_values_of(receiver, self.rule.min_effect)
        return discoveries(p_values, self.rule.false_discovery_rate)


def check_power(rule: SelectionRule, n_prompts: int, n_senders: int) -> None:
    """Raise SettingError where no sender could be significant alone, however clear its effect."""
    level = rule.false_discovery_rate / max(n_senders, 1)
    least = 2 * least_p_value(n_prompts, "greater")
    if not rule.tests_significance or least <= level:
        return
    needed = prompts_needed(level / 2, "greater")
    advice = "prune further" if needed is None else f"give at least {needed} prompts"
    raise SettingError(
        f"{n_prompts} prompts give p-values of {least:.2g} at best, but one "
        f"of {n_senders} senders is significant below {level:.2g} "
        f"(false_discovery_rate {rule.false_discovery_rate:g}): {advice}, "
        "allow a higher rate, or use the threshold rule"
    )
