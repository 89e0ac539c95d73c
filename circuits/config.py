"""Every setting of a discovery, checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from circuits.metrics import get_metric
from circuits.pruning import PruningRule
from circuits.scores import Contrast
from circuits.search import SelectionRule

Method = Literal["app", "path-patching", "flap", "contrastive-flap", "merged-flap"]
Engine = Literal["reference", "exact", "sweep"]

METHODS: tuple[Method, ...] = get_args(Method)
ENGINES: tuple[Engine, ...] = get_args(Engine)
_PRUNINGS: dict[Method, tuple[str, ...]] = {
    "app": ("flap", "contrastive-flap"),
    "path-patching": (),
    "flap": ("flap",),
    "contrastive-flap": ("contrastive-flap",),
    "merged-flap": ("flap", "contrastive-flap"),
}


@dataclass(frozen=True)
class DiscoveryConfig:
    """Settings of `discover_circuit`.

    Attributes:
        method: "app" prunes (FLAP and Contrastive-FLAP merged) and then patches paths;
            "path-patching" patches all of them; the others prune alone.
        engine: How path effects are measured: "sweep" estimates all at once, "exact" and
            "reference" measure each receiver that the search reaches.
        verify: Whether paths of the sweep whose selection could flip are run exactly.
        n_sampled_paths: About how many of the others are, at random, to check the estimate.
        n_prompts: Prompt pairs to discover on.
        seed: Seed of the prompts.
        metric: "logit_diff" or "prob_diff".
        selection: When a sender is kept.
        pruning: How far to prune.
        contrast: Contrast of Contrastive-FLAP: "published", or "paired".
        n_mean_prompts: Corrupted prompts that mean head outputs are taken over; at least the
            discovery's own, and all of a task that has fewer.
        memory_bytes: About how much memory path patching may use beside the model's own; a safe
            share of what is free without.

    Raises:
        ValueError: A setting is unknown or out of range.

    """

    method: Method = "app"
    engine: Engine = "sweep"
    verify: bool = True
    n_sampled_paths: int = 32
    n_prompts: int = 16
    seed: int = 0
    metric: str = "logit_diff"
    selection: SelectionRule = field(default_factory=SelectionRule)
    pruning: PruningRule = field(default_factory=PruningRule)
    contrast: Contrast = "published"
    n_mean_prompts: int = 64
    memory_bytes: int | None = None

    def __post_init__(self) -> None:
        for name, known in (
            ("method", METHODS),
            ("engine", ENGINES),
            ("contrast", get_args(Contrast)),
        ):
            if getattr(self, name) not in known:
                raise ValueError(
                    f"unknown {name} {getattr(self, name)!r}; known: {', '.join(known)}"
                )
        for name in ("n_prompts", "n_mean_prompts", "memory_bytes"):
            given = getattr(self, name)
            if given is not None and given < 1:
                raise ValueError(f"{name} must be at least 1, got {given}")
        if self.n_sampled_paths < 0:
            raise ValueError(f"n_sampled_paths must be at least 0, got {self.n_sampled_paths}")
        get_metric(self.metric)

    @property
    def pruning_names(self) -> tuple[str, ...]:
        """The prunings that the method runs."""
        return _PRUNINGS[self.method]

    @property
    def patches_paths(self) -> bool:
        """Whether the method goes on to path patching."""
        return self.method in ("app", "path-patching")
