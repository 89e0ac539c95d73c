"""A session's discovery from beginning to end, in its directory."""

from __future__ import annotations

from circuits.discovery.pipeline import Pipeline
from circuits.discovery.result import Discovery
from circuits.discovery.session import Session
from circuits.runtime.progress import Progress

_SHARES = {
    "behaviour": 0.02,
    "means": 0.04,
    "pruning": 0.25,
    "ranking": 0.6,
    "validation": 0.15,
    "patching": 0.5,
    "evaluation": 0.04,
}
"""Of the time that a discovery takes: for the progress alone."""


def finish(session: Session, progress: Progress) -> Discovery:
    """What its directory holds of just this session; otherwise found now, and saved there.

    Raises OverwriteError as `Discovery.save` does.
    """
    if (known := session.saved()) is not None:
        progress(1.0)
        return known
    found = Pipeline(session, _as_one(progress)).discover()
    if session.directory is not None:
        found.save(session.directory, overwrite=session.kept.overwrite)
    return found


def _as_one(progress: Progress) -> Progress:
    """The stages of a discovery as parts of one."""
    parts = dict(zip(_SHARES, progress.parts(*_SHARES.values()), strict=True))
    return Progress(lambda stage, fraction: parts[stage](fraction), progress.notes)
