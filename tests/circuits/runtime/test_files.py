from __future__ import annotations

from pathlib import Path

import pytest

from circuits.runtime.files import write_atomically


def test_writes(tmp_path: Path) -> None:
    target = tmp_path / "run.json"
    write_atomically({target: b"one"})
    write_atomically({target: b"two"})
    assert target.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [target]
    assert target.stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("error", [OSError("disk full"), KeyboardInterrupt()])
@pytest.mark.parametrize("step", ["replace", "chmod"])
def test_a_failure_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch, error: BaseException, step: str
) -> None:
    target = tmp_path / "run.json"
    write_atomically({target: b"old"})

    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(Path, step, fail)
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
