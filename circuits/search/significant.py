"""Keeping the senders whose effect is no chance of the prompts. Knows no model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor

from circuits.components import Head, Receiver
from circuits.search.grow import SelectionRule, Selector, heads_in, values_below
from circuits.statistics.significance import discoveries, least_p_value, prompts_needed

PValuesOf = Callable[[Receiver], Float[Tensor, "layer head"]]
"""Of the null hypothesis that a sender has no effect on the receiver; NaN: not tested."""


def selector_of(rule: SelectionRule, p_values_of: PValuesOf) -> Selector:
    """What a rule selects by: itself, or p-values where it tests significance."""
    return SignificanceSelector(rule, p_values_of) if rule.tests_significance else rule


@dataclass(frozen=True)
class SignificanceSelector:
    """Keep senders whose |effect| is above `min_effect` and whose effect is no chance of prompts.

    Among the senders that are significant for one receiver, at most a share `false_discovery_rate`
    is expected to have no effect (Benjamini and Hochberg 1995, see `significance`). Heads that
    pruning left out are not tested and do not count. The rate holds receiver by receiver, not for
    the whole circuit; where no sender has any effect, the search ends at the logits but for a
    probability of `false_discovery_rate`.
    """

    rule: SelectionRule
    p_values_of: PValuesOf

    def select(self, effects: Float[Tensor, "layer head"], receiver: Receiver) -> tuple[Head, ...]:
        """The senders kept for one receiver; NaN marks heads that send nothing to it."""
        large = values_below(effects, receiver).abs() > self.rule.min_effect
        return heads_in(self._significant(receiver) & large)

    def deciding(
        self,
        effects: Float[Tensor, "layer head"],
        errors: Float[Tensor, "layer head"],
        receiver: Receiver,
    ) -> tuple[Head, ...]:
        """The significant senders whose |effect| could be on either side of `min_effect`.

        P-values are taken as they are: what an error could flip is how large an effect is.
        """
        below, error = values_below(effects, receiver), values_below(errors, receiver)
        unsure = ((below.abs() - self.rule.min_effect).abs() <= error) & (error > 0)
        return heads_in(self._significant(receiver) & unsure)

    def _significant(self, receiver: Receiver) -> Bool[Tensor, "lower_layer head"]:
        p_values = self.p_values_of(receiver)
        n_layers = len(p_values) if receiver.head is None else receiver.head.layer
        return discoveries(p_values[:n_layers], self.rule.false_discovery_rate)


def check_power(rule: SelectionRule, n_prompts: int, n_senders: int) -> None:
    """Raise ValueError where no sender could be significant alone, however clear its effect."""
    level = rule.false_discovery_rate / max(n_senders, 1)
    if not rule.tests_significance or least_p_value(n_prompts) <= level:
        return
    needed = prompts_needed(level)
    advice = "prune further" if needed is None else f"give at least {needed} prompts"
    raise ValueError(
        f"{n_prompts} prompts give p-values of {least_p_value(n_prompts):.2g} at best, but one "
        f"of {n_senders} senders is significant below {level:.2g} "
        f"(false_discovery_rate {rule.false_discovery_rate:g}): {advice}, "
        "allow a higher rate, or use the threshold rule"
    )
