"""How far to prune: the settings of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from circuits.errors import SettingError
from circuits.runtime.settings import Checked, setting

CliffRule = Literal["first", "biggest", "smooth-first", "smooth-biggest", "fixed", "share"]
_PANEL = "Which heads and paths are kept"


@dataclass(frozen=True)
class PruningRule(Checked):
    """How far to prune: at which cliff in performance, or without looking at performance.

    The cut is the last sparsity before the drop: the `first` drop of at least 10 % of the curve's
    range within a window (10 % of its points), the `biggest` one, or either of them on the curve's
    moving average (`smooth-`). No curve is evaluated for `fixed`, which cuts at `fixed_sparsity`.
    These are APP's (arXiv 2511.05442, section 3); docs/pruning.md has the formulas, and where its
    code is different. Nor is one for `share`: it keeps
    the best heads that together hold `score_share` of the whole model's score, counting scores
    below 0 as 0. The larger it is, the more is kept of what path patching among all heads finds,
    and the more the search costs (`benchmarks.recall`). What `first` leaves out of the curve
    `full_curve` evaluates too; see `prune`.

    Raises:
        SettingError: The rule is unknown, or a sparsity or the share is not within 0 and 1.

    >>> PruningRule("fixed", fixed_sparsity=0.9).needs_curve
    False
    """

    cliff: CliffRule = setting(
        "first",
        "Where pruning ends: at a drop in performance (first, biggest, smooth-first, "
        "smooth-biggest), at 75% sparsity (fixed), or with the heads that hold --score-share of "
        "all score (share).",
        choices=get_args(CliffRule),
        otherwise="share for attribution, first for the others",
        metavar="RULE",
        panel=_PANEL,
    )
    lowest_sparsity: float = setting(
        0.60, "Where the curve of performance begins.", least=0, below=1, option=""
    )
    highest_sparsity: float = setting(0.99, "Where it ends.", above=0, below=1, option="")
    step: float = setting(0.01, "Between its points.", above=0, below=1, option="")
    full_curve: bool = setting(
        False,
        "Evaluate every sparsity, for the whole curve, also behind the first drop.",
        panel=_PANEL,
    )
    fixed_sparsity: float = setting(
        0.75, "Where to cut with --cliff fixed.", above=0, below=1, option=""
    )
    score_share: float = setting(
        0.625,
        "Share of all score that the heads left by --cliff share hold; more of them find more, at "
        "a higher price.",
        above=0,
        below=1,
        metavar="SHARE",
        panel=_PANEL,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.lowest_sparsity < self.highest_sparsity:
            raise SettingError(
                "sparsities must satisfy 0 <= lowest < highest < 1, got "
                f"{self.lowest_sparsity} and {self.highest_sparsity}"
            )

    @property
    def needs_curve(self) -> bool:
        """Whether performance decides."""
        return self.cliff not in ("fixed", "share")
