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
from scipy.sparse import coo_array, csr_array

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
    """Variables are the edges, then the nodes that send, 0 or 1.

    Attributes:
        graph: Of all edges.
        edges: Receiver and sender of those that may be chosen.

    """

    graph: ModelGraph
    edges: Int[np.ndarray, "edge 2"]

    @cached_property
    def readers(self) -> Int[np.ndarray, " edge"]:
        """The node that reads, by its place among the senders; -1: the logits."""
        nodes = [receiver.node for receiver in self.graph.receivers]
        columns = [-1 if node is None else self.graph.column(node) for node in nodes]
        return np.array(columns)[self.edges[:, 0]]

    def solve(
        self, worth: Float[np.ndarray, " edge"], n: int, seconds: float | int
    ) -> Int[np.ndarray, " chosen"]:
        n_edges, n_nodes = len(worth), len(self.graph.senders)
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
        reads, sends = self.readers, self.edges[:, 1]
        inner = np.flatnonzero(reads >= 0)
        every = np.arange(len(sends))
        nodes = np.arange(1, len(self.graph.senders))
        return [
            self._rows(every, sends),
            self._rows(inner, reads[inner]),
            self._needs(nodes, reads),
            self._needs(np.r_[0, nodes], sends),
        ]

    def _rows(self, edges: Int[np.ndarray, " some"], nodes: Int[np.ndarray, " some"]) -> csr_array:
        """Edge less node: no edge without its node."""
        n = len(edges)
        rows, signs = np.tile(np.arange(n), 2), np.r_[np.ones(n), -np.ones(n)]
        columns = np.r_[edges, len(self.edges) + nodes]
        return coo_array((signs, (rows, columns)), shape=(n, self._width)).tocsr()

    def _needs(self, nodes: Int[np.ndarray, " node"], ends: Int[np.ndarray, " edge"]) -> csr_array:
        """Node less the edges that end there: no node without one."""
        own = np.flatnonzero(ends >= nodes[0])
        rows = np.r_[np.arange(len(nodes)), ends[own] - nodes[0]]
        signs = np.r_[np.ones(len(nodes)), -np.ones(len(own))]
        columns = np.r_[len(self.edges) + nodes, own]
        return coo_array((signs, (rows, columns)), shape=(len(nodes), self._width)).tocsr()

    @property
    def _width(self) -> int:
        return len(self.edges) + len(self.graph.senders)


def _at_most_0(rows: csr_array) -> LinearConstraint:
    return LinearConstraint(rows, -np.inf, 0)
