from __future__ import annotations

import os
import signal
import stat
import threading
from pathlib import Path

import pytest

from circuits.runtime.files import settle, write_atomically, write_file
from tests.circuits.cli.command_line import wait_status


def test_writes(tmp_path: Path) -> None:
    target = tmp_path / "run.json"
    write_atomically({target: b"one"})
    write_atomically({target: b"two"})
    assert target.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("mask", [0o022, 0o077, 0o002])
def test_the_mode_follows_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        write_atomically({tmp_path / "run.json": b""})
    finally:
        os.umask(before)
    assert (tmp_path / "run.json").stat().st_mode & 0o777 == 0o666 & ~mask


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize(("where", "step"), [(Path, "replace"), (os, "fsync")])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch, error: BaseException, where: object, step: str
) -> None:
    target = tmp_path / "run.json"
    write_atomically({target: b"old"})

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(where, step, fail)
    with pytest.raises(type(error)):
        write_atomically({target: b"new"})
    monkeypatch.undo()
    assert target.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_failing_write_too(tmp_path: Path) -> None:
    with pytest.raises(TypeError):
        write_atomically({tmp_path / "run.json": "text"})  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_no_directory(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomically({tmp_path / "missing" / "run.json": b""})


def test_all_files_or_none(tmp_path: Path) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    write_atomically({first: b"old", second: b"old"})
    with pytest.raises(TypeError):
        write_atomically({first: b"new", second: "text"})  # type: ignore[dict-item]
    assert first.read_bytes() == second.read_bytes() == b"old"
    assert sorted(tmp_path.iterdir()) == [first, second]


def killed_at(monkeypatch, nth: int, files: dict[Path, bytes]) -> None:
    """Write them in a process that is killed before the nth is renamed into place."""
    calls, into_place = [], Path.replace

    def killed(path, target):
        calls.append(target)
        if len(calls) == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        into_place(path, target)

    def cut_off() -> None:
        monkeypatch.setattr(Path, "replace", killed)
        write_atomically(files)

    assert os.WIFSIGNALED(wait_status(cut_off))


@pytest.mark.parametrize(("nth", "expected"), [(1, b"old"), (2, b"new"), (3, b"new")])
def test_several_are_replaced_together_also_by_a_process_that_is_killed(
    tmp_path: Path, monkeypatch, nth: int, expected: bytes
) -> None:
    first, second = tmp_path / "a", tmp_path / "b"
    write_atomically({first: b"old", second: b"old"})
    killed_at(monkeypatch, nth, {first: b"new", second: b"new"})
    settle(tmp_path)
    assert first.read_bytes() == second.read_bytes() == expected
    assert not list(tmp_path.glob(".replacing*"))


def test_what_a_killed_process_had_begun_is_removed_when_it_is_old(
    tmp_path: Path, monkeypatch
) -> None:
    target, mine = tmp_path / "run.json", tmp_path / ".run.json.mine.partial"
    mine.touch()
    killed_at(monkeypatch, 1, {target: b"begun"})
    (left,) = set(tmp_path.iterdir()) - {mine}
    write_atomically({target: b"whole"})
    assert left.exists(), "it may be another process's, which is at work"
    os.utime(left, (0, 0))
    write_atomically({tmp_path / "other": b""})
    assert left.exists(), "not beside this file"
    write_atomically({target: b"whole"})
    assert {path.name for path in tmp_path.iterdir()} == {target.name, mine.name, "other"}


def test_what_another_process_is_writing_is_not_removed(tmp_path: Path, monkeypatch) -> None:
    target, fsync, seen = tmp_path / "run.json", os.fsync, []

    def slow(descriptor: int) -> None:
        monkeypatch.setattr(os, "fsync", fsync)
        (partial,) = tmp_path.iterdir()
        os.utime(partial, (0, 0))
        write_atomically({target: b"second"})
        seen.append(partial.exists())

    monkeypatch.setattr(os, "fsync", slow)
    write_atomically({target: b"first"})
    assert seen == [True]
    assert target.read_bytes() == b"first"


@pytest.mark.parametrize(
    "plan",
    [
        b"",
        b"[]",
        b'{"a": 1}',
        b'{"a": "../b"}',
        b'{"../a": ".../a.0123456789abcdef.partial"}',
        b'{"b": ".a.0123456789abcdef.partial"}',
    ],
)
def test_a_plan_that_is_not_ours_moves_nothing(tmp_path: Path, plan: bytes) -> None:
    inside = tmp_path / "run"
    inside.mkdir()
    for name in ("a", "b"):
        (tmp_path / name).write_text("outside")
        (inside / name).write_text("inside")
    (inside / "...").mkdir()
    (inside / "..." / "a.0123456789abcdef.partial").write_text("planted")
    (inside / ".a.0123456789abcdef.partial").write_text("planted")
    (inside / ".replacing.0.json").write_bytes(plan)
    settle(inside)
    assert {(tmp_path / name).read_text() for name in "ab"} == {"outside"}
    assert {(inside / name).read_text() for name in "ab"} == {"inside"}


class TestFilesThatAreNamed:
    def test_a_file(self, tmp_path: Path) -> None:
        for content in (b"old", b"new"):
            write_file(tmp_path / "out.dot", content)
        assert (tmp_path / "out.dot").read_bytes() == b"new"
        assert len(list(tmp_path.iterdir())) == 1

    def test_a_link_is_followed(self, tmp_path: Path) -> None:
        (tmp_path / "there").mkdir()
        target, link = tmp_path / "there" / "out.dot", tmp_path / "link"
        link.symlink_to(target)
        for content in (b"old", b"new"):
            write_file(link, content)
            assert link.is_symlink()
            assert target.read_bytes() == content

    def test_a_pipe_is_written_into(self, tmp_path: Path) -> None:
        pipe, heard = tmp_path / "pipe", []
        os.mkfifo(pipe)
        reader = threading.Thread(target=lambda: heard.append(pipe.read_bytes()))
        reader.start()
        write_file(pipe, b"content")
        reader.join()
        assert heard == [b"content"]
        assert stat.S_ISFIFO(pipe.stat().st_mode)

    def test_a_device_stays_one(self) -> None:
        before = Path("/dev/null").stat()
        write_file(Path("/dev/null"), b"content")
        assert Path("/dev/null").stat().st_ino == before.st_ino
        assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)
        with pytest.raises(OSError, match="No space left"):
            write_file(Path("/dev/full"), b"content")

    @pytest.mark.parametrize("name", ["/dev/fd/{}", "/proc/self/fd/{}"])
    def test_an_open_file_goes_on_being_the_same(self, tmp_path: Path, name: str) -> None:
        """As where a shell has sent standard output to a file."""
        with (tmp_path / "out").open("wb") as file:
            file.write(b"before ")
            file.flush()
            write_file(Path(name.format(file.fileno())), b"content")
            assert os.fstat(file.fileno()).st_ino == (tmp_path / "out").stat().st_ino
        assert (tmp_path / "out").read_bytes() == b"before content"
