"""What heads are scored by before a search, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

from circuits.pruning.rule import CliffRule
from circuits.runtime.registry import Registry

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from circuits.forward.activations import Activations
    from circuits.graph import ModelGraph

Contrast = Literal["published", "paired"]


@dataclass(frozen=True)
class ScoreSettings:
    """What a score needs of a discovery's settings.

    Attributes:
        contrast: How Contrastive-FLAP compares clean and corrupted prompts: see `head_scores`.
        seed: Seed of whatever a score draws at random.

    >>> paired = ScoreSettings(contrast="paired")
    >>> SCORERS.get("contrastive-flap").score(activations, graph, paired).shape
    torch.Size([3, 4])
    """

    contrast: Contrast = "published"
    seed: int = 0


@runtime_checkable
class NodeScorer(Protocol):
    """One number for each head, larger for what is more worth keeping.

    Attributes:
        name: What `--prune-by` and `--method` call it.
        description: What it looks at, in a few words.
        cut: How far to prune by it unless the settings say: "share" for scores that add up to a
            whole, else "first", the first cliff in performance.

    >>> class LastLayer:
    ...     name, description, cut = "last-layer", "heads of the last layer first", "first"
    ...     def score(self, activations, graph, settings):
    ...         return torch.arange(float(graph.n_layers))[:, None].repeat(1, graph.n_heads)
    >>> with SCORERS.with_entry(LastLayer()):  # a method, and a score that "app" can prune by
    ...     print(DiscoveryConfig(method="app", prune_by="last-layer").scorers)
    ('last-layer',)
    """

    name: str
    description: str
    cut: CliffRule

    def score(
        self, activations: Activations, graph: ModelGraph, settings: ScoreSettings
    ) -> Float[Tensor, "layer head"]:
        """One score for each head, by the discovery's own prompts."""
        ...


def _flaw(entry: Any) -> str | None:
    if isinstance(entry, NodeScorer):
        return None
    return "it must have a description, a cut and a method score (NodeScorer)"


SCORERS: Registry[NodeScorer] = Registry(
    "score",
    {
        "attribution": "circuits.scores.attribution:ATTRIBUTION",
        "mask-attribution": "circuits.scores.mask_attribution:MASK_ATTRIBUTION",
        "eap-ig": "circuits.scores.input_gradients:EAP_IG",
        "flap": "circuits.scores.flap:FLAP",
        "contrastive-flap": "circuits.scores.flap:CONTRASTIVE_FLAP",
    },
    _flaw,
)
"""Every score of heads."""
