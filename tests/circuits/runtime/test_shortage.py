"""What was too little is told as that, whichever library says so, and nothing else is."""

from __future__ import annotations

import errno
import os

import pytest
import torch

from circuits.errors import FormatError, NotEnoughMemoryError, NotEnoughSpaceError
from circuits.runtime.files import write_atomically
from circuits.runtime.shortage import is_full, shortage


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"
        ),
        OSError(errno.ENOMEM, os.strerror(errno.ENOMEM)),
        RuntimeError("unable to mmap 100 bytes from file: Cannot allocate memory (12)"),
        RuntimeError("std::bad_alloc"),
    ],
)
def test_memory(error):
    assert isinstance(shortage(error), NotEnoughMemoryError)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space", "runs/a"), "the disk of runs/a is full"),
        (OSError(errno.EDQUOT, "Quota", "runs/a"), "the quota of runs/a is used up"),
        (OSError(errno.EROFS, "Read-only", "runs/a"), "runs/a is on a disk that cannot be written"),
        (OSError(errno.EFBIG, "Too large", "runs/a"), "a file of runs/a may not be so large"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), "the disk of here is"),
        (ValueError("ERROR: [Errno 28] No space left on device"), "the disk of here is full"),
    ],
)
def test_disks(error, said):
    told = shortage(error, "here")
    assert isinstance(told, NotEnoughSpaceError)
    assert str(told).startswith(said)


@pytest.mark.parametrize(
    "error",
    [
        KeyError("memory"),
        PermissionError(errno.EACCES, "Permission denied", "runs/a"),
        FormatError("the file says: out of memory (os error 28)"),
        RuntimeError("shapes differ"),
    ],
)
def test_other_errors_are_none(error):
    assert shortage(error) is None
    assert not is_full(error)


def test_what_another_error_came_from_is_looked_at():
    try:
        try:
            raise OSError(errno.ENOSPC, "No space left on device", "runs/a")
        except OSError as error:
            raise KeyError("weights") from error
    except KeyError as error:
        assert is_full(error)
        assert "runs/a" in str(shortage(error))


def test_what_was_told_already_stays():
    told = NotEnoughSpaceError("as it was")
    assert shortage(told) is told


def test_a_write_that_fails_names_the_file(tmp_path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*run\.json'"):
        write_atomically({tmp_path / "run.json": b"{}"})
    assert not list(tmp_path.iterdir())
