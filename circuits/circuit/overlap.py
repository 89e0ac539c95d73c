"""What two sets share, and what only one of them has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True)
class Overlap(Generic[Item]):
    """Agreement of a circuit's heads, or of its connections, with a reference's.

    Attributes:
        true_positives: In both.
        false_positives: In the circuit alone.
        false_negatives: In the reference alone.

    >>> found = Circuit.of_heads(["9.6", "9.9"], 12, 12)
    >>> overlap = found.compare(Circuit.of_heads(["9.9", "10.0", "10.7", "11.10"], 12, 12))
    >>> overlap.precision, overlap.recall
    (0.5, 0.25)
    """

    true_positives: frozenset[Item]
    false_positives: frozenset[Item]
    false_negatives: frozenset[Item]

    @classmethod
    def of(cls, found: frozenset[Item], reference: frozenset[Item]) -> Overlap[Item]:
        """What two sets share, and what only one of them has."""
        return cls(found & reference, found - reference, reference - found)

    @property
    def precision(self) -> float:
        """Share of what was found that is in the reference; NaN where nothing was found."""
        return _share(len(self.true_positives), len(self.true_positives | self.false_positives))

    @property
    def recall(self) -> float:
        """Share of the reference that was found; NaN for an empty reference."""
        return _share(len(self.true_positives), len(self.true_positives | self.false_negatives))

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall (Dice coefficient); NaN where both are empty."""
        wrong = len(self.false_positives) + len(self.false_negatives)
        return _share(2 * len(self.true_positives), 2 * len(self.true_positives) + wrong)

    @property
    def iou(self) -> float:
        """Intersection over union (Jaccard index); NaN where both are empty."""
        union = self.true_positives | self.false_positives | self.false_negatives
        return _share(len(self.true_positives), len(union))


def _share(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
