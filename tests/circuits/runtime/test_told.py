"""Errors of libraries about files become ours; what is ours, or of the machine, stays."""

from __future__ import annotations

import os

import pytest

from circuits.errors import FormatError, ModelError, NotEnoughMemoryError, SettingError
from circuits.runtime.told import check_regular, told_as


class PanicException(BaseException):
    """What PyO3 raises where Rust panics; its own cannot be imported."""


@pytest.mark.parametrize(
    "error",
    [TypeError("an int"), RecursionError("deep"), Exception("any"), PanicException("index")],
)
def test_whatever_a_library_raises_names_what_could_not_be_done(error):
    said = f"cannot read it .{error}.: do that"
    with pytest.raises(FormatError, match=said), told_as(FormatError, "cannot read it", "do that"):
        raise error


def test_a_file_that_is_no_json_is_what_the_message_names(tmp_path):
    good, bad = tmp_path / "good.json", tmp_path / "bad.json"
    good.write_text("{}")
    bad.write_text("{1")
    files = [tmp_path / "none.json", good, bad]
    with (
        pytest.raises(FormatError, match=r"\(bad\.json is no JSON: .*column 2"),
        told_as(FormatError, "cannot read it", "do that", files),
    ):
        raise TypeError("something far away")


def test_ours_and_shortages_are_told_as_what_they_are():
    for error, kind in ((SettingError("x"), SettingError), (MemoryError(), NotEnoughMemoryError)):
        with pytest.raises(kind), told_as(FormatError, "cannot read it", "do that"):
            raise error
    with pytest.raises(KeyboardInterrupt), told_as(FormatError, "cannot read it", "do that"):
        raise KeyboardInterrupt


def test_only_files_and_directories_are_read(tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "directory").mkdir()
    check_regular(tmp_path)
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelError, match="pipe is no regular file"):
        check_regular(tmp_path)
