"""A score of edges that is a function of runs with weighted edges."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, fields

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.components import Connection
from circuits.edge_scores.registry import EdgeScoreSettings
from circuits.errors import MismatchError, NonFiniteError, SettingError
from circuits.masking import MaskedRuns
from circuits.patching import EdgeValues
from circuits.runtime.progress import SILENT, Progress

PerPrompt = Float[Tensor, "receiver sender prompt"]
ScoreOf = Callable[[MaskedRuns, EdgeScoreSettings, Progress], PerPrompt]


@dataclass(frozen=True)
class FunctionScorer:
    """The `EdgeScorer` of a function.

    Attributes:
        name: What `edge_scores` calls it.
        description: What it looks at, in a few words.
        score_of: From runs, settings and progress to one number for each edge and prompt.
        uses: The settings that it has a use for; others are refused.

    >>> from circuits.edge_scores import EDGE_SCORERS, edge_scores
    >>> twice = FunctionScorer("twice", "twice the usual", lambda runs, settings, progress:
    ...     2 * EDGE_SCORERS.get("eap").score(runs, settings).values)
    >>> with EDGE_SCORERS.with_entry(twice):
    ...     edge_scores(model, pairs, "twice").n_known
    1048
    """

    name: str
    description: str
    score_of: ScoreOf
    uses: tuple[str, ...] = ()

    def score(
        self, runs: MaskedRuns, settings: EdgeScoreSettings, progress: Progress = SILENT
    ) -> EdgeValues:
        """One number for each edge and prompt; NaN where there is no edge, or none was asked for.

        Raises:
            SettingError: A setting is given that this score has no use for.
            NonFiniteError: A score is NaN or infinite.

        """
        self._check_used(settings)
        found = self.score_of(runs, settings, progress)
        wanted = wanted_edges(runs, settings.edges)
        self._check_finite(runs, found, wanted)
        return EdgeValues(runs.graph, found.masked_fill(~wanted[..., None], torch.nan))

    def _check_used(self, settings: EdgeScoreSettings) -> None:
        for one in fields(settings):
            if one.name not in self.uses and getattr(settings, one.name) != one.default:
                used = ", ".join(self.uses) or "no setting"
                raise SettingError(
                    f"score {self.name!r} has no use for {one.name}; it takes {used}"
                )

    def _check_finite(
        self, runs: MaskedRuns, found: PerPrompt, wanted: Bool[Tensor, "receiver sender"]
    ) -> None:
        bad = wanted & ~found.isfinite().all(-1)
        if bad.any():
            row, column = bad.nonzero()[0].tolist()
            first = Connection(runs.graph.senders[column], runs.graph.receivers[row])
            raise NonFiniteError(
                f"{self.name} scores {int(bad.sum())} of {int(wanted.sum())} edges as NaN or "
                f"infinite (the first is {first}), so that they cannot be ranked: load the model "
                "in float32 or bfloat16 (dtype, --dtype)"
            )


def wanted_edges(
    runs: MaskedRuns, edges: Collection[Connection] | None
) -> Bool[Tensor, "receiver sender"]:
    """Which edges some are, by receiver and sender; all without. Raises MismatchError."""
    every = runs.every_edge.bool()
    if edges is None:
        return every
    chosen, graph = torch.zeros_like(every), runs.graph
    for edge in edges:
        chosen[graph.row(edge.receiver), graph.column(edge.sender)] = True
        if not graph.reads(edge.receiver, edge.sender):
            raise MismatchError(f"{edge.receiver} does not read {edge.sender}, which writes later")
    return chosen
