"""Every setting of an evaluation, checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from circuits.errors import SettingError, unknown_name
from circuits.runtime.settings import Checked, setting
from circuits.runtime.sizes import LARGEST_SEED, MOST_PROMPTS

Ablation = Literal["mean", "resample", "zero"]
Ranking = Literal["signed", "absolute"]
Prompts = Literal["held-out", "discovery"]

ABLATIONS: tuple[Ablation, ...] = get_args(Ablation)
RANKINGS: tuple[Ranking, ...] = get_args(Ranking)
PROMPTS: tuple[Prompts, ...] = get_args(Prompts)


@dataclass(frozen=True)
class EvaluationConfig(Checked):
    """Settings of `Discovery.evaluate`.

    Raises:
        SettingError: A setting is unknown or out of range.

    >>> EvaluationConfig(n_prompts=128).curve_ablation
    'resample'
    """

    prompts: Prompts = setting(
        "held-out",
        "held-out (none of those of the discovery) or discovery.",
        choices=PROMPTS,
        metavar="WHICH",
    )
    n_prompts: int = setting(64, "Held-out prompt pairs.", least=2, most=MOST_PROMPTS, metavar="N")
    seed: int | None = setting(
        None,
        "Seed of the held-out prompts.",
        least=0,
        most=LARGEST_SEED,
        otherwise="the discovery's plus 1",
        metavar="N",
    )
    rankings: tuple[Ranking, ...] = RANKINGS
    score: str | None = setting(
        None,
        "By which scores the heads of the curves are ranked: path-effects, or a pruning's name.",
        otherwise="path effects, or where there are none the first pruning by name",
        metavar="NAME",
    )
    curve_ablation: Ablation = setting(
        "resample",
        "How the heads that the curve leaves out are replaced: mean, resample or zero. MIB's is "
        "resample.",
        choices=ABLATIONS,
        metavar="HOW",
    )
    confidence: float = setting(
        0.95, "Coverage of the intervals.", above=0, below=1, metavar="SHARE"
    )
    n_resamples: int = setting(
        2000,
        "Resamples of the prompts for the intervals.",
        least=2,
        most=MOST_PROMPTS,
        option="--resamples",
        metavar="N",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for ranking in self.rankings:
            if ranking not in RANKINGS:
                raise SettingError(unknown_name("ranking", ranking, RANKINGS))
