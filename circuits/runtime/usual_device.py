"""Where models are put that nobody names a device for: in a worker, where its jobs are to run."""

from __future__ import annotations

_usual: list[str | None] = [None]


def use_device(name: str | None) -> None:
    """Put models on this device from now on; None: wherever is best.

    >>> use_device("cpu")
    >>> usual_device()
    'cpu'
    >>> use_device(None)
    """
    _usual[0] = name


def usual_device() -> str | None:
    """The device that was chosen for this process, if any."""
    return _usual[0]
