"""What scores that are learned have in common: some prompts a step, and one number for all of them.

A mask of weights is run on a few prompts in turn, and the scores behind it are moved along the
slope of what is wanted. Prompts have no scores of their own: the prompt axis has a length of 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.edge_scores.registry import EdgeScoreSettings
from circuits.edge_scores.scorer import PerPrompt
from circuits.masking import MaskedRuns
from circuits.masking.on_prompts import MaskedSlopes

USES = ("n_steps", "seed")
_USUAL_STEPS = 500
_PROMPTS_OF_STEP = 4


@dataclass(frozen=True, eq=False)
class Lessons:
    """Slopes of masks on some prompts in turn, with edges in one row.

    Attributes:
        runs: On all prompts.

    """

    runs: MaskedRuns

    @cached_property
    def among(self) -> Bool[Tensor, "receiver sender"]:
        """All edges."""
        return self.runs.every_edge.bool()

    @property
    def n_edges(self) -> int:
        return int(self.among.sum())

    def slopes(self, weights: Float[Tensor, " edge"], step: int) -> MaskedSlopes:
        """Of the prompts whose turn it is."""
        return self._in_turn(step).slopes(self._laid_out(weights))

    def clean_metric(self, step: int) -> Float[Tensor, " prompt"]:
        """Of the same prompts, with every edge."""
        return self._in_turn(step).activations.clean_metric

    def of_edges(self, slopes: Float[Tensor, "receiver sender"]) -> Float[Tensor, " edge"]:
        """Numbers by receiver and sender as those of the edges."""
        return slopes[self.among]

    def scores(self, learned: Float[Tensor, " edge"]) -> PerPrompt:
        """What was learned of the edges, on a prompt axis of length 1."""
        return self._laid_out(learned.detach())[..., None]

    def _in_turn(self, step: int) -> MaskedRuns:
        return self._groups[step % len(self._groups)]

    @cached_property
    def _groups(self) -> list[MaskedRuns]:
        return self.runs.split(_PROMPTS_OF_STEP)

    def _laid_out(self, values: Float[Tensor, " edge"]) -> Float[Tensor, "receiver sender"]:
        return torch.zeros(self.among.shape).masked_scatter(self.among, values)


def n_learned(settings: EdgeScoreSettings) -> int:
    """How many steps are learned."""
    return settings.n_steps or _USUAL_STEPS
