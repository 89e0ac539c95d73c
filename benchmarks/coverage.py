"""Whether intervals, rates, p-values and bounds hold what is said of them, in simulation.

python -m benchmarks.coverage [--write]

What is said of each, and how it is simulated, is told where it is measured: intervals over prompts
in `coverage_intervals`, tests and rates in `coverage_tests`, what seeds agree on in
`coverage_inclusion`, the bound on what verification left out in `coverage_search`. All draws are
seeded.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from benchmarks import (
    coverage_inclusion,
    coverage_intervals,
    coverage_search,
    coverage_tests,
)
from benchmarks.coverage_intervals import POPULATIONS
from benchmarks.machine import describe_machine
from benchmarks.publish import Write, publish

RESULTS = Path(__file__).parent / "results" / "coverage.json"


def markdown(measured: dict[str, Any]) -> str:
    """Every table, and how much was drawn."""
    return "\n\n".join(
        [
            coverage_intervals.markdown(measured["intervals"]),
            coverage_tests.markdown(measured["tests"], measured["seeds"], measured["circuits"]),
            coverage_inclusion.markdown(measured["inclusion"]),
            coverage_search.markdown(measured["bounds"]),
            f"{measured['runs']} draws for each row of the first two tables and of what circuits "
            "share, ten times as many for seeds, five times for circuits, half for the bound; "
            f"commit {measured['machine']['commit']}.",
        ]
    )


def main(runs: int = 200, resamples: int = 500, out: Path = RESULTS, write: Write = False) -> None:
    """Simulate, and write the figures as JSON and as tables."""
    measured = {
        "runs": runs,
        "machine": describe_machine(),
        "intervals": [
            coverage_intervals.measure(name, n, runs, resamples)
            for name in POPULATIONS
            for n in (8, 16, 32, 64)
        ],
        "tests": [
            coverage_tests.prompts(name, n, runs)
            for name in POPULATIONS
            for n in coverage_tests.N_SENDERS
        ],
        "seeds": [coverage_tests.seeds(name, 10 * runs) for name in POPULATIONS],
        "circuits": coverage_tests.circuits(5 * runs),
        "inclusion": [
            coverage_inclusion.measure(name, n, runs)
            for name in coverage_inclusion.WORLDS
            for n in coverage_inclusion.N_SEEDS
        ],
        "bounds": [coverage_search.measure(name, runs // 2) for name in coverage_search.WORLDS],
    }
    publish(measured, out, markdown(measured), "coverage table" if write else None)


if __name__ == "__main__":
    typer.run(main)
