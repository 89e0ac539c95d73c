"""A run's directory: what its files are called, and how they are written and read together."""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from xxhash import xxh3_128_hexdigest

from circuits.behaviour import Behaviour, Verdict
from circuits.circuit import Circuit
from circuits.discovery import legacy
from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.overwriting import (
    CIRCUIT_FILE,
    DIGESTS,
    RUN_FILE,
    TENSOR_FILE,
    check_run_replaceable,
    is_written,
    question,
)
from circuits.discovery.problem import Provenance
from circuits.errors import FormatError, MissingRunError, cause
from circuits.evaluation.contributions import Contributions
from circuits.evaluation.sizes import SizeCurve
from circuits.fields import EdgeName, first_problem
from circuits.patching import EdgeValues
from circuits.pruning import Pruning
from circuits.runtime.cost import Cost
from circuits.runtime.files import settle, write_atomically
from circuits.runtime.lock import only_user
from circuits.runtime.reading import LARGEST_TENSORS, LARGEST_TEXT, read_file
from circuits.runtime.settings import lenient_names
from circuits.search import Verification
from circuits.statistics.intervals import Estimate

GRID_FILE, STUDY_FILE = "grid.json", "study.json"
SEARCH_FILES = (GRID_FILE, STUDY_FILE)
"""Whole searches, of which a run is the chosen circuit; `run.json` has their digests, too."""
_MOST = {CIRCUIT_FILE: LARGEST_TEXT, RUN_FILE: LARGEST_TEXT, TENSOR_FILE: LARGEST_TENSORS}
Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class RunRecord:
    """The part of a discovery that `run.json` holds."""

    config: DiscoveryConfig
    provenance: Provenance
    behaviour: Behaviour
    performance: float
    prunings: dict[str, Pruning]
    cost: Cost
    verification: Verification | None = None
    verdict: Verdict | None = None
    sizes: SizeCurve | None = None
    contributions: Contributions | None = None
    edge_worth: dict[EdgeName, Estimate] | None = None


RECORD: TypeAdapter[RunRecord] = TypeAdapter(RunRecord)


def write_run(
    directory: str | Path,
    record: RunRecord,
    circuit: Circuit,
    tensors: Tensors,
    beside: Mapping[str, bytes] | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Write `circuit.json`, `run.json` and `tensors.safetensors`: all of them or none.

    Files of `SEARCH_FILES` can be given to be written with them; those of an earlier run go.

    Raises:
        OverwriteError: The directory holds a run about something else, or files of these names
            that no run wrote; unless `overwrite`.

    """
    directory = Path(directory)
    content = {
        TENSOR_FILE: save({name: tensor.contiguous() for name, tensor in tensors.items()}),
        CIRCUIT_FILE: circuit.to_json().encode(),
        **(beside or {}),
    }
    fields = RECORD.dump_python(record, mode="json")
    fields[DIGESTS] = {name: xxh3_128_hexdigest(data) for name, data in content.items()}
    content[RUN_FILE] = json.dumps(fields, indent=1).encode()
    with only_user(directory):
        settle(directory)
        if not overwrite:
            asked = question(record.config, record.provenance)
            check_run_replaceable(directory, asked, beside or ())
        gone = [n for n in SEARCH_FILES if n not in content and is_written(directory, n)]
        write_atomically({directory / name: data for name, data in content.items()})
        for name in gone:
            (directory / name).unlink(missing_ok=True)


def read_run(directory: str | Path) -> tuple[RunRecord, Circuit, dict[str, Tensor]]:
    """Read what `write_run` wrote.

    Raises:
        MissingRunError: The directory holds no saved run.
        FormatError: A file is damaged, or does not belong to the others.

    """
    directory = Path(directory)
    with suppress(OSError):
        settle(directory)
    files = (CIRCUIT_FILE, RUN_FILE, TENSOR_FILE)
    missing = [name for name in files if not (directory / name).is_file()]
    if missing:
        raise MissingRunError(
            f"{directory} is no saved run: it lacks {', '.join(missing)}; "
            "a run is a directory written by Discovery.save or `circuits discover --out`"
        )
    try:
        with lenient_names():
            return _read({name: read_file(directory / name, _MOST[name]) for name in files})
    except (ValidationError, SafetensorError, ValueError, TypeError, RecursionError) as error:
        raise FormatError(f"the saved run in {directory} is damaged: {_reason(error)}") from error


def read_effects(
    directory: str | Path, named: Mapping[str, Tensor], record: RunRecord
) -> EdgeValues | None:
    """The effects of a saved run; None where there are none.

    Raises FormatError where they are not such a model's.
    """
    model = record.provenance.model
    try:
        return legacy.as_one(named, model.graph(record.config.mlps)) if named else None
    except (KeyError, IndexError, RuntimeError, TypeError, ValueError) as error:
        raise FormatError(
            f"the saved run in {directory} is damaged: its effects in {TENSOR_FILE} are not those "
            f"of {model.name}: {cause(error)}"
        ) from error


def _read(files: dict[str, bytes]) -> tuple[RunRecord, Circuit, dict[str, Tensor]]:
    fields = json.loads(files[RUN_FILE])
    digests = fields.pop(DIGESTS, None) if isinstance(fields, dict) else None
    if not isinstance(digests, dict):
        raise TypeError(f"{RUN_FILE} holds no record of a run")
    record = RECORD.validate_python(fields)
    circuit = Circuit.from_json(files[CIRCUIT_FILE].decode())
    tensors = load(files[TENSOR_FILE])
    for name in (CIRCUIT_FILE, TENSOR_FILE):
        if xxh3_128_hexdigest(files[name]) != digests.get(name):
            raise FormatError(f"{name} is not the one that {RUN_FILE} was written with")
    return record, circuit, tensors


def _reason(error: Exception) -> str:
    """One line that says what is wrong and where."""
    if isinstance(error, json.JSONDecodeError):
        return f"{RUN_FILE} is no JSON: {error}"
    if isinstance(error, ValidationError):
        return f"{RUN_FILE}: {first_problem(error)}"
    return str(error).partition("\n")[0]
