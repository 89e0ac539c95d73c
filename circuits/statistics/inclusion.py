"""How often repeated circuits have each of their parts, and which of that is no chance.

Knows no model: a circuit is a set. Of `n` circuits each is drawn anew, so how many of them have a
part is binomial, and its interval is Clopper and Pearson's. By chance, a uniformly random set of
the same size, out of everything possible, has a part with probability size / possible. Over
circuits of unlike sizes the number of such sets that have it is a sum of unlike coins (the Poisson
binomial distribution, of which the binomial is the case of equal sizes), and a part is tested
against the upper tail of that. There are as many tests as there are possible parts; those that no
circuit has count among them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

import numpy as np
import torch
from jaxtyping import Float

from circuits.errors import InputError
from circuits.statistics.inclusion_rule import InclusionRule
from circuits.statistics.intervals import Estimate, proportion
from circuits.statistics.significance import discoveries

Item = TypeVar("Item")
Kind = Literal["core", "contingent", "noise"]
_ROUNDING = 1e-9


@dataclass(frozen=True)
class Included(Generic[Item]):
    """A part that at least one circuit has.

    Attributes:
        item: The part.
        count: How many circuits have it.
        share: Their share, with its interval over circuits.
        p_value: Share of random sets of the same sizes that would have it at least as often.
        kind: "noise": no more often than chance would have it. Of all others, "core" is what nearly
            every circuit has, "contingent" the rest.

    >>> inclusions = Inclusions.of([frozenset("ab"), frozenset("ac"), frozenset("a")], 100)
    >>> first = inclusions.rows[0]
    >>> first.item, first.count, f"{first.share:.2f}", first.kind
    ('a', 3, '1.00 [0.29, 1.00]', 'core')
    """

    item: Item
    count: int
    share: Estimate
    p_value: float
    kind: Kind


@dataclass(frozen=True)
class Inclusions(Generic[Item]):
    """How often circuits have each of their parts.

    Attributes:
        n_possible: How many parts a circuit can have.
        sizes: How many each circuit has.
        rows: Every part that any of them has, those that are in most first.

    Raises:
        InputError: There is no circuit, or one has more parts than are possible.

    >>> inclusions = Inclusions.of([frozenset("ab"), frozenset("ac"), frozenset("a")], 100)
    >>> [row.item for row in inclusions.rows], inclusions.counts
    (['a', 'b', 'c'], {'core': 1, 'contingent': 0, 'noise': 2})
    """

    n_possible: int
    sizes: tuple[int, ...]
    rows: tuple[Included[Item], ...]

    @classmethod
    def of(
        cls,
        circuits: Sequence[frozenset[Item]],
        n_possible: int,
        rule: InclusionRule | None = None,
    ) -> Inclusions[Item]:
        """Count, estimate and test every part of some circuits.

        Args:
            circuits: The parts of each, which can be sorted.
            n_possible: How many there are that a circuit could have.
            rule: Bounds of what parts are called, and how sure.

        """
        rule, n = rule or InclusionRule(), len(circuits)
        counts = Counter(item for circuit in circuits for item in circuit)
        sizes = tuple(map(len, circuits))
        if not n or max(len(counts), *sizes) > n_possible:
            raise InputError(
                "inclusion is counted over one circuit or more, of parts that are possible; got "
                f"{n} circuits that have {len(counts)} different parts of {n_possible} possible"
            )
        p_values = chance_p_values([size / n_possible for size in sizes])
        is_noise = _noise(counts, p_values, n_possible, rule.false_discovery_rate)

        def included(item: Item, count: int) -> Included[Item]:
            is_core = count >= least_count(rule.core, n)
            kind: Kind = "noise" if is_noise[count] else "core" if is_core else "contingent"
            return Included(item, count, shares[count], float(p_values[count]), kind)

        shares = {k: proportion(k, n, rule.confidence) for k in set(counts.values())}
        every: list[tuple[Any, int]] = sorted(counts.items())
        ranked = sorted(every, key=lambda one: -one[1])
        return cls(n_possible, sizes, tuple(included(*one) for one in ranked))

    @property
    def n_circuits(self) -> int:
        """How many circuits there are."""
        return len(self.sizes)

    @property
    def counts(self) -> dict[Kind, int]:
        """How many parts are of each kind."""
        found = Counter(row.kind for row in self.rows)
        return {kind: found[kind] for kind in ("core", "contingent", "noise")}

    def of_kind(self, kind: Kind) -> frozenset[Item]:
        """The parts of a kind."""
        return frozenset(row.item for row in self.rows if row.kind == kind)

    def at_least(self, share: float | int) -> frozenset[Item]:
        """The parts that at least a share of the circuits has."""
        least = least_count(share, self.n_circuits)
        return frozenset(row.item for row in self.rows if row.count >= least)


def least_count(share: float | int, n: int) -> int:
    """The smallest whole number that is at least a share of `n`; 1 or more.

    >>> least_count(0.95, 20), least_count(0.95, 10), least_count(0.01, 10)
    (19, 10, 1)
    """
    return max(1, int(np.ceil(share * n - _ROUNDING)))


def chance_p_values(shares: Sequence[float | int]) -> Float[np.ndarray, " count"]:
    """The probability that at least 0, 1, 2, ... of some coins show heads.

    Args:
        shares: How likely each coin is to.

    >>> chance_p_values([0.5, 0.5]).tolist()
    [1.0, 0.75, 0.25]
    """
    density = np.ones(1)
    for share in shares:
        density = np.convolve(density, [1 - share, share])
    # Summed from the far end, where the numbers are small.
    return density[::-1].cumsum()[::-1].clip(max=1.0)


def _noise(
    counts: Counter[Any], p_values: Float[np.ndarray, " count"], n_possible: int, rate: float
) -> dict[int, bool]:
    """Of each count, whether parts that so many circuits have are not significantly above chance.

    Benjamini and Hochberg's rate over all that is possible. In random sets parts exclude each other
    a little, where the rate was proved for tests that are independent or depend positively.
    """
    tested = torch.ones(n_possible, dtype=torch.float64)
    number = torch.tensor(list(counts.values()), dtype=torch.long)
    tested[: len(number)] = torch.from_numpy(p_values.copy())[number]
    found = discoveries(tested, rate)[: len(number)].tolist()
    return {count: not shown for count, shown in zip(counts.values(), found, strict=True)}
