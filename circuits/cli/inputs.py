"""What commands are given: models, settings, runs, circuits, references."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from circuits.circuit import Circuit
from circuits.cli.errors import UsageError, usage_errors
from circuits.cli.progress import LOADING
from circuits.cli.terminal import print_warning
from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.named import config_of
from circuits.errors import FormatError, UnknownNameError
from circuits.model.catalogue import DEFAULT_MODEL, check_name
from circuits.references import Reference, load_reference
from circuits.runtime.progress import Progress
from circuits.runtime.reading import read_text

if TYPE_CHECKING:
    from circuits.discovery.result import Discovery
    from circuits.forward import TransformerBridge


@dataclass(frozen=True)
class ModelSource:
    """Which model to load, and how; None leaves it to the library."""

    name: str | None
    device: str | None
    dtype: str | None
    threads: int | None = None

    @property
    def shown(self) -> str:
        """The model's name."""
        return DEFAULT_MODEL if self.name is None else self.name

    def or_else(self, name: str | None, dtype: str | None) -> ModelSource:
        """The model of a saved result in its dtype, unless another place of it was given."""
        return replace(self, name=name if self.name is None else self.name, dtype=dtype)

    def check(self) -> None:
        """Refuse, before anything is imported, a name that stands for no model."""
        check_name(self.shown)

    def load(self, progress: Progress) -> TransformerBridge:
        """Load the model, saying what takes long."""
        from circuits.model import load_model
        from circuits.runtime.threads import use_threads

        part = progress.stage(LOADING)
        use_threads(self.threads)
        chosen: dict[str, Any] = {} if self.dtype is None else {"dtype": self.dtype}
        with usage_errors():
            bridge = load_model(self.shown, device=self.device, progress=part.note, **chosen)
        part(1.0)
        return bridge


def discovery_config(
    options: Mapping[str, Any], usual_method: str = "in-context"
) -> DiscoveryConfig:
    """Build the settings from the options that were given. Raises SettingError."""
    given = {name: value for name, value in options.items() if value is not None}
    return config_of(given, usual_method)


def read(path: Path) -> Discovery | Circuit:
    """Read a run's directory, or a circuit's JSON file. Raises CircuitsError, OSError."""
    if path.is_file():
        return read_circuit_file(path)
    from circuits.discovery.result import Discovery

    return Discovery.load(path)


def read_circuit_file(path: Path) -> Circuit:
    """Read a circuit's JSON file. Raises FormatError, OSError."""
    try:
        return Circuit.from_json(read_text(path))
    except ValueError as error:
        raise FormatError(f"{path} holds no circuit: {error}") from error


def read_named(given: str) -> Discovery | Circuit | Reference:
    """What is at that path; where nothing is and it looks like none, the reference of that name."""
    path = Path(given)
    if path.exists() or given != path.name:
        return read(path)
    try:
        return load_reference(given)
    except UnknownNameError as error:
        raise UsageError(f"there is no run or file {given} here, and {error}") from error


def warn_of_other_origin(theirs: Reference | Discovery, name: str, task: str, model: str) -> None:
    """Say where what a circuit is compared with is of another task or model: it means less then."""
    if isinstance(theirs, Reference):
        known = {"task": theirs.task, "model": theirs.model}
    else:
        known = {"task": theirs.provenance.task, "model": theirs.provenance.model.name}
    for what, mine in (("task", task), ("model", model)):
        if mine != known[what]:
            print_warning(f"{name} is of {what} {known[what]}, the run is of {mine}")


def circuit_of(source: Discovery | Circuit | Reference) -> Circuit:
    """The circuit of whatever was given."""
    return source if isinstance(source, Circuit) else source.circuit
