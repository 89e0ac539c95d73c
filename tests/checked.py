"""Types and shapes of every function and dataclass are checked whenever a test runs it.

jaxtyping's import hook says where: its decorator is put on everything in `circuits` and `tasks`.
The decorator is ours. jaxtyping's own opens a scope for the names of axes at each call, which takes
longer than most functions do; here only those open one that have axes to name, and the others are
checked by beartype alone. Has to be imported before what it checks, and imports large packages
itself: what is imported by a module that is checked is compiled anew, and kept beside the usual.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cache, partial, wraps
from importlib import import_module
from types import FunctionType
from typing import Any, get_args, get_type_hints

import jaxtyping
from beartype import BeartypeConf, beartype
from beartype.door import die_if_unbearable
from jaxtyping import AbstractArray, install_import_hook, jaxtyped

_is_on = True
_CONF = BeartypeConf(violation_type=TypeError)


@contextmanager
def without_checks() -> Iterator[None]:
    """Let wrong types and shapes through."""
    global _is_on
    _is_on = False
    try:
        yield
    finally:
        _is_on = True


def checked(item: Any = None, *, typechecker: object = None) -> Any:
    """A function, or the `__init__` of a dataclass, that is given and gives what it says it does.

    What an annotation names that is not there when the function is made is not checked.
    """
    if item is None:
        return partial(checked, typechecker=typechecker)
    if not inspect.isclass(item):
        return _checked(item)
    init = vars(item).get("__init__")
    if "__dataclass_fields__" in vars(item) and init and not hasattr(init, "__wrapped__"):
        setattr(item, "__init__", _checked(init))  # noqa: B010
    return item


def _checked(function: FunctionType) -> Callable[..., Any]:
    hints = _hints(function)
    is_generator = inspect.isgeneratorfunction(function)
    has_axes = any(map(_has_axes, hints.values()))

    @cache
    def strict() -> Callable[..., Any]:
        # Made when it is first called: most functions are never called in one process.
        return (_checked_at_once if is_generator else _checked_inside)(function, hints)

    @wraps(function)
    def either(*args: Any, **kwargs: Any) -> Any:
        if not _is_on:
            return function(*args, **kwargs)
        if not has_axes:
            return strict()(*args, **kwargs)
        with jaxtyped("context"):
            return strict()(*args, **kwargs)

    return either


def _hints(function: FunctionType) -> dict[str, Any]:
    """What can be known of its annotations when it is made."""
    found = {}
    for name, hint in function.__annotations__.items():
        holder = type("Holder", (), {"__annotations__": {name: hint}})
        try:
            found |= get_type_hints(holder, function.__globals__, include_extras=True)
        except Exception:
            continue
    return found


def _checked_inside(function: FunctionType, hints: dict[str, Any]) -> Callable[..., Any]:
    """The same function with these annotations, and what it is given and gives."""
    twin = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    twin.__kwdefaults__, twin.__qualname__ = function.__kwdefaults__, function.__qualname__
    twin.__module__, twin.__annotations__ = function.__module__, hints
    return beartype(twin, conf=_CONF)


def _checked_at_once(function: FunctionType, hints: dict[str, Any]) -> Callable[..., Any]:
    """A generator's arguments, when it is called: when it is begun, other axes may have names."""
    signature = inspect.signature(function)

    @wraps(function)
    def strict(*args: Any, **kwargs: Any) -> Any:
        for name, value in signature.bind(*args, **kwargs).arguments.items():
            for one in _each(signature.parameters[name], value):
                die_if_unbearable(one, hints.get(name, object), conf=_CONF)
        generator = function(*args, **kwargs)
        die_if_unbearable(generator, hints.get("return", object), conf=_CONF)
        return generator

    return strict


def _each(parameter: inspect.Parameter, value: Any) -> Iterable[Any]:
    """The values that an annotation is of: several where there may be any number."""
    if parameter.kind is parameter.VAR_POSITIONAL:
        return value
    return value.values() if parameter.kind is parameter.VAR_KEYWORD else (value,)


def _has_axes(hint: Any) -> bool:
    if inspect.isclass(hint) and issubclass(hint, AbstractArray):
        return True
    return any(map(_has_axes, get_args(hint)))


for _name in ("datasets", "plotly.graph_objects", "scipy.stats", "transformer_lens.model_bridge"):
    import_module(_name)
jaxtyping.jaxtyped = checked
install_import_hook(["circuits", "tasks"], "beartype.beartype")
