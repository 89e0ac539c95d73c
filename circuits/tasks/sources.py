"""Where a task of your own is: a file, a saved dataset, or a dataset of the Hugging Face hub.

One text says it, and goes wherever a task's name goes:

    data/mine.jsonl                          a JSONL or CSV file
    data/mine.csv?clean=prompt&wrong=foil    the same, with columns of other names
    data/mine?split=test                     a directory that `Dataset.save_to_disk` wrote
    hf://datasets/someone/mine@main          a dataset of the hub; a revision if you like

Behind the question mark stand names of columns (`clean`, `corrupted`, `correct`, `wrong`,
`template`), and for datasets `split` and `config`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl

from circuits.errors import TaskError
from circuits.runtime.shortage import shortage
from circuits.runtime.told import told_as
from circuits.tasks.custom import RowTask, task_from_dataset, task_from_file
from circuits.tasks.rows import Columns
from circuits.tasks.tables import FILE_SUFFIXES

if TYPE_CHECKING:
    from datasets import Dataset

HUB = "hf://datasets/"
_SAVED_DATASET = ("state.json", "dataset_dict.json")
_ROLES = tuple(Columns().every)
_DATASET_SETTINGS = ("split", "config")


@dataclass(frozen=True)
class _Place:
    """A spec taken apart."""

    spec: str
    path: str
    settings: Mapping[str, str]

    @classmethod
    def parse(cls, spec: str) -> _Place:
        if Path(spec).exists():
            return cls(spec, spec, {})
        path, _, query = spec.partition("?")
        known = (*_ROLES, *_DATASET_SETTINGS)
        settings: dict[str, str] = {}
        for part in query.split("&") if query else ():
            name, value = next(iter(parse_qsl(part)), (part.partition("=")[0], ""))
            if name not in known or not value:
                raise TaskError(
                    f"{spec}: {part!r} is not understood; behind the question mark stands "
                    f"NAME=VALUE, several joined by &, where NAME is one of {', '.join(known)}"
                )
            settings[name] = value
        return cls(spec, path, settings)

    @property
    def columns(self) -> Columns:
        return Columns(**{name: v for name, v in self.settings.items() if name in _ROLES})

    @property
    def is_file(self) -> bool:
        return self.path.lower().endswith(FILE_SUFFIXES)

    @property
    def is_saved_dataset(self) -> bool:
        return any((Path(self.path) / name).is_file() for name in _SAVED_DATASET)

    @property
    def is_on_hub(self) -> bool:
        return self.path.startswith(HUB)


def is_spec(text: str) -> bool:
    """Whether a text says where a task is, rather than naming one that is registered."""
    path = text.partition("?")[0]
    return (
        path.startswith(HUB)
        or path.lower().endswith(FILE_SUFFIXES)
        or Path(text).is_file()
        or any((Path(path) / name).is_file() for name in _SAVED_DATASET)
    )


def open_task(spec: str, *, strict: bool = True) -> RowTask:
    """Read a task from a file, a saved dataset, or a dataset of the Hugging Face hub.

    Args:
        spec: A path or `hf://datasets/...`; behind a question mark the names of columns, and for
            datasets `split` and `config` (`data/mine.csv?wrong=foil`).
        strict: Refuse what has rows that no tokenizer could use.

    Raises:
        TaskError: There is nothing, it cannot be read, or (RowsError) rows of it cannot.

    >>> import json
    >>> row = {"clean": "w1 w2 w1", "corrupted": "w3 w2 w1", "correct": " w2", "foil": " w3"}
    >>> _ = (directory / "foils.jsonl").write_text(json.dumps(row))
    >>> open_task(f"{directory}/foils.jsonl?wrong=foil").n_pairs
    1
    """
    place = _Place.parse(spec)
    if not place.is_on_hub and not Path(place.path).exists():
        raise TaskError(f"there is no file or directory {place.path}")
    if place.is_on_hub or Path(place.path).is_dir():
        name = Path(place.path.partition("@")[0]).name
        dataset = _from_hub(place) if place.is_on_hub else _saved(place)
        return task_from_dataset(dataset, name, place.columns, strict=strict, spec=spec)
    if unused := [name for name in _DATASET_SETTINGS if name in place.settings]:
        raise TaskError(f"{spec}: a file has no {' or '.join(unused)}; that is for datasets")
    return task_from_file(place.path, place.columns, strict=strict, spec=spec)


def _saved(place: _Place) -> Dataset:
    if not place.is_saved_dataset:
        raise TaskError(
            f"{place.path} is a directory that no dataset was saved to; give a JSONL or CSV file, "
            "or a directory that Dataset.save_to_disk wrote"
        )
    for path in Path(place.path).rglob("*"):
        if not (path.is_file() or path.is_dir()):
            raise TaskError(f"the dataset in {place.path} cannot be read: {path} is no file")
    from datasets import load_from_disk

    what = f"the dataset in {place.path} cannot be read"
    again = "save it again with Dataset.save_to_disk"
    with told_as(TaskError, what, again):
        # A damaged file that is mapped into memory, or not looked at, ends the process by a signal.
        found = load_from_disk(place.path, keep_in_memory=True)
    chosen = _split(found, place)
    with told_as(TaskError, what, again):
        chosen.data.table.validate(full=True)
    return chosen


def _from_hub(place: _Place) -> Dataset:
    from datasets import load_dataset

    name, _, revision = place.path.removeprefix(HUB).partition("@")
    try:
        found = load_dataset(name, place.settings.get("config"), revision=revision or None)
    except Exception as error:
        # Whatever a hub, a proxy or a damaged cache raises; it is no mistake of ours.
        if (told := shortage(error)) is not None:
            raise told from error
        raise TaskError(f"the dataset {place.path} cannot be loaded: {_line(error)}") from error
    return _split(found, place)


def _split(found: Any, place: _Place) -> Dataset:
    """The split that is asked for, or the only one."""
    from datasets import Dataset

    wanted = place.settings.get("split")
    if isinstance(found, Dataset):
        if wanted is None or wanted == str(found.split):
            return found
        raise TaskError(f"{place.path} is one split, and not {wanted!r}; leave ?split= out")
    splits = ", ".join(found)
    if wanted is None and len(found) == 1:
        return next(iter(found.values()))
    if wanted in found:
        return found[wanted]
    asked = "name a split" if wanted is None else f"there is no split {wanted!r}"
    raise TaskError(f"{place.path}: {asked}, as ?split=NAME; its splits are {splits}")


def _line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0] or type(error).__name__
