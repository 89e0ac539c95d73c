"""Things by name that anyone can add to: tasks, metrics, scores, estimators, searches, formats.

Our own stand in a registry as an entry point would write them, `package.module:ATTRIBUTE`, so that
a name can be offered and checked without importing what it stands for. Other packages add theirs by
an entry point of the registry's group; code that runs adds its own by `register`. Each is checked
when it comes in.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from inspect import isfunction
from types import ModuleType
from typing import Any, Generic, TypeVar

from circuits.errors import InputError, UnknownNameError, cause, plural, unknown_name

GROUP = "accelerated_path_patching"
"""Entry point groups are `accelerated_path_patching.tasks`, `.metrics`, and so on."""
Entry = TypeVar("Entry")


class PluginWarning(UserWarning):
    """What an installed package brings cannot be used; everything else can.

    >>> broken = BrokenPlugin("task", "opposites", "my-tasks", "it must be a subclass of Task")
    >>> print(PluginWarning(broken))
    the task 'opposites' of package my-tasks cannot be used (it must be a subclass of Task); update
    or remove that package
    """


@dataclass(frozen=True)
class BrokenPlugin:
    """An entry point that could not be used, and why.

    Attributes:
        kind: What it was to be, in words.
        name: Its name.
        package: The package that brings it.
        reason: Why it cannot be used.

    >>> str(BrokenPlugin("metric", "accuracy", "my-metrics", "ImportError: no module named numba"))
    "the metric 'accuracy' of package my-metrics cannot be used (ImportError: ...); update or..."
    """

    kind: str
    name: str
    package: str
    reason: str

    def __str__(self) -> str:
        return (
            f"the {self.kind} {self.name!r} of package {self.package} cannot be used "
            f"({self.reason}); update or remove that package"
        )


class Registry(Generic[Entry]):
    """Objects of one kind by their `name`.

    >>> metrics = Registry[Any]("metric", {"logit_diff": "circuits.metrics:LOGIT_DIFF"})
    >>> metrics.names()
    ('logit_diff',)
    >>> "accuracy" in metrics
    False
    """

    def __init__(
        self,
        kind: str,
        ours: Mapping[str, str],
        flaw: Callable[[Any], str | None] = lambda entry: None,
        *,
        advice: str = "",
        error: type[InputError] | None = None,
    ) -> None:
        """Begin with our own.

        Args:
            kind: What an entry is, in words.
            ours: By name, where each is.
            flaw: Says what an object lacks that is to be an entry; None where it is one.
            advice: What stands behind the known names where one is unknown.
            error: What is raised in place of UnknownNameError and InputError.

        """
        self.kind, self._ours, self._flaw = kind, dict(ours), flaw
        self._advice, self._error = advice, error or InputError
        self._unknown = error or UnknownNameError
        self._registered: dict[str, Entry] = {}
        self._broken: tuple[BrokenPlugin, ...] | None = None

    @property
    def group(self) -> str:
        """The entry point group of packages that bring entries."""
        return f"{GROUP}.{plural(self.kind).replace(' ', '_')}"

    def names(self) -> tuple[str, ...]:
        """All names: ours in their order, registered ones, those of installed packages."""
        self._plugins()
        return tuple(dict.fromkeys((*self._ours, *self._registered)))

    def __contains__(self, name: object) -> bool:
        """Whether an entry has this name."""
        return name in self._ours or name in self.names()

    def get(self, name: str) -> Entry:
        """The entry of that name.

        Raises:
            UnknownNameError: There is none, or its package is broken; names the closest one.
                A registry may have been made with another class of error.

        """
        if name in self._registered:
            return self._registered[name]
        if name in self._ours:
            module, _, attribute = self._ours[name].partition(":")
            return self.register(getattr(import_module(module), attribute))
        for plugin in self._plugins():
            if plugin.name == name:
                raise self._unknown(str(plugin))
        if name not in self._registered:
            raise self._unknown(unknown_name(self.kind, name, self.names(), self._advice))
        return self._registered[name]

    def all(self) -> tuple[Entry, ...]:
        """Every entry, in the order of their names."""
        return tuple(map(self.get, self.names()))

    def check(self, name: str) -> None:
        """Raise UnknownNameError, as `get` does, for an unknown name; imports nothing of ours."""
        if name not in self:
            self.get(name)

    def register(self, entry: Entry) -> Entry:
        """Add an entry, or define one anew.

        Raises:
            InputError: It has a flaw, no name, or the name of another entry. A registry may
                have been made with another class of error.

        """
        name, shown = _name(entry), _shown(entry)
        if flaw := self._flaw(entry):
            raise self._error(f"{shown} is no {self.kind}: {flaw}")
        if not isinstance(name, str) or not name:
            raise self._error(f"{shown} has no name; give it a `name` attribute")
        taken = self._taken_by(name)
        # A notebook cell that is run again defines the same thing anew; that is no clash.
        if taken is not None and taken[1] != _path(entry):
            raise self._error(
                f"the {self.kind} name {name!r} of {shown} is taken by {taken[0]}; choose another "
                f"than {', '.join(self._ours)}"
            )
        self._registered[name] = entry
        return entry

    @contextmanager
    def with_entry(self, entry: Entry) -> Iterator[Entry]:
        """Have an entry inside a `with` statement alone."""
        before = dict(self._registered)
        try:
            yield self.register(entry)
        finally:
            self._registered = before

    def _taken_by(self, name: str) -> tuple[str, tuple[str, str]] | None:
        """What has a name already: how it is shown, and where it is defined."""
        if name in self._registered:
            known = self._registered[name]
            return _shown(known), _path(known)
        if name in self._ours:
            module, _, attribute = self._ours[name].partition(":")
            known = getattr(import_module(module), attribute)
            return _shown(known), _path(known)
        return None

    def _plugins(self) -> tuple[BrokenPlugin, ...]:
        """Load what installed packages bring, once; warn of what cannot be used."""
        if self._broken is None:
            self._broken = ()
            entries = sorted(entry_points(group=self.group), key=lambda entry: entry.name)
            self._broken = tuple(b for b in map(self._load, entries) if b is not None)
        return self._broken

    def _load(self, entry: EntryPoint) -> BrokenPlugin | None:
        try:
            found = entry.load()
            # A module registers its entries itself, when it is imported.
            if not isinstance(found, ModuleType):
                self.register(found)
        except Exception as error:
            # Code of others: whatever it raises must not take the rest along.
            package = entry.dist.name if entry.dist else "unknown"
            known = isinstance(error, InputError)
            reason = cause(error) if known else f"{type(error).__name__}: {cause(error)}"
            broken = BrokenPlugin(self.kind, entry.name, package, reason)
            warnings.warn(str(broken), PluginWarning, stacklevel=4)
            return broken
        return None


def _name(entry: Any) -> Any:
    """Its `name`; a function's own."""
    return entry.__name__ if isfunction(entry) else getattr(entry, "name", "")


def _path(entry: Any) -> tuple[str, str]:
    """Where a class or function is defined, or else that of an object's class and its name."""
    if hasattr(entry, "__qualname__"):
        return entry.__module__, entry.__qualname__
    return type(entry).__module__, f"{type(entry).__qualname__} {entry.name}"


def _shown(entry: Any) -> str:
    return getattr(entry, "__name__", None) or repr(entry)
