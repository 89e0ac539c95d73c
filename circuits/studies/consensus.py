"""The circuit that the circuits of many seeds agree on, as a result of its own."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, TypeAdapter, ValidationError

from circuits.circuit import Circuit
from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.problem import Provenance
from circuits.errors import FormatError
from circuits.fields import first_problem
from circuits.runtime.reading import read_file
from circuits.runtime.settings import lenient_names
from circuits.statistics import Estimate
from circuits.statistics.inclusion import least_count

CONSENSUS_FILE = "consensus.json"
"""Of a study's directory: the circuit as every command reads it, and where it is from."""
_ABOUT = "consensus"


@dataclass(frozen=True)
class ConsensusPoint:
    """What at least so many of the circuits have.

    Attributes:
        count: How many of the circuits must have a head or edge.
        n_nodes: How many heads that gives, or nodes where MLPs are such.
        n_edges: How many edges.
        kept: Percent that it keeps on prompts that no seed has seen, as `Consensus.performance`;
            None where there are no such prompts.

    >>> ConsensusPoint(count=5, n_nodes=12, n_edges=40, kept=Estimate(88.0, 81.0, 95.0)).count
    5
    """

    count: int
    n_nodes: int
    n_edges: int
    kept: Estimate | None


@dataclass(frozen=True)
class Consensus:
    """The heads and edges that the circuits of many seeds have in common.

    Attributes:
        circuit: What at least `least` of them have; effects of edges are means over those that do.
        least: That share.
        seeds: Whose circuits.
        points: The same for several shares, those that fewer circuits must have first.
        n_prompts: How many prompts it was measured on, none of which any seed has seen; 0 where it
            was not.
        unmeasured: Why it was not measured; None where it was.
        config: Settings of the seeds, with the seed that is reported.
        provenance: Model, task and versions.

    >>> consensus = study.agreed
    >>> consensus.seeds, consensus.circuit == study.consensus()
    ((0, 1), True)
    >>> Circuit.from_dict(consensus.to_dict()) == consensus.circuit  # a circuit as any other
    True
    """

    circuit: Annotated[
        Circuit,
        PlainValidator(lambda given: Circuit.from_dict(given)),
        PlainSerializer(Circuit.to_dict),
    ]
    least: float | int
    seeds: tuple[int, ...]
    points: tuple[ConsensusPoint, ...]
    n_prompts: int
    unmeasured: str | None
    config: DiscoveryConfig
    provenance: Provenance

    @property
    def point(self) -> ConsensusPoint:
        """Size and performance of the circuit."""
        count = least_count(self.least, len(self.seeds))
        return next(point for point in self.points if point.count == count)

    @property
    def performance(self) -> Estimate | None:
        """Percent kept on prompts that no seed has seen; None where it was not measured.

        Of heads the share of the model's metric under mean ablation, of circuits whose nodes are
        MLPs, too, faithfulness: what `Discovery.performance` is, with an interval over prompts.
        """
        return self.point.kept

    def to_dict(self) -> dict[str, Any]:
        """Plain data: the circuit as `Circuit.to_dict` has it, and in "consensus" all else."""
        about = _ADAPTER.dump_python(self, mode="json")
        return {**about.pop("circuit"), _ABOUT: about}

    @classmethod
    def from_dict(cls, data: Any) -> Consensus:
        """Read what `to_dict` gave. Raises FormatError."""
        about = data.get(_ABOUT) if isinstance(data, dict) else None
        if not isinstance(about, dict):
            raise FormatError(
                f'a consensus is a circuit with a field "{_ABOUT}", which says where it is from; '
                "this has none: read it with Circuit.from_json"
            )
        try:
            with lenient_names():
                return _ADAPTER.validate_python({**about, "circuit": data})
        except ValidationError as error:
            raise FormatError(f"a consensus is malformed: {first_problem(error)}") from error

    @classmethod
    def load(cls, path: str | Path) -> Consensus:
        """Read a `consensus.json`, or that of a study's directory.

        Raises:
            FormatError: It is damaged, or something else.
            FileNotFoundError: There is none.

        """
        path = Path(path)
        path = path / CONSENSUS_FILE if path.is_dir() else path
        try:
            return cls.from_dict(json.loads(read_file(path)))
        except (ValueError, RecursionError) as error:
            raise FormatError(f"{path} is damaged: {error}") from error


_ADAPTER: TypeAdapter[Consensus] = TypeAdapter(Consensus)
