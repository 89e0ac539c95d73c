"""What a discovery has found out so far: in memory, and on disk where there is a directory.

Effects depend on the model, the prompts and the metric, never on a threshold: whatever asks for
one that is known, in this run or a later one, gets it for nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import TypeAdapter
from torch import Tensor

from circuits.components import Node, Receiver, parse_node
from circuits.discovery import legacy
from circuits.graph import ModelGraph
from circuits.patching import EdgeSums, EdgeValues
from circuits.pruning import Pruning
from circuits.runtime.journal import Journal
from circuits.runtime.tensor_files import KeptTensors, warn_of_damage

EXACT_FILE, SWEPT_FILE, PRUNED_FILE = "exact.jsonl", "swept.safetensors", "pruned.safetensors"
RANKED_FILE = "ranked.safetensors"
_FORMAT = {"format": "by edge and prompt"}
"""Part of the key: what was kept in another form is read as that, or computed again."""
Key = Mapping[str, Any]
Read = TypeVar("Read")
Pruned = tuple[dict[str, Pruning], dict[str, Tensor]]
_PRUNINGS: TypeAdapter[dict[str, Pruning]] = TypeAdapter(dict[str, Pruning])


class Store:
    """Known effects, estimates and prunings of one model, task, metric and set of prompts.

    Every result is kept under a key that says what it depends on; one that was kept under another
    key is not there, and is replaced by the first that is kept under this one.

    Attributes:
        known: Every exact effect that is known.
        on_keep: Called when something was kept.

    """

    def __init__(self, graph: ModelGraph, key: Key, directory: Path | None = None) -> None:
        """Go on with what `directory` holds of the same model and prompts.

        Nothing is written before there is something to keep.
        """
        self.graph, self.key, self.directory = graph, dict(key), directory
        self.known = EdgeValues.unknown(graph)
        self.on_keep: Callable[[], None] = lambda: None
        self._journal: Journal | None = None
        if directory is not None and is_begun_of(directory, self.key):
            self._learn_again(directory)
        self._kept: dict[str, KeptTensors] = {}

    def _learn_again(self, directory: Path) -> None:
        """Take in what is kept; what fits no edge of the model is left out."""
        unread = 0
        for record in self._begun(directory).records:
            try:
                senders = [parse_node(name) for name in record["senders"]]
                effects = [float(effect) for effect in record["effects"]]
                self.known.put(Receiver.parse(record["receiver"]), senders, effects)
            except (KeyError, TypeError, ValueError, RuntimeError):
                # Versions without checksums kept records, too: one may say anything.
                unread += 1
        if unread:
            warn_of_damage(directory / EXACT_FILE, f"{unread} of its records")

    def learn(self, receiver: Receiver, senders: Sequence[Node], effects: Sequence[float]) -> None:
        """Keep exact effects, which `known` has already."""
        if self.directory is not None:
            names = [str(sender) for sender in senders]
            self._begun(self.directory).append(
                {"receiver": str(receiver), "senders": names, "effects": list(effects)}
            )
            self.on_keep()

    def estimates(self, name: str, key: Key) -> EdgeSums | None:
        """What an estimator found, as far as it got; going on with it changes nothing here."""
        file, graph = _file_of(name), self.graph
        found = self._get(file, {**key, **_FORMAT, "engine": name})
        if found is not None:
            tensors = {name: t.clone() for name, t in found.tensors.items()}
            return self._understood(file, lambda: EdgeSums.of_tensors(graph, tensors))
        old = self._get(SWEPT_FILE, {**key, **legacy.SWEPT_FORMAT}) if name == "sweep" else None
        if old is None:
            return None
        return self._understood(
            file, lambda: EdgeSums.of_tensors(graph, legacy.swept_tensors(old.tensors, graph))
        )

    def keep_estimates(self, name: str, key: Key, sums: EdgeSums) -> None:
        """Keep what an estimator found, whole or begun."""
        self._put(_file_of(name), {**key, **_FORMAT, "engine": name}, sums.tensors())

    def pruned(self, key: Key) -> Pruned | None:
        """Prunings and the scores behind them."""
        found = self._get(PRUNED_FILE, key)
        if found is None:
            return None
        return self._understood(
            PRUNED_FILE, lambda: (_PRUNINGS.validate_json(found.note), found.tensors)
        )

    def keep_pruned(self, key: Key, pruned: Pruned) -> None:
        """Keep prunings and the scores behind them."""
        prunings, scores = pruned
        self._put(PRUNED_FILE, key, scores, _PRUNINGS.dump_json(prunings).decode())

    def ranked(self, key: Key) -> dict[str, Tensor] | None:
        """Rankings, as `Rankings.tensors` gives them."""
        found = self._get(RANKED_FILE, key)
        return None if found is None else found.tensors

    def keep_ranked(self, key: Key, ranked: dict[str, Tensor]) -> None:
        """Keep rankings."""
        self._put(RANKED_FILE, key, ranked)

    def _begun(self, directory: Path) -> Journal:
        if self._journal is None:
            directory.mkdir(parents=True, exist_ok=True)
            self._journal = Journal(directory / EXACT_FILE, self.key)
        return self._journal

    def _understood(self, name: str, read: Callable[[], Read]) -> Read | None:
        """What is read from a file; None where it holds something else than it says."""
        try:
            return read()
        except (LookupError, TypeError, ValueError, RuntimeError):
            # Versions without checksums kept such files, too.
            warn_of_damage(Path(name) if self.directory is None else self.directory / name)
            return None

    def _get(self, name: str, key: Key) -> KeptTensors | None:
        where = self.directory
        found = self._kept.get(name) if where is None else KeptTensors.read(where / name)
        return found if found is not None and found.key == self._whole(key) else None

    def _put(self, name: str, key: Key, tensors: dict[str, Tensor], note: str = "") -> None:
        copies = {k: tensor.clone().contiguous() for k, tensor in tensors.items()}
        kept = KeptTensors(self._whole(key), note, copies)
        if self.directory is None:
            self._kept[name] = kept
        else:
            self._begun(self.directory)
            kept.write(self.directory / name)
            self.on_keep()

    def _whole(self, key: Key) -> str:
        return json.dumps({**self.key, **key}, sort_keys=True)


def _file_of(estimator: str) -> str:
    return SWEPT_FILE if estimator == "sweep" else f"estimated-{estimator}.safetensors"


def owner(directory: Path) -> dict[str, Any] | None:
    """The key of the store that a directory holds; None where it holds none, {} if unreadable."""
    return Journal.owner(directory / EXACT_FILE)


def is_begun_of(directory: Path, key: Key) -> bool:
    """Whether a directory holds something of just this, whatever else is damaged."""
    return Journal.holds(directory / EXACT_FILE, key)
