"""Draw a saved run's circuit as the picture in README: python -m benchmarks.readme_figure RUN OUT.

OUT ends in .png or .svg. Needs the extra "figures" (kaleido) and a Chrome or Chromium.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import plotly.graph_objects as go
import typer

from circuits import Discovery
from circuits.errors import PictureError
from circuits.figures import circuit_figure, save_figure


def picture(found: Discovery) -> go.Figure:
    """The circuit under a title that says what it keeps."""
    circuit, origin = found.circuit, found.provenance
    title = (
        f"{origin.task} on {origin.model.name}: {len(circuit)} of "
        f"{circuit.n_layers * circuit.n_heads} heads keep {found.performance:.0f} % of performance"
    )
    return circuit_figure(circuit, title, width=1000, height=780)


def write_picture(draw: Callable[[], go.Figure], out: Path) -> None:
    """Write a figure as a file; what is missing for that is said in one sentence."""
    try:
        save_figure(draw(), out)
    except (OSError, ValueError, PictureError) as error:
        raise SystemExit(f"error: {error}") from error


def main(run: Path, out: Path) -> None:
    """Write the picture of the circuit saved in RUN to OUT."""
    write_picture(lambda: picture(Discovery.load(run)), out)


if __name__ == "__main__":
    typer.run(main)
