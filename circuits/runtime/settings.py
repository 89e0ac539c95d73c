"""Settings that say their own words: name, help, default and range once, on the config's field.

The command line's options, what is refused, the commands that make a run again, signatures and the
documentation are read off the fields.

>>> @dataclass(frozen=True)
... class Config(Checked):
...     n_prompts: int = setting(16, "Prompt pairs to discover on.", least=1)
>>> Config(n_prompts=0)
Traceback (most recent call last):
circuits.errors.SettingError: n_prompts must be at least 1, got 0
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import MISSING, dataclass, field, fields
from inspect import Parameter, signature
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from circuits.errors import SettingError, unknown_name

Choices = Callable[[], Sequence[str]] | Sequence[str]
Number = int | float
Function = TypeVar("Function", bound=Callable[..., Any])
_KEY = "setting"
_is_lenient: ContextVar[bool] = ContextVar("_is_lenient", default=False)


@dataclass(frozen=True)
class Setting:
    """What is said of a setting.

    Attributes:
        help: One or two sentences, without the default.
        choices: The names that it takes, or a function that gives them.
        least: The smallest number that is allowed.
        above: All numbers above this are allowed.
        below: All numbers below this are allowed.
        most: The largest number that is allowed.
        otherwise: What holds where it is None, in words.
        option: Its option on the command line, where that is not named as the field; "" for none.
        metavar: What the option takes.
        panel: Under which heading its option is listed.
        parse: Reads what stands behind the option.

    >>> Setting("Share of all score.", above=0, below=1).range
    'above 0 and below 1'
    """

    help: str
    choices: Choices | None = None
    least: Number | None = None
    above: Number | None = None
    below: Number | None = None
    most: Number | None = None
    otherwise: str = ""
    option: str | None = None
    metavar: str | None = None
    panel: str | None = None
    parse: Callable[[str], Any] | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names that it takes, as far as there are any."""
        choices = self.choices
        return () if choices is None else tuple(choices() if callable(choices) else choices)

    @property
    def range(self) -> str:
        """Which numbers are allowed, in words; empty where all are."""
        limits = {
            "at least": self.least,
            "above": self.above,
            "at most": self.most,
            "below": self.below,
        }
        return " and ".join(
            f"{word} {n:g}" if isinstance(n, float) else f"{word} {n}"
            for word, n in limits.items()
            if n is not None
        )

    def check(self, name: str, value: Any) -> None:
        """Raise SettingError where a value is not allowed."""
        if value is None:
            return
        if self.choices is not None and not _is_lenient.get() and value not in self.names:
            raise SettingError(unknown_name(name, value, self.names))
        allowed = (
            (self.least is None or value >= self.least)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
            and (self.most is None or value <= self.most)
        )
        if not allowed:
            raise SettingError(f"{name} must be {self.range}, got {value}")


@dataclass(frozen=True)
class Described:
    """A field of a config with what is said of it.

    Attributes:
        name: The field's name.
        kind: Its type, without None.
        default: Its default.
        setting: What is said of it.

    >>> {one.name: one.default for one in described(SelectionRule)}["min_effect"]
    0.01
    """

    name: str
    kind: Any
    default: Any
    setting: Setting

    @property
    def is_flag(self) -> bool:
        """Whether it is true or false."""
        return self.kind is bool


def setting(default: Any, help: str, **more: Any) -> Any:
    """A field of a config; `more` as in `Setting`. A class as default is called for each config.

    >>> @dataclass(frozen=True)
    ... class Config(Checked):
    ...     metric: str = setting("kl", "What is measured.", choices=("kl", "logit_diff"))
    >>> Config(metric="logit-diff")
    Traceback (most recent call last):
    circuits.errors.SettingError: unknown metric 'logit-diff'; did you mean 'logit_diff'? ...
    """
    metadata = {_KEY: Setting(help, **more)}
    if isinstance(default, type):
        return field(default_factory=default, metadata=metadata)
    return field(default=default, metadata=metadata)


def described(config: type) -> tuple[Described, ...]:
    """Every field of a config that is a setting, in order.

    >>> [one.name for one in described(SelectionRule)][:3]
    ['threshold', 'logits_threshold', 'min_effect']
    """
    hints = get_type_hints(config)
    return tuple(
        Described(
            one.name,
            _without_none(hints[one.name]),
            one.default if one.default_factory is MISSING else one.default_factory(),
            one.metadata[_KEY],
        )
        for one in fields(config)
        if _KEY in one.metadata
    )


def default_of(config: type, name: str) -> Any:
    """What a setting is where it is not given.

    >>> default_of(SelectionRule, "min_effect")
    0.01
    """
    return next(one.default for one in described(config) if one.name == name)


class Checked:
    """A config that refuses, when it is made, what its settings do not allow.

    Raises:
        SettingError: A value is out of range, or none of the choices.

    >>> SelectionRule(threshold=-1.0)
    Traceback (most recent call last):
    circuits.errors.SettingError: threshold must be above 0, got -1.0
    """

    def __post_init__(self) -> None:
        for one in described(type(self)):
            one.setting.check(one.name, getattr(self, one.name))


def checked_names(config: type, given: Mapping[str, Any]) -> None:
    """Raise SettingError for a name that is no setting of a config.

    >>> checked_names(SelectionRule, {"treshold": 2.0})
    Traceback (most recent call last):
    circuits.errors.SettingError: unknown setting 'treshold'; did you mean 'threshold'? ...
    """
    known = [one.name for one in fields(config)]
    for name in given:
        if name not in known:
            raise SettingError(unknown_name("setting", name, known))


def takes_settings(config: type) -> Callable[[Function], Function]:
    """Show every setting of a config in the signature of a function that takes `**settings`.

    >>> @takes_settings(SelectionRule)
    ... def find(model, **settings): ...
    >>> list(signature(find).parameters)[:3]
    ['model', 'threshold', 'logits_threshold']
    """

    def decorate(function: Function) -> Function:
        own = signature(function)
        named = [p for p in own.parameters.values() if p.kind is not Parameter.VAR_KEYWORD]
        settings = [
            Parameter(one.name, Parameter.KEYWORD_ONLY, default=one.default, annotation=one.kind)
            for one in described(config)
        ]
        shown = own.replace(parameters=[*named, *settings])
        vars(function)["__signature__"] = shown
        return function

    return decorate


@contextmanager
def lenient_names() -> Iterator[None]:
    """Allow unknown names inside a `with`: a saved run may be of another package's method.

    >>> with lenient_names():
    ...     DiscoveryConfig(method="of-another-package").method
    'of-another-package'
    """
    token = _is_lenient.set(True)
    try:
        yield
    finally:
        _is_lenient.reset(token)


def in_words(value: Any, one: Setting | None = None) -> str:
    """A value of a setting as text for people.

    >>> in_words(True), in_words(0.0100), in_words(None)
    ('yes', '0.01', 'default')
    """
    if value is None:
        return one.otherwise if one is not None and one.otherwise else "default"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _without_none(kind: Any) -> Any:
    """`int` of `int | None`; `str` of literals."""
    if get_origin(kind) is Literal:
        return str
    options = [option for option in get_args(kind) if option is not NoneType]
    is_optional = get_origin(kind) in (Union, UnionType) and len(options) == 1
    return _without_none(options[0]) if is_optional else kind
