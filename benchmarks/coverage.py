"""Whether intervals and choices hold what is said of them, in simulation.

python -m benchmarks.coverage [--write]

Prompts are drawn from populations whose truth is known: what the model and circuits of rising size
do on a prompt is correlated, normal, heavy-tailed (Student's t with three degrees of freedom) or
alike within templates of four prompts. Measured are the share of 95 % intervals that hold the true
performance; how often the circuit that is chosen by the default's test truly keeps what was asked
for, what it keeps in the mean, and the same of the plain rule without a standard error; and how
often a head that does nothing is said to work against the answer.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import typer
from jaxtyping import Float

from benchmarks.machine import describe_machine
from benchmarks.publish import Write, publish
from benchmarks.tables import table
from circuits.evaluation.sizes import SizePoint
from circuits.statistics import Bootstrap, Estimate

RESULTS = Path(__file__).parent / "results" / "coverage.json"
KEEP, TRUE = 85.0, np.linspace(40.0, 130.0, 31)
"""Percent that circuits of 31 sizes keep in truth, in steps of three."""
MODEL, SPREAD, OWN = 4.5, 1.5, 1.2
"""Mean and standard deviation of the model's metric (IOI's), and of a circuit's own deviation."""
N_NULL = 8
Draw = Callable[[np.random.Generator, int, int], Float[np.ndarray, "row prompt"]]
Row = dict[str, Any]


def _normal(rng: np.random.Generator, rows: int, n: int) -> Float[np.ndarray, "row prompt"]:
    return rng.standard_normal((rows, n))


def _heavy(rng: np.random.Generator, rows: int, n: int) -> Float[np.ndarray, "row prompt"]:
    return rng.standard_t(3, (rows, n)) / np.sqrt(3)


def _alike(rng: np.random.Generator, rows: int, n: int) -> Float[np.ndarray, "row prompt"]:
    """Half of the variance is shared by each four prompts."""
    shared = np.repeat(rng.standard_normal((rows, -(-n // 4))), 4, axis=1)[:, :n]
    return (shared + rng.standard_normal((rows, n))) / np.sqrt(2)


POPULATIONS: dict[str, Draw] = {"normal": _normal, "heavy tails": _heavy, "alike": _alike}


def drawn(draw: Draw, rng: np.random.Generator, n: int) -> Float[np.ndarray, "run prompt"]:
    """The model's metric, then that of circuits of rising size, on n prompts.

    A circuit deviates from its share of the model's metric as the next smaller one does, and a
    little on its own.
    """
    noise = draw(rng, len(TRUE) + 1, n)
    model = MODEL + SPREAD * noise[0]
    own = OWN * np.cumsum(noise[1:], axis=0) / np.sqrt(np.arange(1, len(TRUE) + 1))[:, None]
    return np.concatenate([model[None], TRUE[:, None] / 100 * model + own])


def kept(runs: Float[np.ndarray, "run prompt"], resamples: int) -> list[Estimate]:
    """As a discovery takes them."""
    return Bootstrap(n_resamples=resamples).estimates(lambda m: 100 * m[1:] / m[:1], runs)


def measure(draw: Draw, n: int, n_runs: int, resamples: int) -> Row:
    """Coverage of intervals over n prompts, and of choices by as many."""
    rng = np.random.default_rng(n)
    held, surely, plain, false = [], [], [], []
    for _ in range(n_runs):
        found = kept(drawn(draw, rng, n), resamples)
        held += [one.low <= true <= one.high for one, true in zip(found, TRUE, strict=True)]
        points = [SizePoint("", frozenset(), one, one, one) for one in found]
        surely.append(_first([point.keeps(KEEP) for point in points]))
        plain.append(_first([one.value >= KEEP for one in found]))
        null = draw(rng, N_NULL, n)
        model = MODEL + SPREAD * draw(rng, 1, n)
        lost = Bootstrap(n_resamples=resamples).estimates(
            lambda m: 100 * m[1:] / m[:1], np.concatenate([model, null])
        )
        false.append(fmean(one.low > 0 for one in lost))
    return {
        "prompts": n,
        "covered": fmean(held),
        "chosen keeps enough": fmean(value >= KEEP for value in surely),
        "chosen keeps": fmean(surely),
        "plain keeps enough": fmean(value >= KEEP for value in plain),
        "plain keeps": fmean(plain),
        "false opposing": fmean(false),
    }


def _first(enough: list[bool]) -> float:
    """What the smallest circuit that seems to keep enough keeps in truth."""
    return float(TRUE[enough.index(True) if True in enough else -1])


def markdown(measured: Row) -> str:
    """One row for each population and number of prompts."""
    titles = (
        "prompts drawn",
        "n",
        "95 % intervals that hold the truth",
        "chosen with an error to spare: keeps 85 %",
        "in the mean",
        "chosen without: keeps 85 %",
        "in the mean",
        "idle heads said to oppose",
    )
    lines = [
        [
            row["population"],
            row["prompts"],
            f"{row['covered']:.1%}",
            f"{row['chosen keeps enough']:.0%}",
            f"{row['chosen keeps']:.1f} %",
            f"{row['plain keeps enough']:.0%}",
            f"{row['plain keeps']:.1f} %",
            f"{row['false opposing']:.1%}",
        ]
        for row in measured["rows"]
    ]
    return (
        f"{table(titles, lines)}\n\n{measured['runs']} draws each; commit "
        f"{measured['machine']['commit']}."
    )


def main(runs: int = 400, resamples: int = 1000, out: Path = RESULTS, write: Write = False) -> None:
    """Simulate, and write the figures as JSON and as a table."""
    rows = [
        {"population": name, **measure(draw, n, runs, resamples)}
        for name, draw in POPULATIONS.items()
        for n in (8, 16, 32, 64)
    ]
    measured = {"runs": runs, "machine": describe_machine(), "rows": rows}
    publish(measured, out, markdown(measured), "coverage table" if write else None)


if __name__ == "__main__":
    typer.run(main)
