"""Everything that a run's directory holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from xxhash import xxh3_128_hexdigest

from circuits.discovery.record import CIRCUIT_FILE, RUN_FILE, SEARCH_FILES, TENSOR_FILE
from circuits.discovery.result import Discovery
from circuits.evaluation import EVALUATION_FILE, SavedEvaluation
from circuits.runtime.reading import LARGEST_TENSORS, read_file
from circuits.studies.record import SearchRecord
from circuits.studies.repeated import seed_directory
from circuits.studies.seed_record import SEEDS_FILE, SeedRecord

_FILES = (CIRCUIT_FILE, RUN_FILE, TENSOR_FILE, *SEARCH_FILES, EVALUATION_FILE)


@dataclass(frozen=True)
class SavedRun:
    """A saved run and what was kept with it.

    Attributes:
        name: The directory, as it was given.
        found: The discovery.
        evaluation: That of its circuit; None where none was kept, or only one of another circuit.
        search: The grid or study that it was chosen by, if any.
        seeds: What many seeds have in common, where the directory is a study's; the run is then
            that of the seed that is reported.
        digests: The hash (xxh3-128) of each file.

    >>> saved = SavedRun.load(run)
    >>> saved.title, saved.found.circuit == circuit
    ('toy on tiny-gemma3', True)
    """

    name: str
    found: Discovery
    evaluation: SavedEvaluation | None
    search: SearchRecord | None
    digests: Mapping[str, str]
    seeds: SeedRecord | None = None

    @classmethod
    def load(cls, directory: str | Path) -> SavedRun:
        """Read a run's directory, or that of a study of seeds.

        Raises:
            MissingRunError: It holds no saved run.
            FormatError: A file is damaged.

        """
        path, seeds = Path(directory), None
        if (path / SEEDS_FILE).is_file() and not (path / RUN_FILE).is_file():
            seeds = SeedRecord.load(path)
            path = seed_directory(path, seeds.reported)
        found = Discovery.load(path)
        evaluation = SavedEvaluation.load(path)
        if evaluation is not None and not evaluation.is_of(found.circuit):
            evaluation = None
        there = [name for name in _FILES if (path / name).is_file()]
        content = ((name, read_file(path / name, LARGEST_TENSORS)) for name in there)
        digests = {name: xxh3_128_hexdigest(data) for name, data in content}
        return cls(str(path), found, evaluation, SearchRecord.load(path), digests, seeds)

    @property
    def title(self) -> str:
        """The task and the model, as a heading."""
        source = self.found.provenance
        return f"{source.task} on {source.model.name}"
