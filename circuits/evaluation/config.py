"""Every setting of an evaluation, checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Ablation = Literal["mean", "resample", "zero"]
Ranking = Literal["signed", "absolute"]
Prompts = Literal["held-out", "discovery"]

ABLATIONS: tuple[Ablation, ...] = get_args(Ablation)
RANKINGS: tuple[Ranking, ...] = get_args(Ranking)
PROMPTS: tuple[Prompts, ...] = get_args(Prompts)


@dataclass(frozen=True)
class EvaluationConfig:
    """Settings of `Discovery.evaluate`.

    Attributes:
        prompts: "held-out" from the discovery, or those of the "discovery" itself.
        n_prompts: How many held-out prompt pairs.
        seed: Seed of the held-out prompts; the discovery's plus 1 without.
        rankings: How the heads of the curves are ranked: by "signed" scores, heads that work
            against the task last, or by "absolute" ones. One curve for each.
        score: Which scores rank them: "path-effects", or a pruning's name. Without, path effects,
            or those of the first pruning by name where there are none.
        curve_ablation: How the heads that a curve leaves out are replaced. MIB's is "resample".
        confidence: Coverage of the intervals (0 to 1).
        n_resamples: Resamples of the prompts that the intervals are read from.

    Raises:
        ValueError: A setting is unknown or out of range.

    """

    prompts: Prompts = "held-out"
    n_prompts: int = 64
    seed: int | None = None
    rankings: tuple[Ranking, ...] = RANKINGS
    score: str | None = None
    curve_ablation: Ablation = "resample"
    confidence: float = 0.95
    n_resamples: int = 2000

    def __post_init__(self) -> None:
        chosen = [("prompts", self.prompts, PROMPTS)]
        chosen += [("ranking", ranking, RANKINGS) for ranking in self.rankings]
        chosen += [("curve_ablation", self.curve_ablation, ABLATIONS)]
        for name, given, known in chosen:
            if given not in known:
                raise ValueError(f"unknown {name} {given!r}; known: {', '.join(known)}")
        for name in ("n_prompts", "n_resamples"):
            if getattr(self, name) < 2:
                raise ValueError(
                    f"{name} must be at least 2, for an interval, got {getattr(self, name)}"
                )
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence must lie between 0 and 1, got {self.confidence}")
