"""The connected set of edges with the largest total score, by an integer program.

The strongest edges by themselves may lead nowhere. Nikankin et al. 2025 (arXiv 2510.25786) choose
circuits by integer linear programming in the place of a ranking, and edges by a bootstrap.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import coo_array, csr_array, eye_array, hstack

from circuits.edge_scores.selection import By, EdgeMask, worth_of
from circuits.errors import InputError, SettingError
from circuits.graph import ModelGraph
from circuits.patching import EdgeValues


def connected_edges(
    scores: EdgeValues, n: int, by: By = "signed", seconds: float | int = 60
) -> EdgeMask:
    """At most n edges, each on a way from the embedding to the logits, with the largest total.

    Each kept edge's sender has a kept edge into it (one of a head's q, k and v is enough, and the
    embedding needs none), and the node that reads has a kept edge out of it (the logits need none).
    Where edges have spans a node is one at each of them, as `without_dead_ends` has it.
    An integer program of one variable for each edge and one for each node (scipy's `milp`, HiGHS);
    edges without a score are left out, so that `top_edges` first makes it small.

    Args:
        scores: Of every edge; where by prompt, their means count.
        n: How many edges at most.
        by: "signed" or "absolute".
        seconds: How long to look for better ones; the best that was found is given.

    Raises:
        InputError: No edges with a score are connected, or none were found in the time.
        SettingError: `n` or `seconds` is out of range, or `by` is unknown.

    >>> from circuits.edge_scores import edge_scores
    >>> scores = edge_scores(model, pairs, "eap")
    >>> int(connected_edges(scores, 20).sum()) <= 20
    True
    """
    for name, value, least in (("n", n, 1), ("seconds", seconds, 0)):
        if value < least:
            raise SettingError(f"{name} must be at least {least}, got {value}")
    worth = worth_of(scores, by)
    program = _Program(scores.graph, worth.isfinite().nonzero().numpy())
    values = worth[worth.isfinite()].double().numpy()
    found = program.solve(values, n, seconds)
    chosen = torch.zeros_like(worth, dtype=torch.bool)
    rows, columns = program.edges[found].T
    chosen[torch.from_numpy(rows), torch.from_numpy(columns)] = True
    return chosen


@dataclass(frozen=True, eq=False)
class _Program:
    """Variables are the edges, then the nodes that send, at each span, 0 or 1.

    Attributes:
        graph: Of all edges.
        edges: Receiver and sender of those that may be chosen.

    """

    graph: ModelGraph
    edges: Int[np.ndarray, "edge 2"]

    @property
    def n_nodes(self) -> int:
        """How many nodes there are, each once for each span."""
        return len(self.graph.senders) * self.graph.n_spans

    @cached_property
    def sends(self) -> csr_array:
        """By edge and node: whether the edge leaves the node, at its span."""
        spans = np.array([self.graph.span_of(receiver) for receiver in self.graph.receivers])
        rows, senders = self.edges.T
        return self._marked(np.arange(len(rows)), senders * self.graph.n_spans + spans[rows])

    @cached_property
    def feeds(self) -> csr_array:
        """By edge and node: whether the node, at a span, depends on the edge; none: the logits."""
        places = [
            (edge, self.graph.column(receiver.node) * self.graph.n_spans + span)
            for edge, row in enumerate(self.edges[:, 0].tolist())
            if (receiver := self.graph.receivers[row]).node is not None
            for span in self.graph.writes_at(receiver)
        ]
        return self._marked(*np.array(places, dtype=np.int64).reshape(-1, 2).T)

    def solve(
        self, worth: Float[np.ndarray, " edge"], n: int, seconds: float | int
    ) -> Int[np.ndarray, " chosen"]:
        n_edges, n_nodes = len(worth), self.n_nodes
        count = csr_array(np.r_[np.ones(n_edges), np.zeros(n_nodes)][None])
        found = milp(
            -np.r_[worth, np.zeros(n_nodes)],
            integrality=np.ones(n_edges + n_nodes),
            bounds=Bounds(0, 1),
            constraints=[LinearConstraint(count, 1, n), *map(_at_most_0, self._ends())],
            options={"time_limit": float(seconds), "mip_rel_gap": 0.0},
        )
        if found.x is None:
            raise InputError(
                f"no connected circuit of {n} edges was found among {n_edges} with a score in "
                f"{seconds:g} seconds ({found.message}): give more edges a score, or more time"
            )
        return np.flatnonzero(found.x[:n_edges] > 0.5)

    def _ends(self) -> list[csr_array]:
        """Rows whose sums must be at most 0: edges need their nodes, and nodes need edges."""
        edges, nodes = eye_array(len(self.edges)), eye_array(self.n_nodes)
        inner, above = np.flatnonzero(self.feeds.sum(1)), slice(self.graph.n_spans, None)
        every = (
            hstack([edges, -self.sends]),
            hstack([edges, -self.feeds]).tocsr()[inner],
            hstack([-self.feeds.T, nodes]).tocsr()[above],
            hstack([-self.sends.T, nodes]),
        )
        return [csr_array(rows) for rows in every]

    def _marked(
        self, edges: Int[np.ndarray, " place"], nodes: Int[np.ndarray, " place"]
    ) -> csr_array:
        shape = len(self.edges), self.n_nodes
        return coo_array((np.ones(len(edges)), (edges, nodes)), shape=shape).tocsr()


def _at_most_0(rows: csr_array) -> LinearConstraint:
    return LinearConstraint(rows, -np.inf, 0)
