"""Searching on verified effects until nothing that is learned asks for more."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from jaxtyping import Bool, Float
from torch import Tensor

from circuits.circuit import Circuit
from circuits.components import Receiver
from circuits.search.grow import Selector, grow
from circuits.search.verification import Look, Verification
from circuits.search.verifier import Verifier

Find = Callable[[Selector], Circuit]
"""A search by one rule, on the effects that a verifier gives."""
Visit = Callable[[Receiver], None]


def verified(
    verifier: Verifier, rules: Sequence[Selector], find: Find
) -> list[tuple[Circuit, Verification]]:
    """Search by each rule until nothing learned on the way asks for more.

    When all searches have come to rest, a random sample of what they left is run. What that shows
    may set them going again; they end when the last look speaks for all that is left out.
    """
    looks: list[Look | None] = [None] * len(rules)
    while True:
        circuits = _settled(verifier, rules, find)
        left_out = list(map(verifier.left_out, rules, circuits))
        are_over = [_speaks(*both) for both in zip(looks, left_out, strict=True)]
        if all(are_over) or not verifier.n_sampled:
            return [
                (circuit, verifier.report(rule, circuit, look))
                for rule, circuit, look in zip(rules, circuits, looks, strict=True)
            ]
        anew = verifier.look(rules, circuits)
        looks = [
            old if is_over else new for old, is_over, new in zip(looks, are_over, anew, strict=True)
        ]


def verified_growth(
    verifier: Verifier,
    rules: Sequence[Selector],
    visit: Visit = lambda receiver: None,
) -> list[tuple[Circuit, Verification]]:
    """Grow a circuit for each rule, downward from the logits.

    `visit` is called with every receiver that is looked at.
    """

    def find(rule: Selector) -> Circuit:
        def effects_of(receiver: Receiver) -> Float[Tensor, " sender"]:
            visit(receiver)
            return verifier.effects(receiver, rule)

        return grow(effects_of, rule, verifier.graph)

    return verified(verifier, rules, find)


def _speaks(look: Look | None, left_out: Bool[Tensor, "receiver sender"]) -> bool:
    """Whether there is nothing to be said of what is left out that a look does not say."""
    return not left_out.any() or (look is not None and look.speaks_for(left_out))


def _settled(verifier: Verifier, rules: Sequence[Selector], find: Find) -> list[Circuit]:
    while True:
        n_verified = verifier.n_verified
        circuits = [find(rule) for rule in rules]
        if verifier.n_verified == n_verified:
            return circuits
