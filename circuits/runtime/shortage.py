"""What a machine ran out of, whichever library says so, and how: told as that, and as nothing else.

Memory and disks fail in the middle of other work, so that whoever explains its own errors would
take such a one for a damaged file or a network that is down.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator
from pathlib import Path

from circuits.errors import CircuitsError, NotEnoughMemoryError, NotEnoughSpaceError

_DISK = {
    errno.ENOSPC: "the disk of {place} is full: free some space, or name a place on another disk",
    errno.EDQUOT: "the quota of {place} is used up: free some space, or name another place",
    errno.EROFS: "{place} is on a disk that cannot be written to: name another place",
    errno.EFBIG: "a file of {place} may not be so large: raise the limit (ulimit -f), or name a "
    "place on another disk",
}
_NUMBERED = re.compile(r"\[Errno (\d+)\]|\(os error (\d+)\)")
"""How an error of the system is named inside the message of another one."""
_OF_MEMORY = re.compile(
    r"can't allocate memory|Cannot allocate memory|not enough memory|out of memory|std::bad_alloc"
    r"|Unable to allocate|unable to mmap",
    re.IGNORECASE,
)
_LESS_MEMORY = (
    "there is too little memory: give less to do at once (--memory-budget, --n-prompts), a smaller "
    "model or dtype (--dtype bfloat16), or a machine with more"
)


def is_memory(error: BaseException) -> bool:
    """Whether an error says that memory could not be had.

    >>> is_memory(MemoryError()), is_memory(RuntimeError("a shape")), is_memory(OSError(28, "Full"))
    (True, False, False)
    """
    # On a GPU torch has an error of its own for it; on a CPU, as others do, a text alone.
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    if named or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    return not isinstance(error, CircuitsError) and bool(_OF_MEMORY.search(str(error)))


def shortage(error: BaseException, place: str | Path | None = None) -> CircuitsError | None:
    """An error that says what there was too little of; None where it was something else.

    Args:
        error: Anything that was raised; what caused it is looked at, too.
        place: Where was written, for errors that do not say.

    >>> print(shortage(OSError(28, "No space left on device", "runs/ioi/run.json")))
    the disk of runs/ioi/run.json is full: free some space, or name a place on another disk
    >>> print(shortage(KeyError("layers")))
    None
    """
    for found in _chain(error):
        if isinstance(found, NotEnoughMemoryError | NotEnoughSpaceError):
            return found
        if is_memory(found):
            return NotEnoughMemoryError(_LESS_MEMORY)
        if (number := _number(found)) in _DISK:
            named = getattr(found, "filename", None) or place or "what was written"
            return NotEnoughSpaceError(_DISK[number].format(place=named))
    return None


def is_full(error: BaseException) -> bool:
    """Whether a disk is full, or its quota used up.

    >>> is_full(OSError(28, "No space left on device")), is_full(OSError(13, "Permission denied"))
    (True, False)
    """
    return any(_number(found) in (errno.ENOSPC, errno.EDQUOT) for found in _chain(error))


def _chain(error: BaseException) -> Iterator[BaseException]:
    """An error, and what it came from."""
    found: BaseException | None = error
    seen: set[int] = set()
    while found is not None and id(found) not in seen:
        yield found
        seen.add(id(found))
        found = found.__cause__ or found.__context__


def _number(error: BaseException) -> int | None:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if isinstance(error, CircuitsError):
        return None
    numbered = _NUMBERED.search(str(error))
    return int(numbered[1] or numbered[2]) if numbered else None
