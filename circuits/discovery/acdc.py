"""ACDC as a method: what it begins with, its thresholds, and the circuit of each."""

from __future__ import annotations

import warnings
from collections.abc import Iterator

import torch
from torch import Tensor

from circuits.circuit import edges_among, every_edge
from circuits.components import Head
from circuits.discovery.session import Session
from circuits.edge_search import Proposal, acdc, divergences_of
from circuits.edge_search.removal import Edges, check_start
from circuits.evaluation import EdgeEvaluator
from circuits.patching import EdgeValues
from circuits.runtime.progress import SILENT, Progress

_FIRST, _FACTOR, _MOST_THRESHOLDS = 0.1, 10**-0.5, 8
"""Of the divergence with every edge corrupted: thresholds fall from this share by this factor."""


class LossyStartWarning(UserWarning):
    """What ACDC begins with keeps less than is asked for, so that no circuit of it may keep enough.

    >>> import warnings
    >>> warnings.simplefilter("ignore", LossyStartWarning)
    """


def proposals(
    session: Session,
    search: EdgeEvaluator,
    heads: frozenset[Head] | None,
    progress: Progress = SILENT,
) -> list[Proposal]:
    """ACDC's circuits, found on the prompts of the search: of one threshold, or of several.

    Several fall until a circuit keeps, on these prompts, half way from what is asked for to all, or
    as much as the start. What the session's store has is not found again.

    Args:
        session: The model on the prompts of the search.
        search: The test of edges on the same.
        heads: Those that pruning left; None: all.
        progress: Hears of the fraction done.

    Raises:
        SettingError: There are more edges than passes are allowed.

    Warns:
        LossyStartWarning: The edges that pruning left keep less than is asked for.

    """
    graph, config = search.graph, session.config
    start = every_edge(graph) if heads is None else edges_among(graph, heads)
    check_start(graph, start, config.most_passes)
    enough = _enough(search, start, heads, config.keep or 0.0, progress)
    known, found = _Known(session, heads), []
    for threshold, part in progress.each(list(_thresholds(session, search))):
        proposal = known.get(threshold)
        if proposal is None:
            left = acdc(
                divergences_of(search.runs),
                graph,
                start,
                threshold,
                most_passes=config.most_passes,
                progress=part,
            )
            proposal = Proposal(_name(threshold), left.ranking, int(left.edges.sum()))
            known.keep(threshold, proposal)
        found.append(proposal)
        if _kept(search, proposal.edges) >= enough:
            break
    progress(1.0)
    return found


def _thresholds(session: Session, search: EdgeEvaluator) -> Iterator[float]:
    if (threshold := session.config.divergence_threshold) is not None:
        yield threshold
        return
    every = every_edge(search.graph)
    (whole,) = divergences_of(search.runs)(torch.zeros_like(every)[None], every).tolist()
    yield from (whole * _FIRST * _FACTOR**step for step in range(_MOST_THRESHOLDS))


def _kept(search: EdgeEvaluator, edges: Edges) -> float:
    return 100 * search.faithfulness(edges[None])[0].value


def _enough(
    search: EdgeEvaluator,
    start: Edges,
    heads: frozenset[Head] | None,
    keep: float | int,
    progress: Progress,
) -> float:
    """Percent that a circuit keeps behind which no other is sought; tells what the start keeps."""
    n_edges, kept = int(start.sum()), 100.0
    words = f"ACDC begins with {n_edges:,} edges: up to {n_edges:,} passes for each threshold"
    if heads is not None:
        kept = _kept(search, start)
        words += f"; with all others corrupted these keep {kept:.1f} %"
        if kept < keep:
            warnings.warn(
                f"the edges that pruning left keep {kept:.1f} %, less than the {keep:g} % asked "
                "for: what is lost no removal of edges brings back; prune less or by other scores "
                "(pruning, prune_by), or begin with all edges (start 'all')",
                LossyStartWarning,
                stacklevel=2,
            )
    progress.note(words)
    return min(kept, max(float(keep), (keep + 100) / 2))


def _name(threshold: float | int) -> str:
    return f"acdc {threshold:.3g}"


class _Known:
    """The circuits that the session's store has."""

    def __init__(self, session: Session, heads: frozenset[Head] | None) -> None:
        pruning = None if heads is None else session.problem.pruning_key
        self.key = {"method": session.config.method, "pruning": pruning}
        self.store, self.graph = session.store, session.graph
        self.tensors: dict[str, Tensor] = session.store.ranked(self.key) or {}

    def get(self, threshold: float | int) -> Proposal | None:
        if f"{threshold!r}" not in self.tensors:
            return None
        ranking = EdgeValues(self.graph, self.tensors[f"{threshold!r}"])
        return Proposal(_name(threshold), ranking, int(self.tensors[f"{threshold!r} edges"]))

    def keep(self, threshold: float | int, proposal: Proposal) -> None:
        assert proposal.n is not None
        new = {f"{threshold!r}": proposal.ranking.values, f"{threshold!r} edges": proposal.n}
        self.tensors |= {name: torch.as_tensor(value) for name, value in new.items()}
        self.store.keep_ranked(self.key, self.tensors)
