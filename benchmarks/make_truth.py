"""Make the models of `circuits.truth` anew.

python -m benchmarks.make_truth [NAME ...] [--seed N] [--out DIR]
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import torch
import typer
from rich.console import Console

from benchmarks.truth.recipes import MADE, Maker
from circuits.truth.ground import DATA, save_truth


def main(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...")] = None,
    seed: int = 0,
    out: Path = DATA,
) -> None:
    """Wire, compile or train the models; all of them without names."""
    # So small matrices gain nothing from a second thread, and sums depend on how many there are.
    torch.set_num_threads(1)
    progress = Console(stderr=True)
    for name in names or MADE:
        record, weights = Maker(name, seed).make(
            lambda line, name=name: progress.print(f"{name}: {line}")
        )
        paths = save_truth(record, weights, out)
        size = sum(path.stat().st_size for path in paths) / 2**10
        progress.print(f"{name}: {size:.0f} KiB in {out}, {record.interchange or 'not trained'}")


if __name__ == "__main__":
    typer.run(main)
