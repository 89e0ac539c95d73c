"""Errors and warnings as one sentence each, and what the command exits with."""

from __future__ import annotations

import re
import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from typer.core import TyperGroup

from circuits.cli.terminal import err, first_line, print_error, print_warning, quietly
from circuits.errors import CircuitsError, InputError
from circuits.runtime.shortage import shortage

FAILED, MISUSED, INTERRUPTED = 1, 2, 130
# typer brings its own copy of click, or uses click's, depending on its version.
UsageError: Any = typer.BadParameter.__mro__[1]
_OUR_PACKAGES = ("circuits", "tasks")
_DEBUG, _QUIET = ("--debug",), ("--quiet", "-q")


@contextmanager
def usage_errors() -> Iterator[None]:
    """Make an InputError inside the `with` a mistake of usage (exit code 2)."""
    try:
        yield
    except InputError as error:
        raise UsageError(str(error)) from error


class OneSentenceErrors(TyperGroup):
    """The command group: no error leaves it but as one line on stderr and an exit code."""

    def main(
        self,
        args: Sequence[str] | None = None,
        *rest: Any,
        standalone_mode: bool = True,
        **extra: Any,
    ) -> Any:
        """Run a command line, and exit unless asked not to."""
        given = list(sys.argv[1:] if args is None else args)
        words = [word for word in given if word not in (*_DEBUG, *_QUIET)] or ["--help"]
        debug, quiet = (any(flag in given for flag in flags) for flags in (_DEBUG, _QUIET))
        try:
            _check_readable(words)
            _check_not_empty(words)
            with quietly(quiet), _warnings_as_lines(show_all=debug):
                code = super().main(words, *rest, standalone_mode=False, **extra)
        except (KeyboardInterrupt, typer.Abort):
            code = INTERRUPTED
        except Exception as error:
            if debug:
                err.print_exception()
            code = _report(error, words)
        if code == INTERRUPTED:
            err.print("interrupted")
        if standalone_mode:
            sys.exit(code)
        return code


def _check_readable(words: list[str]) -> None:
    """What is no UTF-8 can name a file, and can be written into none: a result would be lost."""
    for word in words:
        try:
            word.encode()
        except UnicodeEncodeError:
            raise UsageError(
                f"every argument must be UTF-8, and {word!r} is not: rename the file, or give "
                "another name"
            ) from None


def _check_not_empty(words: list[str]) -> None:
    """An empty path is the working directory for most of what reads paths, and was not meant."""
    for before, word in zip(["", *words], words, strict=False):
        if word and not re.fullmatch(r"--[\w-]+=", word):
            continue
        option = word or (before if before.startswith("-") else "")
        named = f"{option.removesuffix('=')} was given nothing" if option else "one is empty"
        raise UsageError(f"every argument and option needs a value, and {named}: give it one")


def _report(error: Any, words: list[str]) -> int:
    if isinstance(error, UsageError):
        context = getattr(error, "ctx", None)
        hint = f" (see `{context.command_path} --help`)" if context else ""
        print_error(_uncapitalised(first_line(error.format_message())) + hint)
        return MISUSED
    expected = _expected_message(error)
    print_error(_defect(error, words) if expected is None else expected)
    return FAILED


def _expected_message(error: Exception) -> str | None:
    """What to say of an error that input or surroundings explain; None for one of ours."""
    if isinstance(error, CircuitsError):
        return str(error)
    if (told := shortage(error)) is not None:
        return str(told)
    if isinstance(error, OSError):
        named = error.filename and error.strerror
        return f"{error.filename}: {error.strerror}" if named else error.strerror or str(error)
    return None


def _defect(error: Exception, words: list[str]) -> str:
    command = shlex.join(["circuits", "--debug", *words])
    return (
        f"unexpected {type(error).__name__} ({first_line(str(error))}); "
        f"this is a defect: please report it with the output of `{command}`"
    )


def _uncapitalised(sentence: str) -> str:
    # MLPs stay MLPs.
    is_name = sentence[1:2].isupper()
    return sentence if is_name else sentence[:1].lower() + sentence[1:]


@contextmanager
def _warnings_as_lines(*, show_all: bool) -> Iterator[None]:
    """Warnings of this project as one line each; those of libraries only where asked for."""

    def show(message: Warning | str, category: type[Warning], *_: Any, **__: Any) -> None:
        if show_all or category.__module__.partition(".")[0] in _OUR_PACKAGES:
            print_warning(str(message))

    with warnings.catch_warnings():
        warnings.simplefilter("default")
        warnings.showwarning = show
        yield
