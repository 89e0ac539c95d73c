"""The page: templates filled, scripts and figures inlined."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Sequence
from functools import cache
from importlib import resources
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from circuits.errors import InputError
from circuits.figures.style import palette_of
from circuits.report.comparing import RunComparison
from circuits.report.saved_run import SavedRun
from circuits.report.sections import RunSections
from circuits.runtime.files import write_file
from circuits.summary import settings

Reproduce = Callable[[SavedRun], str]
"""From a run to what makes it again, for a reader to copy."""


def python_code(run: SavedRun) -> str:
    """Python that makes a run again."""
    return settings.python_code(run.found)


def write_report(
    runs: Sequence[str | Path], output: str | Path, reproduce: Reproduce = python_code
) -> Path:
    """Write saved runs as one HTML page that opens without a network.

    Args:
        runs: Their directories.
        output: The file to write; its directory is created.
        reproduce: What to show under "How to reproduce it"; Python by default.

    Returns:
        The path of the page.

    Raises:
        MissingRunError: A directory holds no saved run.
        FormatError: A file of a run is damaged.
        InputError: No run is given.

    >>> write_report([run], directory / "report.html").name
    'report.html'
    """
    page = render_report([SavedRun.load(run) for run in runs], reproduce)
    path = Path(output)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, page.encode())
    return path


def render_report(runs: Sequence[SavedRun], reproduce: Reproduce = python_code) -> str:
    """One HTML page about some runs, as text; of several runs it compares every two.

    Args:
        runs: What to show, in this order.
        reproduce: What to show under "How to reproduce it"; Python by default.

    Raises:
        InputError: No run is given.

    >>> "How to reproduce it" in render_report([SavedRun.load(run)])
    True
    """
    if not runs:
        raise InputError("a report needs at least one run, got none")
    scripts = [_script(get_plotlyjs()), _script(_asset("report.js"))]
    return (
        _environment()
        .get_template("report.html")
        .render(
            title=runs[0].title if len(runs) == 1 else f"{len(runs)} circuits compared",
            runs=[
                RunSections.of(run, f"run-{number}", reproduce(run))
                for number, run in enumerate(runs)
            ],
            comparison=RunComparison.of(runs),
            scripts=[source for source, _ in scripts],
            script_hashes=[digest for _, digest in scripts],
            style=Markup(_asset("report.css")),
            colours={theme: palette_of(theme) for theme in ("light", "dark")},
        )
    )


@cache
def _environment() -> Environment:
    # Every value is escaped, whatever the template is called; only what is ours is `Markup`.
    return Environment(
        loader=PackageLoader("circuits.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _asset(name: str) -> str:
    return (resources.files("circuits.report") / "templates" / name).read_text(encoding="utf-8")


def _script(source: str) -> tuple[Markup, str]:
    """A script of ours, and the hash by which the page allows it and no other."""
    digest = hashlib.sha256(source.encode()).digest()
    return Markup(source), f"'sha256-{b64encode(digest).decode()}'"
