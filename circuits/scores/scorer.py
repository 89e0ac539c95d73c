"""A score of heads that is a function of the discovery's prompts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from circuits.errors import NonFiniteError
from circuits.forward.activations import Activations
from circuits.graph import ModelGraph
from circuits.pruning.rule import CliffRule
from circuits.scores.registry import ScoreSettings


def finite_scores(name: str, scores: Float[Tensor, "layer head"]) -> Float[Tensor, "layer head"]:
    """The scores themselves. Raises NonFiniteError where one is NaN or infinite."""
    bad = ~scores.isfinite()
    if bad.any():
        layer, head = bad.nonzero()[0].tolist()
        raise NonFiniteError(
            f"{name} scores {int(bad.sum())} of {bad.numel()} heads as NaN or infinite (the first "
            f"is {layer}.{head}), so that they cannot be ranked: load the model in float32 or "
            "bfloat16 (dtype, --dtype)"
        )
    return scores


@dataclass(frozen=True)
class Scorer:
    """The `NodeScorer` of a function.

    Attributes:
        name: What `--prune-by` and `--method` call it.
        description: What it looks at, in a few words.
        score_of: From activations and settings to one score for each head.
        cut: How far to prune by it unless the settings say.

    >>> from circuits.scores import SCORERS, attribution_scores
    >>> mine = Scorer("mine", "twice the usual", lambda activations, settings:
    ...     2 * attribution_scores(activations))
    >>> with SCORERS.with_entry(mine):
    ...     SCORERS.get("mine").score(activations, graph, ScoreSettings()).shape
    torch.Size([3, 4])
    """

    name: str
    description: str
    score_of: Callable[[Activations, ScoreSettings], Float[Tensor, "layer head"]]
    cut: CliffRule = "first"

    def score(
        self, activations: Activations, graph: ModelGraph, settings: ScoreSettings
    ) -> Float[Tensor, "layer head"]:
        """One score for each head; stages share what it is computed from."""
        return self.score_of(activations, settings)
