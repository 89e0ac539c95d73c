"""Full, limited and read-only disks are told as that; with room the same command ends well."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.circuits.cli.command_line import wait_status
from tests.faults.child import run
from tests.faults.test_kills import commands, prepared, result_of, whole  # noqa: F401

_LIBC = ctypes.CDLL(None, use_errno=True)
_NEW_MOUNTS = 0x20000
_READ_ONLY, _REMOUNT, _BIND, _RECURSIVE, _PRIVATE = 1, 32, 4096, 16384, 1 << 18
_FAST = ("discover", "export")


def mount(kind: str, place: Path, flags: int = 0, options: str = "") -> None:
    words = (text.encode() for text in (str(place) if flags & _BIND else kind, str(place), kind))
    if _LIBC.mount(*words, flags, options.encode()):
        raise OSError(ctypes.get_errno(), "cannot mount")


def apart() -> None:
    """What is mounted from here on is there for this process alone."""
    if _LIBC.unshare(_NEW_MOUNTS) or _LIBC.mount(b"none", b"/", None, _RECURSIVE | _PRIVATE, None):
        raise OSError(ctypes.get_errno(), "cannot mount")


def limited(kilobytes: int) -> Callable[[], None]:
    """No file may be larger."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (kilobytes << 10, kilobytes << 10))

    return limit


def full(place: Path, kilobytes: int, material) -> Callable[[], None]:
    """The place is a small disk with so much room left."""

    def fill() -> None:
        apart()
        mount("tmpfs", place, 0, "size=8m")
        prepared(material, place)
        free = os.statvfs(place)
        with (place / "filler").open("wb") as file:
            file.write(bytes(free.f_bavail * free.f_bsize - (kilobytes << 10)))

    return fill


def read_only(place: Path) -> Callable[[], None]:
    def close() -> None:
        apart()
        mount("none", place, _BIND)
        mount("none", place, _BIND | _REMOUNT | _READ_ONLY)

    return close


@pytest.fixture
def mounts(tmp_path):
    """Only root, and not in every container."""

    def tried() -> None:
        apart()
        mount("tmpfs", tmp_path, 0, "size=4k")

    if wait_status(tried) != 0:
        pytest.skip("file systems cannot be mounted here")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kilobytes", [0, 4, 16, 64])
def test_a_limit_of_files_is_told_and_lifted_the_command_ends_well(
    kilobytes,
    material,
    whole,  # noqa: F811
    is_whole,
    count,
    tmp_path,
):
    n_told = 0
    for name in commands(material, tmp_path) if is_whole else _FAST:
        arguments, last = prepared(material, tmp_path / name)[name]
        ended = run(arguments, before=limited(kilobytes))
        kept = "could not be kept" in ended.stderr
        assert ended.is_told or ended.code == 0, (name, ended)
        if ended.code or kept:
            n_told += 1
            assert "may not be so large" in ended.stderr or "too large" in ended.stderr, ended
            assert not list((tmp_path / name).rglob("*.partial"))
        assert run(arguments).code == 0
        assert result_of(last) == whole(name)[1], name
    assert n_told or kilobytes > 0
    count("commands that met a limit of the size of files", n_told)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kilobytes", [0, 8, 32])
def test_a_full_disk_is_told(kilobytes, material, is_whole, count, tmp_path, mounts):
    n_told = 0
    for name in commands(material, tmp_path) if is_whole else _FAST:
        place = tmp_path / name
        place.mkdir()
        ended = run(commands(material, place)[name][0], before=full(place, kilobytes, material))
        assert ended.is_told or ended.code == 0, (name, ended)
        if ended.code or "could not be kept" in ended.stderr:
            n_told += 1
            assert "is full" in ended.stderr or "No space left" in ended.stderr, ended
    assert n_told or kilobytes > 8
    count("commands that met a full disk", n_told)


@pytest.mark.filterwarnings("ignore")
def test_a_read_only_disk_is_told_before_the_work(material, is_whole, count, tmp_path, mounts):
    for name in commands(material, tmp_path) if is_whole else _FAST:
        place = tmp_path / name
        arguments, _ = prepared(material, place)[name]
        ended = run(arguments, before=read_only(place))
        told = "Read-only file system" in ended.stderr or "cannot be written to" in ended.stderr
        assert told, (name, ended)
        assert ended.is_told or name == "evaluate", (name, ended)
        assert "Testing the model" not in ended.stderr or name == "evaluate", "it was told late"
        count("commands that met a read-only disk", 1)


@pytest.mark.parametrize("command", [("references",), ("models", "--json"), ("tasks", "--help")])
def test_standard_output_on_a_full_disk_is_told(command, count):
    with Path("/dev/full").open("w") as full_disk:
        ended = subprocess.run(
            [sys.executable, "-m", "circuits", *command],
            stdout=full_disk,
            stderr=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
    assert ended.returncode == 1, ended.stderr
    assert ended.stderr.startswith("error: the disk of what was written is full")
    assert len(ended.stderr.splitlines()) == 1
    count("commands whose output met a full disk", 1)
