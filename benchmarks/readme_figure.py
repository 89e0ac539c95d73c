"""Draw a saved run's circuit as the picture in README: python -m benchmarks.readme_figure RUN OUT.

OUT ends in .png or .svg. Needs the extra "figures" (kaleido) and a Chrome or Chromium.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import plotly.graph_objects as go
import typer

from circuits import Discovery
from circuits.figures import circuit_figure


def picture(found: Discovery) -> go.Figure:
    """The circuit under a title that says what it keeps."""
    circuit, origin = found.circuit, found.provenance
    title = (
        f"{origin.task} on {origin.model.name}: {len(circuit)} of "
        f"{circuit.n_layers * circuit.n_heads} heads keep {found.performance:.0f} % of performance"
    )
    return circuit_figure(circuit, title, width=1000, height=780)


def main(run: Path, out: Path) -> None:
    """Write the picture of the circuit saved in RUN to OUT."""
    if find_spec("kaleido") is None:
        raise SystemExit("error: writing pictures needs kaleido: pip install -e '.[figures]'")
    try:
        figure = picture(Discovery.load(run))
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.write_image(out)
    except RuntimeError as error:
        raise SystemExit(
            "error: writing pictures needs Chrome or Chromium: "
            "install one (Debian: apt-get install chromium) and set BROWSER_PATH to it"
        ) from error
    except (OSError, ValueError) as error:
        raise SystemExit(f"error: {error}") from error


if __name__ == "__main__":
    typer.run(main)
