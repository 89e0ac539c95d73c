"""Iterated mask attribution: the worst edges are left out, and the others scored anew.

Scored once, in the whole model, an edge is judged in company that a small circuit does not have.
So edges are scored by the slope of faithfulness by their weights, at a few points on the way from
no edge of a circuit to all of it; the best share is kept, edges that lead nowhere with it leave,
and those that are left are scored anew in each other's company. Knows no model.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.circuit import every_edge, without_dead_ends
from circuits.edge_scores import top_edges
from circuits.edge_search.slopes import FaithfulnessAt, SlopesAt
from circuits.errors import SettingError
from circuits.graph import ModelGraph
from circuits.patching import EdgeValues
from circuits.runtime.progress import SILENT, Progress

Edges = Bool[Tensor, "receiver sender"]
Scores = Float[Tensor, "receiver sender"]


@dataclass(frozen=True)
class Descent:
    """How edges leave.

    Attributes:
        least: How many edges are left in the end, at most.
        kept: Share of the edges that a round keeps.
        points: Where between no edge and all of a circuit slopes are taken.
        memory: How much the scores of earlier rounds count, 0 to 1: 0 takes the newest alone.
        n_prompts: On how many prompts in turn each slope is taken.
        floor: Faithfulness that each cut must keep, on the prompts of a turn.
        first_turn: Which prompts have the first turn.

    Raises:
        SettingError: A number is out of range.

    >>> Descent(kept=0.5).points[1]
    0.5
    """

    least: int = 1000
    kept: float = 0.35
    points: tuple[float, ...] = (1 / 6, 1 / 2, 5 / 6)
    memory: float = 0.5
    n_prompts: int = 8
    floor: float = 1.1
    first_turn: int = 0

    def __post_init__(self) -> None:
        if self.least < 1 or not 0 < self.kept < 1 or not 0 <= self.memory < 1 or not self.points:
            raise SettingError(
                "least must be at least 1, kept above 0 and below 1, memory at least 0 and below "
                f"1, and there must be points; got {self.least}, {self.kept}, {self.memory} and "
                f"{self.points}"
            )


@dataclass(frozen=True, eq=False)
class Descended:
    """What is left, and in which order the others left.

    Attributes:
        kept: The edges that are left.
        scores: Their scores.
        places: Of all edges: the higher, the later it left; of what is left, by score.

    >>> from circuits.edge_search import PromptsInTurn
    >>> prompts = PromptsInTurn(layered, pairs, metric)
    >>> found = descend(prompts, prompts.faithfulness, prompts.graph, Descent(least=100))
    >>> bool(found.places[found.kept].min() > found.places[~found.kept].nan_to_num(nan=-1).max())
    True
    """

    kept: Edges
    scores: Scores
    places: Scores


def descend(
    slopes_at: SlopesAt,
    faithfulness_at: FaithfulnessAt,
    graph: ModelGraph,
    settings: Descent,
    progress: Progress = SILENT,
) -> Descended:
    """Leave out edges until few are left, or until no cut keeps enough.

    Whether a cut keeps enough (`floor`) is looked at; where it does not, half as deep a cut is
    tried, and where that does not either, it ends there.

    >>> from circuits.edge_search import Slopes
    >>> graph = ModelGraph(1, 1, 1, mlps="nodes")
    >>> wanted = torch.zeros(5, 3)  # the embedding to the head's value, and that to the logits
    >>> wanted[2, 0] = wanted[4, 1] = 1.0
    >>> found = descend(
    ...     lambda weights, *_: Slopes(1.0, wanted), lambda *_: 2.0, graph, Descent(least=2)
    ... )
    >>> found.kept.equal(wanted.bool())
    True
    """
    kept = every_edge(graph)
    n_edges = n = int(kept.sum())
    rounds, scores = torch.zeros_like(kept, dtype=torch.long), torch.zeros(kept.shape)
    for number in count():
        new = _scores_of(slopes_at, kept, settings, number)
        memory = settings.memory if number else 0.0
        scores = torch.where(kept, memory * scores + (1 - memory) * new, scores)
        for share in (settings.kept, settings.kept**0.5):
            fewer = best_of(scores, kept, max(1, min(n - 1, int(share * n))), graph)
            if faithfulness_at(fewer.float(), settings.n_prompts, number) >= settings.floor:
                kept = fewer
                break
        else:
            break
        n, rounds = int(kept.sum()), rounds + kept
        progress(min(1.0, float(np.log(n_edges / n) / np.log(n_edges / settings.least))))
        if n <= settings.least:
            break
    return Descended(kept, scores, places([rounds.float(), scores], graph))


def _scores_of(slopes_at: SlopesAt, kept: Edges, settings: Descent, number: int) -> Scores:
    """The mean slope on the way from no edge of a circuit to all of it."""
    n = len(settings.points)
    found = torch.zeros(kept.shape)
    for place, point in enumerate(settings.points):
        turn = settings.first_turn + number * n + place
        slopes = slopes_at(point * kept.float(), settings.n_prompts, turn)
        found += slopes.values / n
    return found


def best_of(scores: Scores, among: Edges, n: int, graph: ModelGraph) -> Edges:
    """The n best of some edges, without those that then lead nowhere."""
    known = EdgeValues(graph, scores.masked_fill(~among, torch.nan))
    return without_dead_ends(graph, top_edges(known, n))


def places(keys: Sequence[Scores], graph: ModelGraph) -> Scores:
    """Where each edge stands when all are sorted by keys, the first counting most; NaN: no edge.

    >>> graph = ModelGraph(1, 1, 1, mlps="nodes")
    >>> places([torch.zeros(5, 3), torch.arange(15.0).view(5, 3)], graph)[4]
    tensor([5., 6., 7.])
    """
    order = np.lexsort([key.flatten().numpy() for key in reversed(keys)])
    found = torch.empty(len(order))
    exists = every_edge(graph).flatten()
    order = torch.from_numpy(order)[exists[torch.from_numpy(order)]]
    found[:] = torch.nan
    found[order] = torch.arange(float(len(order)))
    return found.view(exists.numel() // len(graph.senders), len(graph.senders))
