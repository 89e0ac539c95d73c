"""What `grid.json` and `study.json` keep: every circuit of a search, its size and performance."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from circuits.discovery.overwriting import RUN_FILE, is_written, written_with
from circuits.discovery.record import SEARCH_FILES
from circuits.errors import FormatError
from circuits.fields import HeadSet, first_problem
from circuits.graph import Mlps
from circuits.pruning.rule import PruningRule
from circuits.runtime.reading import read_file
from circuits.search.rules import SelectionRule


@dataclass(frozen=True)
class SearchPoint:
    """One combination of settings and the circuit it gives.

    Attributes:
        rule: When a sender is kept.
        heads: The circuit's heads.
        n_edges: How many edges it has.
        sparsity: Share of the model's heads outside it.
        performance: Percent of the full model's metric that it keeps.
        pareto: Whether no other circuit beats it in size without losing to it in performance.
        chosen: Whether it is the one that the search chose.
        pruning: How its candidates were chosen, where the search varied that.

    >>> heads = frozenset({Head(9, 6), Head(9, 9)})
    >>> point = SearchPoint(SelectionRule(), heads, 5, 0.986, 81.0, pareto=True, chosen=True)
    >>> point.rule.threshold, len(point.heads)
    (2.5, 2)
    """

    rule: SelectionRule
    heads: HeadSet
    n_edges: int
    sparsity: float
    performance: float
    pareto: bool
    chosen: bool
    pruning: PruningRule | None = None


@dataclass(frozen=True)
class SearchRecord:
    """The circuits of a grid or a study.

    Attributes:
        points: The circuits.
        keep: Percent of performance that a circuit was asked to keep.
        n_trials: How many combinations a study tried; None for a grid.
        mlps: Whether circuits are of heads, "path", or of edges among MLPs, too, "nodes".

    >>> SearchRecord.load(run) is None  # the run was not chosen by a grid or a study
    True
    """

    points: tuple[SearchPoint, ...]
    keep: float
    n_trials: int | None = None
    mlps: Mlps = "path"

    def size(self, point: SearchPoint) -> int:
        """How many heads a circuit has; edges where MLPs are nodes."""
        return len(point.heads) if self.mlps == "path" else point.n_edges

    @classmethod
    def of(cls, data: Any) -> SearchRecord:
        """Read what `Grid.to_dict` or `Study.to_dict` gave. Raises FormatError."""
        try:
            return _ADAPTER.validate_python(data)
        except ValidationError as error:
            raise FormatError(f"a search record is malformed: {first_problem(error)}") from error

    @classmethod
    def load(cls, directory: str | Path) -> SearchRecord | None:
        """Read the search that a saved run was chosen by; None where there is none.

        A file of such a name that no run wrote is none.

        Raises:
            FormatError: The file is damaged.

        """
        for name in SEARCH_FILES:
            path = Path(directory) / name
            if name not in written_with(path.parent) or not path.is_file():
                continue
            try:
                if not is_written(path.parent, name):
                    raise FormatError(f"it is not the one that {RUN_FILE} was written with")
                return cls.of(json.loads(read_file(path)))
            except (ValueError, RecursionError) as error:
                raise FormatError(f"{path} is damaged: {error}") from error
        return None


_ADAPTER = TypeAdapter(SearchRecord)
