"""What repeated discoveries found, seed by seed and together."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.circuit import Circuit, Overlap
from circuits.components import Connection, Head, Node
from circuits.discovery.record import RECORD
from circuits.discovery.result import Discovery
from circuits.graph import ModelGraph
from circuits.runtime.lock import only_user
from circuits.statistics import InclusionRule, Inclusions
from circuits.statistics.distribution import Distribution, Outlier, outliers
from circuits.studies.agreement import consensus_circuit, edge_inclusions, node_inclusions
from circuits.studies.consensus import Consensus
from circuits.studies.seed_record import SeedRecord, check_study_replaceable, write_study

MORE_IS_BETTER = {
    "performance": True,
    "heads": False,
    "edges": False,
    "sparsity": True,
    "head precision": True,
    "head recall": True,
    "edge precision": True,
    "edge recall": True,
}
"""Every figure of a study; those of edges are there where circuits have edges."""
_IMPLIED_BY_OTHERS = frozenset({"sparsity"})
"""Sparsity is the number of heads in another unit."""


@dataclass(frozen=True, eq=False)
class SeedRun:
    """What was found on the prompts of one seed.

    Attributes:
        found: The discovery. Where it started from the sweep of `against`, its cost is the rest.
        against: The discovery on the same prompts that it is compared with, if it is.
        heads: Agreement of the heads with what they are compared with; None without.
        edges: The same of the edges; None also where there are none to compare.

    >>> first = study.runs[0]
    >>> first.seed, list(first.figures)
    (0, ['performance', 'heads', 'edges', 'sparsity'])
    """

    found: Discovery
    against: Discovery | None = None
    heads: Overlap[Head] | None = None
    edges: Overlap[Connection] | None = None

    @property
    def seed(self) -> int:
        """The seed of the prompts."""
        return self.found.config.seed

    @property
    def figures(self) -> dict[str, float]:
        """By the names of `MORE_IS_BETTER`; all NaN where there was no circuit to search for."""
        figures = _own_figures(self.found)
        for kind, overlap in (("head", self.heads), ("edge", self.edges)):
            if overlap is not None:
                figures[f"{kind} precision"] = overlap.precision
                figures[f"{kind} recall"] = overlap.recall
        return figures

    def to_dict(self) -> dict[str, Any]:
        """Plain data: figures, names of heads, cost, and the same of `against`."""
        verdict, against = self.found.verdict, self.against
        return {
            "seed": self.seed,
            "verdict": None if verdict is None else asdict(verdict),
            **_row(self.found, self.figures),
            "against": None if against is None else _row(against, _own_figures(against)),
        }


@dataclass(frozen=True, eq=False)
class SeedStudy:
    """A discovery repeated over seeds.

    Attributes:
        runs: One for each seed.
        reported: The seed whose run one would have reported without the others.
        against: What each run is compared with: the name of a method or of a reference.
        rule: What a head, node or edge is called by how many of the circuits have it.
        agreed: The consensus circuit, measured on prompts that no seed has seen; None where it was
            not measured, as where no seed has a circuit (`evaluate_consensus`).

    >>> study.figures["heads"].mean == sum(len(one.found.circuit) for one in study.runs) / 2
    True
    >>> study.head_frequencies.shape  # 1 for heads that are in the circuit of every seed
    torch.Size([3, 4])
    >>> study.consensus(1.0).heads == study.nodes.at_least(1.0)  # what every circuit has
    True
    """

    runs: tuple[SeedRun, ...]
    reported: int
    against: str | None = None
    rule: InclusionRule = field(default_factory=InclusionRule)
    agreed: Consensus | None = None

    @property
    def found(self) -> Discovery:
        """The discovery that one would have reported."""
        return next(run.found for run in self.runs if run.seed == self.reported)

    @cached_property
    def figures(self) -> dict[str, Distribution]:
        """Every figure over seeds, by the names of `MORE_IS_BETTER`."""
        by_seed = {run.seed: run.figures for run in self.runs}
        return {
            name: Distribution({seed: row[name] for seed, row in by_seed.items()}, better)
            for name, better in MORE_IS_BETTER.items()
            if all(name in row for row in by_seed.values())
        }

    @cached_property
    def head_counts(self) -> dict[Head, int]:
        """In how many circuits each head is; those that are in most first."""
        counts = Counter(head for run in self.runs for head in run.found.circuit.heads)
        return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))

    @property
    def head_frequencies(self) -> Float[Tensor, "layer head"]:
        """The share of seeds whose circuit has each head; `head_scores_figure` can draw it."""
        circuit = self.found.circuit
        shares = torch.zeros(circuit.n_layers, circuit.n_heads)
        for head, count in self.head_counts.items():
            shares[head.layer, head.index] = count / len(self.runs)
        return shares

    @property
    def graph(self) -> ModelGraph:
        """The nodes and edges that circuits are made of."""
        return self.found.provenance.model.graph(self.found.config.mlps, self.found.circuit.spans)

    @property
    def circuits(self) -> tuple[Circuit, ...]:
        """The circuit of each seed; empty where there was none to search for."""
        return tuple(run.found.circuit for run in self.runs)

    @cached_property
    def nodes(self) -> Inclusions[Node]:
        """How many circuits each head is in; where MLPs and the embedding are nodes, these, too."""
        return node_inclusions(self.circuits, self.graph, self.rule)

    @cached_property
    def edges(self) -> Inclusions[Connection] | None:
        """How many circuits each edge is in; None for methods that find no edges."""
        if not self.found.config.finds_edges:
            return None
        return edge_inclusions(self.circuits, self.graph, self.rule)

    def consensus(self, least: float | int | None = None) -> Circuit:
        """The heads and edges that at least a share of the circuits has (`consensus_circuit`).

        Args:
            least: That share; the one of the rule without.

        Raises:
            InputError: It is not above 0 and at most 1.

        """
        share = self.rule.consensus if least is None else least
        return consensus_circuit(self.circuits, self.graph, share)

    @property
    def refusals(self) -> dict[int, str]:
        """By seed, why there was no circuit to search for."""
        return {run.seed: reason for run in self.runs if (reason := run.found.refusal)}

    @cached_property
    def outliers(self) -> tuple[Outlier, ...]:
        """Figures of single seeds that the others do not let expect (`distribution.outliers`)."""
        tested = {name: d for name, d in self.figures.items() if name not in _IMPLIED_BY_OTHERS}
        return tuple(outliers(tested, self.reported))

    @cached_property
    def record(self) -> SeedRecord:
        """What the circuits have in common, as it is read again from `seeds.json`."""
        seeds = tuple(run.seed for run in self.runs)
        about = seeds, self.reported, self.against, self.graph.mlps, self.rule
        return SeedRecord(*about, self.nodes, self.edges, self.agreed)

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for `seeds.json`."""
        record = RECORD.dump_python(self.found.record, mode="json")
        return {
            **self.record.to_dict(),
            "figures": {name: _distribution(d) for name, d in self.figures.items()},
            "head_counts": {str(head): count for head, count in self.head_counts.items()},
            "outliers": [asdict(outlier) for outlier in self.outliers],
            "runs": [run.to_dict() for run in self.runs],
            "config": record["config"],
            "provenance": record["provenance"],
        }

    def save(self, directory: str | Path, *, overwrite: bool = False) -> None:
        """Write `seeds.json`, `inclusion.csv` and `consensus.json`.

        The runs themselves were saved beside them as they were done.

        Raises:
            OverwriteError: There are such files of another task or model, or some that no study
                wrote; unless `overwrite`.

        """
        with only_user(directory):
            if not overwrite:
                check_study_replaceable(directory, self.found.config, self.found.provenance)
            write_study(Path(directory), self.record, self.to_dict())


def _own_figures(found: Discovery) -> dict[str, float]:
    circuit = found.circuit
    figures = {"performance": found.performance, "heads": float(len(circuit))}
    if found.config.finds_edges:
        figures["edges"] = float(len(circuit.edges))
    figures["sparsity"] = circuit.sparsity
    return dict.fromkeys(figures, math.nan) if found.refusal else figures


def _row(found: Discovery, figures: Mapping[str, float]) -> dict[str, Any]:
    return {
        "heads": [str(head) for head in sorted(found.circuit.heads)],
        "figures": {name: _number(value) for name, value in figures.items()},
        "seconds": found.cost.seconds,
        "flops": found.cost.flops,
    }


def _distribution(figure: Distribution) -> dict[str, Any]:
    ends = {"best": figure.best, "worst": figure.worst}
    return {
        "mean": _number(figure.mean),
        "sd": _number(figure.sd),
        **{
            name: None if end is None else {"seed": end[0], "value": end[1]}
            for name, end in ends.items()
        },
        "histogram": asdict(figure.histogram),
        "values": {str(seed): _number(value) for seed, value in figure.values.items()},
    }


def _number(value: float) -> float | None:
    """JSON has no NaN."""
    return None if math.isnan(value) else value
