"""One tree of errors, and the sentences that they are made of."""

from __future__ import annotations

from inspect import isclass

import pytest

from circuits import errors
from circuits.errors import (
    CircuitsError,
    InputError,
    cause,
    plural,
    quoted,
    quoted_list,
    shortened,
    unknown_name,
)

EVERY = [one for one in vars(errors).values() if isclass(one) and one.__module__ == errors.__name__]


def test_all_are_in_one_tree() -> None:
    assert len(EVERY) > 15
    assert all(issubclass(one, CircuitsError) for one in EVERY)
    assert all(one.__doc__ for one in EVERY)


def test_what_was_given_wrongly_is_a_value_error() -> None:
    given = [one for one in EVERY if issubclass(one, ValueError)]
    assert all(issubclass(one, InputError) for one in given)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("greatr-than", "unknown task 'greatr-than'; did you mean 'greater-than'? known tasks: "),
        ("xyz", "unknown task 'xyz'; known tasks: "),
    ],
)
def test_unknown_names(name: str, expected: str) -> None:
    known = ("ioi", "greater-than")
    assert unknown_name("task", name, iter(known), "; or a file") == (
        f"{expected}ioi, greater-than; or a file"
    )


@pytest.mark.parametrize(
    ("kind", "several"),
    [("task", "tasks"), ("search", "searches"), ("prompts", "prompts"), ("a of b", "as of b")],
)
def test_plurals(kind: str, several: str) -> None:
    assert plural(kind) == several


class TestCause:
    def test_the_first_line_without_its_full_stop(self) -> None:
        assert cause(OSError("\n  no weights here.\nsecond line")) == "no weights here"

    def test_without_a_message_the_kind_of_error(self) -> None:
        assert cause(OSError()) == "OSError"

    def test_long_ones_are_cut(self) -> None:
        assert cause("x" * 500) == "x" * 199 + "…"
        assert cause("x" * 200) == "x" * 200


def test_what_a_file_holds_is_quoted_up_to_a_sane_length() -> None:
    assert quoted("it's", 9) == repr("it's")
    assert quoted("x" * 10**6, 5) == "'xxxx…'"
    assert quoted({"a": 1}) == "{'a': 1}"
    assert len(quoted([1] * 10**5)) == len(quoted_list(range(10**5))) == 200
    assert quoted_list(["a", 1]) == "'a', 1"
    assert quoted_list(()) == "none"
    assert (shortened("abc", 3), shortened("abcd", 3)) == ("abc", "ab…")
