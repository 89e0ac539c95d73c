"""Our own references: the circuits of finished exact searches, as files of circuits/references.

python -m benchmarks.references

Writes one for every search that benchmarks/exact.py has finished, with its settings; run again
after more have been.
"""

from __future__ import annotations

from pathlib import Path

import typer

import circuits.references
from benchmarks.exact import RESULTS, references
from circuits import Discovery, Head, Reference
from circuits.discovery.record import RECORD
from circuits.references import ReferenceEdge
from circuits.runtime.files import write_atomically

SHIPPED = Path(circuits.references.__file__).parent
REPOSITORY = Path(__file__).parents[1]
_KEPT = ("config", "provenance", "behaviour", "performance")
"""What of a run's record is kept: what was asked of what, and how well that does the task."""


def reference_of(found: Discovery, directory: Path) -> Reference:
    """A dense exact search as a reference. Raises ValueError for any other kind of search."""
    settings, model = found.config, found.provenance.model
    if (settings.method, settings.engine) != ("path-patching", "exact"):
        raise ValueError(
            f"a reference of ours is a dense exact search, {directory} holds "
            f"{settings.method} by {settings.engine}"
        )
    record = RECORD.dump_python(found.record, mode="json")
    place = directory.relative_to(REPOSITORY) if directory.is_relative_to(REPOSITORY) else directory
    return Reference(
        name=f"{found.provenance.task}-{model.name.lower().replace('/', '-')}",
        task=found.provenance.task,
        model=model.name,
        n_layers=model.n_layers,
        n_heads=model.n_heads,
        roles={"all": found.circuit.heads},
        citation="Ours: dense path patching, every effect exact",
        read_from=(f"{place}/circuit.json, written by benchmarks/exact.py",),
        verified=True,
        edges=tuple(
            ReferenceEdge(edge.sender, edge.receiver, edge.effect)
            for edge in sorted(found.circuit.edges)
            if isinstance(edge.sender, Head)
        ),
        note=f"What path patching selects, not all that matters: these heads alone keep "
        f"{found.performance:.1f} % of the model's performance.",
        made_with={name: record[name] for name in _KEPT},
    )


def main(searches: Path = RESULTS, out: Path = SHIPPED) -> None:
    """Write a reference for every finished search."""
    for task, found in references(searches).items():
        reference = reference_of(found, searches.resolve() / task)
        write_atomically({out / f"{reference.name}.json": reference.to_json().encode()})
        print(f"{reference.name}: {len(reference.heads)} heads, {len(reference.edges)} edges")


if __name__ == "__main__":
    typer.run(main)
