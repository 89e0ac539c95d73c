"""What a run has cost so far, kept with its effects: one that goes on adds to it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError
from xxhash import xxh3_128_hexdigest

from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.store import EXACT_FILE, Key
from circuits.runtime.cost import StageCost, added_up
from circuits.runtime.journal import Journal, Record

SPENT_FILE = "spent.jsonl"
_SETTINGS = "settings"
_CONFIG: TypeAdapter[DiscoveryConfig] = TypeAdapter(DiscoveryConfig)
_STAGE: TypeAdapter[StageCost] = TypeAdapter(StageCost)


class Spent:
    """The cost of one question by one set of settings, in a run's directory.

    Attributes:
        earlier: By stage, what processes before this one took.

    """

    def __init__(
        self, directory: Path | None, key: Key, config: DiscoveryConfig, *, continues: bool
    ) -> None:
        """Read what is kept in `directory`, where this run goes on from what is there."""
        self._directory, self._key = directory, dict(key)
        # How much memory may be used changes no number.
        settings = _CONFIG.dump_json(replace(config, memory_bytes=None))
        self._settings = xxh3_128_hexdigest(settings)
        self._journal: Journal | None = None
        self._waiting: list[Record] = []
        self.earlier: tuple[StageCost, ...] = ()
        if directory is not None and continues and Journal.holds(self._path, key):
            self.earlier = added_up(self._kept(self._begun().records))

    def add(self, cost: StageCost) -> None:
        """Keep what was spent, as soon as something else is kept: alone it is of no use."""
        if self._directory is None:
            return
        self._waiting.append({_SETTINGS: self._settings, "cost": asdict(cost)})
        if (self._directory / EXACT_FILE).exists():
            for record in self._waiting:
                self._begun().append(record)
            self._waiting.clear()

    @property
    def _path(self) -> Path:
        assert self._directory is not None
        return self._directory / SPENT_FILE

    def _begun(self) -> Journal:
        if self._journal is None:
            self._journal = Journal(self._path, self._key)
        return self._journal

    def _kept(self, records: Iterable[Record]) -> list[StageCost]:
        found: list[StageCost] = []
        for record in records:
            if record.get(_SETTINGS) == self._settings:
                try:
                    found.append(_STAGE.validate_python(record.get("cost")))
                except ValidationError:
                    continue
        return found
