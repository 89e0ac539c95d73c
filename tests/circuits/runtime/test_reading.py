from __future__ import annotations

import os
from pathlib import Path

import pytest

from circuits.errors import FormatError
from circuits.runtime.reading import read_file, read_text


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("\ufeffé\n", encoding="utf-8")
    assert read_text(path, "utf-8-sig") == "é\n"
    path.with_name("link").symlink_to(path)
    assert read_file(path.with_name("link")) == path.read_bytes()


def test_a_pipe_and_a_device_are_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(FormatError, match=f"{path} is no regular file: give one"):
            read_file(path)
    with pytest.raises(IsADirectoryError):
        read_file(tmp_path)


def test_what_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_file(path, 5) == b"12345"
    assert read_file(path, 2**60) == b"12345", "no room is made for what could be there"
    with pytest.raises(FormatError, match="has 5 bytes, and at most 4 are read"):
        read_file(path, 4)
    with path.open("r+b") as file:
        file.truncate(2**40)
    with pytest.raises(FormatError, match="has 1099511627776 bytes"):
        read_file(path)
