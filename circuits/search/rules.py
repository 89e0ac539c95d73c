"""When a sender is kept: the settings of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from circuits.runtime.settings import Checked, setting

Distance = Literal["sqrt", "linear"]
RuleKind = Literal["threshold", "significance"]
_PANEL = "Which heads and paths are kept"


@dataclass(frozen=True)
class SelectionRule(Checked):
    """When a sender is kept: because its effect stands out, or because it is surely large enough.

    Kind "threshold": |effect| - |mean effect| > t standard deviations.

    Mean and standard deviation run over all heads below the receiver; one that pruning left out
    counts as a sender without effect, so that a threshold means the same with and without pruning.
    For distance "linear", t = threshold + alpha * (layers between the sender and the nearest
    possible sender layer); for "sqrt", t = threshold + 2 / sqrt(number of senders up to the
    sender's layer). Nothing is kept where the largest |effect| is at most `min_effect`. Published
    rule: APP (arXiv 2511.05442) and its code; there `threshold` is searched over {1, 1.5, 2, 2.5},
    `min_effect` over {0.001, 0.002, 0.01, 0.02}, and the logits receiver always takes threshold 2.
    Where MLPs and the embedding are nodes, heads of the first layer may read the embedding alone,
    which stands out among nothing: it is kept where its |effect| is above `min_effect`.

    Kind "significance": because the prompts show that its |effect| is above `min_effect`. That
    takes `min_effect` and `false_discovery_rate` alone, and p-values (`search.significant`).

    Raises:
        SettingError: A number is out of range, or the kind or the distance is unknown.

    >>> SelectionRule(threshold=2.0).min_effect
    0.01
    """

    threshold: float = setting(
        2.5,
        "Standard deviations by which a sender's effect on a head must stand out.",
        above=0,
        metavar="T",
        panel=_PANEL,
    )
    logits_threshold: float = setting(
        2.0, "The same for a sender's effect on the logits.", above=0, metavar="T", panel=_PANEL
    )
    min_effect: float = setting(
        0.01,
        "Receivers without any effect larger than this keep no sender; with --rule significance, "
        "what a sender's effect is tested to be above.",
        least=0,
        metavar="E",
        panel=_PANEL,
    )
    distance: Distance = setting(
        "sqrt",
        "How the threshold grows with distance.",
        choices=get_args(Distance),
        metavar="RULE",
        panel=_PANEL,
    )
    alpha: float = setting(
        0.1, "Growth per layer where --distance is linear.", least=0, metavar="A", panel=_PANEL
    )
    kind: RuleKind = setting(
        "threshold",
        "When a sender is kept: threshold (its effect stands out) or significance (the prompts "
        "show that it is above --min-effect).",
        choices=get_args(RuleKind),
        option="--rule",
        metavar="KIND",
        panel=_PANEL,
    )
    false_discovery_rate: float = setting(
        0.05,
        "With --rule significance, the share of what is kept for a head that may be smaller.",
        above=0,
        below=1,
        metavar="R",
        panel=_PANEL,
    )

    @property
    def tests_significance(self) -> bool:
        """Whether the rule needs p-values."""
        return self.kind == "significance"
