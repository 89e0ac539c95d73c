"""Where a circuit's nodes stand: a row for each layer that has any, few crossings.

Where MLPs are nodes, a layer's MLP has a row of its own above the layer's heads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from circuits.components import Edge, Node
from circuits.graph import Depth, depth

Points = Float[np.ndarray, "..."]

_STEP = 0.5
_CLEARANCE = 0.7
_LENGTH, _BLOCKED, _CROSSING, _OFF_CENTRE = 0.15, 6.0, 1.0, 0.02
_SWEEPS = 25
_PLACED = 400


@dataclass(frozen=True)
class Layout:
    """Positions of nodes: `x` from 0 to `width`, `y` the row (0 below, the logits at `top`)."""

    x: dict[Node, float]
    rows: dict[Depth, int]
    width: float

    @property
    def top(self) -> int:
        """The row of the logits."""
        return len(self.rows)

    @property
    def n_rows(self) -> int:
        """Rows of nodes and the row of the logits."""
        return self.top + 1

    def y(self, node: Node) -> int:
        """The node's row."""
        return self.rows[depth(node)]


def bend(share: Points) -> Points:
    """How far across an edge has gone where it has gone `share` of the way up: a slight S."""
    return 0.5 * share + 0.5 * (3 * share**2 - 2 * share**3)


def arrange(heads: list[Node], edges: list[Edge], seed: int = 0) -> Layout:
    """Place heads in their rows so that edges stay short, apart, and off other heads.

    From several random placements, each head in turn moves to the free place in its row that is
    best for it, until none moves; the best outcome is kept. The same circuit gives the same
    layout.
    """
    rows = {own: row for row, own in enumerate(sorted(set(map(depth, heads))))}
    fullest = max(sum(depth(head) == own for head in heads) for own in rows)
    width = float(max(fullest + 1, np.ceil(1.5 * np.sqrt(len(heads)))))
    problem = _Problem.of(heads, edges, rows, width)
    random = np.random.default_rng(seed)
    found = [problem.settle(problem.scatter(random)) for _ in range(max(3, _PLACED // len(heads)))]
    best = min(found, key=problem.cost)
    return Layout(dict(zip(heads, best.tolist(), strict=True)), rows, width)


@dataclass(frozen=True)
class _Problem:
    """The circuit as arrays. A logits edge goes straight up: its receiver index is -1."""

    y: Int[np.ndarray, " head"]
    sender: Int[np.ndarray, " edge"]
    receiver: Int[np.ndarray, " edge"]
    end_y: Int[np.ndarray, " edge"]
    weight: Float[np.ndarray, " edge"]
    places: Float[np.ndarray, " place"]

    @classmethod
    def of(
        cls, heads: list[Node], edges: list[Edge], rows: dict[Depth, int], width: float
    ) -> _Problem:
        index = {head: i for i, head in enumerate(heads)}
        weights: dict[tuple[int, int], float] = {}
        largest = max((abs(edge.effect) for edge in edges), default=0.0) or 1.0
        for edge in edges:
            ends = (
                index[edge.sender],
                -1 if edge.receiver.node is None else index[edge.receiver.node],
            )
            weights[ends] = (
                weights.get(ends, 0.0) + 0.1 + float(np.sqrt(abs(edge.effect) / largest))
            )
        ends = np.array(list(weights), dtype=int).reshape(-1, 2)
        y = np.array([rows[depth(head)] for head in heads], dtype=int)
        return cls(
            y=y,
            sender=ends[:, 0],
            receiver=ends[:, 1],
            end_y=np.where(ends[:, 1] < 0, len(rows), y[ends[:, 1]]),
            weight=np.array(list(weights.values()), dtype=float),
            places=np.arange(0, width + _STEP / 2, _STEP),
        )

    def scatter(self, random: np.random.Generator) -> Float[np.ndarray, " head"]:
        """A random placement, heads of one row at least 1 apart."""
        x = np.zeros(len(self.y))
        for row in np.unique(self.y):
            members = random.permutation(np.flatnonzero(self.y == row))
            whole = self.places[self.places % 1 == 0]
            x[members] = random.choice(whole, len(members), replace=False)
        return x

    def settle(self, x: Float[np.ndarray, " head"]) -> Float[np.ndarray, " head"]:
        """Move heads one at a time, each to its best place, until none moves."""
        for _ in range(_SWEEPS):
            before = x.copy()
            for head in range(len(x)):
                x[head] = self.places[int(self.costs(x, head).argmin())]
            if np.array_equal(before, x):
                break
        return x

    def cost(self, x: Float[np.ndarray, " head"]) -> float:
        """How bad a placement is: the sum over heads of the cost of where they are."""
        current = np.rint(x / _STEP).astype(int)
        return float(sum(self.costs(x, head)[current[head]] for head in range(len(x))))

    def costs(self, x: Float[np.ndarray, " head"], head: int) -> Float[np.ndarray, " place"]:
        """What each place in its row would cost one head, all others staying."""
        mine = (self.sender == head) | (self.receiver == head)
        ends = self._ends(x)
        placed = np.broadcast_to(ends, (len(self.places), *ends.shape)).copy()
        placed[:, self.sender == head, 0] = self.places[:, None]
        placed[:, (self.receiver == head) | (mine & (self.receiver < 0)), 1] = self.places[:, None]
        own, weight = placed[:, mine], self.weight[mine]
        rise = (self.end_y - self.y[self.sender])[mine]
        cost = _LENGTH * (weight * (own[..., 0] - own[..., 1]) ** 2 / rise).sum(1)
        cost += _BLOCKED * self._blocked(x, head, own, mine)
        cost += _CROSSING * self._crossings(ends, own, mine)
        cost += _OFF_CENTRE * np.abs(self.places - self.places[-1] / 2)
        others = (self.y == self.y[head]) & (np.arange(len(x)) != head)
        taken = (np.abs(self.places[:, None] - x[others]) < 1).any(1)
        return np.where(taken, np.inf, cost)

    def _ends(self, x: Float[np.ndarray, " head"]) -> Float[np.ndarray, "edge 2"]:
        start = x[self.sender]
        return np.stack([start, np.where(self.receiver < 0, start, x[self.receiver])], axis=-1)

    def _across(
        self, ends: Float[np.ndarray, "... edge 2"], of: np.ndarray, y: np.ndarray
    ) -> Float[np.ndarray, "... edge level"]:
        """Where edges are at heights `y` ([edge level] or [1 level])."""
        low, high = self.y[self.sender[of]][:, None], self.end_y[of][:, None]
        share = np.clip((y - low) / (high - low), 0.0, 1.0)
        return ends[..., :1] + (ends[..., 1:] - ends[..., :1]) * bend(share)

    def _blocked(self, x: np.ndarray, head: int, own: np.ndarray, mine: np.ndarray) -> np.ndarray:
        """Own edges that run over other heads, and other edges that run over this head."""
        indices = np.flatnonzero(mine)
        low, high = self.y[self.sender], self.end_y
        passes = (low[mine, None] < self.y) & (self.y < high[mine, None])
        gap = np.abs(self._across(own, indices, self.y[None, :]) - x) / _CLEARANCE
        over = (np.clip(1 - gap, 0, None) * passes).sum(-1) @ self.weight[mine]
        through = np.flatnonzero(~mine & (low < self.y[head]) & (self.y[head] < high))
        where = self._across(self._ends(x)[through], through, self.y[head : head + 1][None, :])
        near = np.clip(1 - np.abs(where[:, 0] - self.places[:, None]) / _CLEARANCE, 0, None)
        return over + near @ self.weight[through]

    def _crossings(self, ends: np.ndarray, own: np.ndarray, mine: np.ndarray) -> np.ndarray:
        """Own edges that change sides with other edges, by the weight of the lighter one."""
        indices, rest = np.flatnonzero(mine), np.flatnonzero(~mine)
        low, high = self.y[self.sender], self.end_y
        from_y = np.maximum(low[mine, None], low[None, rest])
        to_y = np.minimum(high[mine, None], high[None, rest])
        sides = [
            self._across(own, indices, y) - self._across(ends[rest], rest, y.T).T
            for y in (from_y, to_y)
        ]
        cross = (sides[0] * sides[1] < 0) & (from_y < to_y)
        lighter = np.minimum(self.weight[mine, None], self.weight[None, rest])
        return (cross * lighter).sum((-1, -2))
