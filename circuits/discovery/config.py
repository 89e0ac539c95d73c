"""Every setting of a discovery, checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from circuits.metrics import get_metric
from circuits.pruning import PruningRule
from circuits.scores import Contrast
from circuits.search.grow import SelectionRule

PruneBy = Literal["attribution", "flap", "contrastive-flap", "merged-flap"]
Method = Literal["app", "path-patching", "attribution", "flap", "contrastive-flap", "merged-flap"]
Engine = Literal["reference", "exact", "sweep"]

METHODS: tuple[Method, ...] = get_args(Method)
ENGINES: tuple[Engine, ...] = get_args(Engine)
_SCORES: dict[PruneBy, tuple[str, ...]] = {
    "attribution": ("attribution",),
    "flap": ("flap",),
    "contrastive-flap": ("contrastive-flap",),
    "merged-flap": ("flap", "contrastive-flap"),
}


@dataclass(frozen=True)
class DiscoveryConfig:
    """Settings of `discover_circuit`.

    Attributes:
        method: "app" prunes and then patches paths; "path-patching" patches all of them; the
            others prune alone, by what they are called.
        prune_by: Which scores "app" prunes by: "attribution", or "merged-flap", the published
            recipe (FLAP and Contrastive-FLAP), or one of its two parts.
        engine: How path effects are measured: "sweep" estimates all at once, "exact" and
            "reference" measure each receiver that the search reaches.
        verify: Whether paths of the sweep whose selection could flip are run exactly.
        n_sampled_paths: About how many of the others are, at random, to check the estimate.
        n_prompts: Prompt pairs to discover on.
        seed: Seed of the prompts.
        metric: "logit_diff" or "prob_diff".
        selection: When a sender is kept.
        pruning: How far to prune; without, by the rule that suits the scores: the `share` that
            heads hold of all attribution, the `first` cliff for FLAP's.
        contrast: Contrast of Contrastive-FLAP: "published", or "paired".
        n_mean_prompts: Corrupted prompts that mean head outputs are taken over; at least the
            discovery's own, and all of a task that has fewer.
        memory_bytes: About how much memory path patching may use beside the model's own; a safe
            share of what is free without.
        ignore_behaviour: Search for a circuit even where the prompts do not show that the model
            does the task.
        n_templates: How many of the task's templates prompts are drawn from, by chance of the
            seed; all of them in a fixed order without.

    Raises:
        ValueError: A setting is unknown or out of range.

    """

    method: Method = "app"
    prune_by: PruneBy = "attribution"
    engine: Engine = "sweep"
    verify: bool = True
    n_sampled_paths: int = 32
    n_prompts: int = 16
    seed: int = 0
    metric: str = "logit_diff"
    selection: SelectionRule = field(default_factory=SelectionRule)
    pruning: PruningRule | None = None
    contrast: Contrast = "published"
    n_mean_prompts: int = 64
    memory_bytes: int | None = None
    ignore_behaviour: bool = False
    n_templates: int | None = None

    def __post_init__(self) -> None:
        for name, known in (
            ("method", METHODS),
            ("prune_by", get_args(PruneBy)),
            ("engine", ENGINES),
            ("contrast", get_args(Contrast)),
        ):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"unknown {name} {getattr(self, name)!r}; known: {', '.join(known)}"
                )
        for name in ("n_prompts", "n_mean_prompts", "memory_bytes", "n_templates"):
            given = getattr(self, name)
            if given is not None and given < 1:
                raise ValueError(f"{name} must be at least 1, got {given}")
        if self.n_sampled_paths < 0:
            raise ValueError(f"n_sampled_paths must be at least 0, got {self.n_sampled_paths}")
        get_metric(self.metric)

    @property
    def pruning_names(self) -> tuple[str, ...]:
        """The scores that the method prunes by."""
        if self.method == "path-patching":
            return ()
        return _SCORES[self.prune_by if self.method == "app" else self.method]

    @property
    def pruning_rule(self) -> PruningRule:
        """The rule that was asked for, or else the one that suits the scores."""
        by_attribution = self.pruning_names == ("attribution",)
        return self.pruning or PruningRule("share" if by_attribution else "first")

    @property
    def patches_paths(self) -> bool:
        """Whether the method goes on to path patching."""
        return self.method in ("app", "path-patching")
