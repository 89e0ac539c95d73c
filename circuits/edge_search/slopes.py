"""How faithfulness changes with the weight of every edge, on some of the prompts in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from einops import reduce
from jaxtyping import Float
from torch import Tensor

from circuits.forward import Activations, LayeredModel
from circuits.graph import ModelGraph
from circuits.masking import MaskedRuns
from circuits.metrics import Metric
from circuits.patching.edge_values import checked_scale
from circuits.tasks import PromptPairs

_TOGETHER = 4
"""Prompts that take their turn together: enough for several templates, few enough to be cheap."""
Weights = Float[Tensor, "receiver sender"]


@dataclass(frozen=True, eq=False)
class Slopes:
    """What runs with weighted edges say.

    Attributes:
        faithfulness: Of these weights: 0 with every edge corrupted, 1 with none.
        values: How fast it grows with each edge's weight.

    >>> slopes = Slopes(0.5, torch.zeros(40, 16))
    """

    faithfulness: float
    values: Weights


SlopesAt = Callable[[Weights, int, int], Slopes]
"""From weights, a number of prompts, and the number of the turn, to slopes there."""
FaithfulnessAt = Callable[[Weights, int, int], float]
"""The same to faithfulness alone."""


class PromptsInTurn:
    """Slopes on some prompts of a search; each turn goes on behind the one before it.

    >>> slopes_at = PromptsInTurn(layered, pairs, metric)
    >>> slopes = slopes_at(slopes_at.every_edge, 2, 0)
    >>> f"{slopes.faithfulness:.2f}", slopes.values.shape == slopes_at.every_edge.shape
    ('1.00', True)
    """

    def __init__(self, model: LayeredModel, pairs: PromptPairs, metric: Metric) -> None:
        """Run nothing yet."""
        self._runs = MaskedRuns(Activations(model, pairs, metric)).split(_TOGETHER)

    @property
    def graph(self) -> ModelGraph:
        """The nodes and edges: MLPs and the embedding are nodes."""
        return self._runs[0].graph

    @property
    def every_edge(self) -> Weights:
        """The weights of the whole model."""
        return self._runs[0].every_edge

    def __call__(self, weights: Weights, n_prompts: int, turn: int) -> Slopes:
        """Slopes at some weights on about so many prompts, those of a turn.

        Raises NoEffectError where corrupting the prompts changes nothing.
        """
        groups = self._in_turn(n_prompts, turn)
        runs = [group.slopes(weights) for group in groups]
        slopes = torch.cat([run.gradients for run in runs], -1)
        mean = reduce(slopes, "receiver sender prompt -> receiver sender", "mean")
        metric = torch.cat([run.metric for run in runs])
        return Slopes(_faithfulness(metric, groups), (mean / _scale(groups)))

    def faithfulness(self, weights: Weights, n_prompts: int, turn: int) -> float:
        """Faithfulness alone, which takes a run without a way back.

        Raises NoEffectError as calling it.
        """
        groups = self._in_turn(n_prompts, turn)
        metric = torch.cat([group.metrics(weights[None])[0] for group in groups])
        return _faithfulness(metric, groups)

    def _in_turn(self, n_prompts: int, turn: int) -> list[MaskedRuns]:
        n, count = min(len(self._runs), -(-n_prompts // _TOGETHER)), len(self._runs)
        return [self._runs[(turn * n + place) % count] for place in range(n)]


def _faithfulness(metric: Float[Tensor, " prompt"], groups: Sequence[MaskedRuns]) -> float:
    corrupted = _baseline(groups, "corrupted")
    return float((metric.double() - corrupted).mean()) / _scale(groups)


def _scale(groups: Sequence[MaskedRuns]) -> float:
    """What corrupting every edge takes away."""
    difference = _baseline(groups, "clean") - _baseline(groups, "corrupted")
    return checked_scale(float(difference.mean()))


def _baseline(
    groups: Sequence[MaskedRuns], kind: Literal["clean", "corrupted"]
) -> Float[Tensor, " prompt"]:
    found = [getattr(group.activations, f"{kind}_metric") for group in groups]
    return torch.cat(found).double()
