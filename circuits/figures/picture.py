"""Figures as files."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import plotly.graph_objects as go

from circuits.errors import InputError, PictureError
from circuits.runtime.files import write_file

_FINE = (".svg", ".pdf")
_GRAINED = (".png", ".jpg", ".webp")
_HTML = ".html"
_PACKAGE, _BROWSER = "kaleido", "Chrome or Chromium"


def save_figure(
    figure: go.Figure, path: str | Path, *, width: int | None = None, scale: float = 2.0
) -> Path:
    """Write a figure to a file, whole or not at all.

    Args:
        figure: What to write.
        path: Ends in .png, .svg, .pdf, .jpg or .webp, drawn by kaleido in a browser, or in .html,
            which needs neither.
        width: In pixels; by default the figure's own, or 1000.
        scale: How many times finer a .png, .jpg or .webp is.

    Raises:
        InputError: The name has another ending.
        PictureError: kaleido or a browser is missing.

    >>> save_figure(go.Figure(), directory / "figures" / "circuit.html").name
    'circuit.html'
    >>> save_figure(go.Figure(), "circuit.gif")
    Traceback (most recent call last):
    circuits.errors.InputError: a figure is written as .png, .jpg, ...; got 'circuit.gif'
    """
    path = Path(path)
    ending = path.suffix.lower()
    known = (*_GRAINED, *_FINE, _HTML)
    if ending not in known:
        raise InputError(f"a figure is written as {', '.join(known)}; got {path.name!r}")
    if ending == _HTML:
        content = figure.to_html(include_plotlyjs=True).encode()
    else:
        scale = scale if ending in _GRAINED else 1.0
        layout: Any = figure.layout
        content = _drawn(figure, ending, width or layout.width or 1000, scale)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_file(path, content)
    return path


def _drawn(figure: go.Figure, ending: str, width: int, scale: float) -> bytes:
    if find_spec(_PACKAGE) is None:
        raise PictureError(
            f"a {ending} picture needs {_PACKAGE}: pip install 'accelerated-path-patching[figures]'"
            ", or write .html"
        )
    try:
        return figure.to_image(ending.removeprefix("."), width=width, scale=scale)
    except RuntimeError as error:
        raise PictureError(
            f"a {ending} picture needs {_BROWSER}: install one (Debian: apt-get install chromium) "
            "and set BROWSER_PATH to it, or write .html"
        ) from error
