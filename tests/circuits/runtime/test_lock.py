from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from circuits.errors import BusyError
from circuits.runtime.lock import LOCK_FILE, only_user
from tests.circuits.cli.command_line import start, wait_status


def enter(directory: Path) -> None:
    with only_user(directory):
        pass


def test_another_process_is_refused_until_it_ends(tmp_path: Path) -> None:
    place = tmp_path / "new" / "run"
    with only_user(place):
        (place / "file").touch()
        assert os.WEXITSTATUS(wait_status(lambda: enter(place))) == 1
        with only_user(str(place)):
            pass
        assert os.WEXITSTATUS(wait_status(lambda: enter(place))) == 1, "still held"
    assert wait_status(lambda: enter(place)) == 0
    assert list(place.iterdir()) == [place / "file"]


def test_another_thread_is_refused(tmp_path: Path) -> None:
    refused: list[str] = []

    def other() -> None:
        try:
            enter(tmp_path)
        except BusyError as error:
            refused.append(str(error))

    with only_user(tmp_path):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert len(refused) == 1
    assert refused[0].startswith(f"another process is at work in {tmp_path}: wait")


def test_the_lock_of_a_process_that_was_killed_is_void(tmp_path: Path) -> None:
    def killed() -> None:
        with only_user(tmp_path):
            os.kill(os.getpid(), signal.SIGKILL)

    assert os.WTERMSIG(os.waitpid(start(killed), 0)[1]) == signal.SIGKILL
    assert (tmp_path / LOCK_FILE).exists()
    enter(tmp_path)
    assert not (tmp_path / LOCK_FILE).exists()


def test_a_directory_that_stays_empty_is_not_left_behind(tmp_path: Path) -> None:
    with pytest.raises(KeyError), only_user(tmp_path / "a" / "b"):
        raise KeyError
    assert not (tmp_path / "a").exists()


def test_nowhere_is_free_for_all() -> None:
    with only_user(None), only_user(None):
        pass
