"""Sizes of memory as people write them."""

from __future__ import annotations

from circuits.errors import SettingError


def parse_bytes(size: str) -> int:
    """Read 512MB or 4GiB. Raises SettingError on any other form.

    >>> parse_bytes("4GiB")
    4294967296
    """
    from pydantic import ByteSize, TypeAdapter

    try:
        return int(TypeAdapter(ByteSize).validate_python(size))
    except ValueError as error:
        raise SettingError(
            f"--memory-budget must be a size such as 512MB or 4GiB, got {size!r}"
        ) from error
