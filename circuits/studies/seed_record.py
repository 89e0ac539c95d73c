"""A study's directory: what `seeds.json` keeps of all seeds together, and the files beside it."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, TypeAdapter, ValidationError
from xxhash import xxh3_128_hexdigest

from circuits.components import Connection
from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.overwriting import (
    DIGESTS,
    check_same_question,
    check_written_with,
    is_written,
    question,
)
from circuits.discovery.problem import Provenance
from circuits.errors import FormatError
from circuits.fields import EdgeName, NodeName, first_problem
from circuits.graph import Mlps
from circuits.runtime.files import write_atomically
from circuits.runtime.lock import only_user
from circuits.runtime.reading import read_file
from circuits.statistics import Included, InclusionRule, Inclusions
from circuits.studies.consensus import CONSENSUS_FILE, Consensus

SEEDS_FILE, INCLUSION_FILE = "seeds.json", "inclusion.csv"
_BESIDE = (INCLUSION_FILE, CONSENSUS_FILE)
_COLUMNS = ("sender", "receiver", "count", "seeds", "share", "low", "high", "p_value", "kind")


@dataclass(frozen=True)
class SeedRecord:
    """What circuits of many seeds have in common, as `seeds.json` keeps it.

    Attributes:
        seeds: Every seed.
        reported: The one whose run one would have reported without the others.
        against: What each run is compared with.
        mlps: Whether MLPs belong to the "path"s between heads, or are "nodes".
        rule: What parts are called by how many of the circuits have them.
        nodes: How many circuits each head is in, or each node.
        edges: The same of edges; None for methods that find none.
        consensus: The circuit that they agree on; None where no seed has one.

    >>> record = study.record
    >>> study.save(directory / "study")
    >>> SeedRecord.load(directory / "study") == record
    True
    """

    seeds: tuple[int, ...]
    reported: int
    against: str | None
    mlps: Mlps
    rule: InclusionRule
    nodes: Inclusions[NodeName]
    edges: Inclusions[EdgeName] | None
    consensus: (
        Annotated[
            Consensus,
            PlainValidator(lambda given: Consensus.from_dict(given)),
            PlainSerializer(Consensus.to_dict),
        ]
        | None
    )

    def to_dict(self) -> dict[str, Any]:
        """Plain data."""
        return _ADAPTER.dump_python(self, mode="json")

    def to_csv(self) -> str:
        """A row for each node, whose receiver is empty, and for each edge; most frequent first.

        >>> print(study.record.to_csv().splitlines()[0])
        sender,receiver,count,seeds,share,low,high,p_value,kind
        """
        file = io.StringIO(newline="")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(_COLUMNS)
        writer.writerows(self._rows())
        return file.getvalue()

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        for row in (*self.nodes.rows, *(() if self.edges is None else self.edges.rows)):
            yield *_ends(row), row.count, len(self.seeds), *_numbers(row), row.kind

    @classmethod
    def load(cls, directory: str | Path) -> SeedRecord:
        """Read the `seeds.json` of a study's directory.

        Raises:
            FormatError: It is damaged, or older than what is read here.
            FileNotFoundError: There is none.

        """
        path = Path(directory) / SEEDS_FILE
        try:
            return _ADAPTER.validate_python(json.loads(read_file(path)))
        except ValidationError as error:
            raise FormatError(
                f"{path} is damaged or of an older version ({first_problem(error)}): the same "
                "`circuits seeds` again writes it anew, and repeats no run"
            ) from error
        except (ValueError, RecursionError) as error:
            raise FormatError(f"{path} is damaged: {error}") from error


def write_study(directory: Path, record: SeedRecord, fields: Mapping[str, Any]) -> None:
    """Write `seeds.json`, `inclusion.csv`, and `consensus.json` where there is a consensus."""
    beside = {INCLUSION_FILE: record.to_csv().encode()}
    if record.consensus is not None:
        beside[CONSENSUS_FILE] = json.dumps(record.consensus.to_dict(), indent=1).encode()
    digests = {name: xxh3_128_hexdigest(data) for name, data in beside.items()}
    every = {SEEDS_FILE: json.dumps({**fields, DIGESTS: digests}, indent=1).encode(), **beside}
    with only_user(directory):
        gone = [n for n in _BESIDE if n not in beside and is_written(directory, n, SEEDS_FILE)]
        write_atomically({directory / name: data for name, data in every.items()})
        for name in gone:
            (directory / name).unlink(missing_ok=True)


def check_study_replaceable(
    directory: str | Path, config: DiscoveryConfig, provenance: Provenance
) -> None:
    """Raise OverwriteError where a study is about something else, or no study wrote its files."""
    asked = question(config, provenance, "seed")
    check_same_question(Path(directory), SEEDS_FILE, asked)
    check_written_with(Path(directory), _BESIDE, SEEDS_FILE)


def _ends(row: Included[Any]) -> tuple[str, str]:
    if isinstance(row.item, Connection):
        return str(row.item.sender), str(row.item.receiver)
    return str(row.item), ""


def _numbers(row: Included[Any]) -> tuple[str, ...]:
    share = row.share
    return tuple(f"{value:.6g}" for value in (share.value, share.low, share.high, row.p_value))


_ADAPTER: TypeAdapter[SeedRecord] = TypeAdapter(SeedRecord)
