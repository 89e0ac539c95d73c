"""What the runs of all seeds have in common, and one seed's as a job of its own."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

from circuits.circuit import Circuit, Overlap
from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.finish import finish
from circuits.discovery.kept import Kept, is_begun
from circuits.discovery.problem import Problem
from circuits.discovery.result import Discovery
from circuits.discovery.session import Session
from circuits.forward import LayeredModel
from circuits.references import Reference, check_same_shape
from circuits.runtime.lock import only_user
from circuits.runtime.progress import Progress
from circuits.runtime.workers import Workers
from circuits.studies.seed_record import check_study_replaceable
from circuits.studies.seed_result import SeedRun
from circuits.tasks import Spans, Task
from circuits.tasks.spans import END

AGAINST_DIRECTORY = "against"
Against = str | Reference | Circuit


def seed_directory(directory: str | Path, seed: int) -> Path:
    """Where the run of a seed is."""
    return Path(directory) / f"seed-{seed}"


@dataclass(frozen=True, eq=False)
class Repeated:
    """What the runs of all seeds have in common."""

    model: LayeredModel
    task: Task
    config: DiscoveryConfig
    against: Against | None
    kept: Kept

    def __post_init__(self) -> None:
        """Refuse a circuit of another model's shape, or graph, before any work is done."""
        sizes = self.model.n_layers, self.model.n_heads
        spans = self.against.spans if isinstance(self.against, Circuit) else None
        if self.config.positions == "spans" and spans is None:
            spans = Spans.of([[END]])
        elif self.config.positions != "spans":
            spans = None
        nothing = Circuit(frozenset(), frozenset(), *sizes, self.config.mlps, spans)
        if isinstance(self.against, Reference):
            check_same_shape(self.against, nothing)
            nothing.compare(self.against.circuit)
        elif isinstance(self.against, Circuit):
            nothing.compare(self.against)

    def runs(
        self, seeds: Sequence[int], progress: Progress, workers: Workers | None
    ) -> tuple[SeedRun, ...]:
        """Each in its own directory; what workers have found is read there."""
        place, found = self.kept.path, list[SeedRun]()
        with only_user(place):
            if workers is not None and place is not None:
                jobs = {f"seed {seed}": job for seed in seeds if (job := self._job(seed, place))}
                for ended in workers.run(jobs, place, progress):
                    progress.note(f"{ended.name} is {'done' if ended.error is None else 'failed'}")
                    _ = ended.value
                progress = Progress(notes=progress.notes)
            for seed, part in progress.each(seeds):
                if workers is None:
                    part.note(f"seed {seed}, {len(found) + 1} of {len(seeds)}")
                with self._at_work(seed) as session:
                    found.append(self.in_session(session, part))
        return tuple(found)

    def _at_work(self, seed: int) -> AbstractContextManager[Session]:
        return Session.at_work(
            self.model, self.task, replace(self.config, seed=seed), self._kept(seed)
        )

    def _kept(self, seed: int) -> Kept:
        place = self.kept.path
        directory = None if place is None else seed_directory(place, seed)
        resume = self.kept.resume and directory is not None and is_begun(directory)
        return replace(self.kept, directory=directory, resume=resume)

    def _job(self, seed: int, place: Path) -> SeedJob | None:
        """What a worker is to do; None where all of it is there."""
        with self._at_work(seed) as session:
            if isinstance(self.against, str):
                every = [session, self._beside(session, self.against)]
            else:
                every = [session]
            if all(one.saved() is not None for one in every):
                return None
            method = self.against if isinstance(self.against, str) else None
            where = seed_directory(place, seed)
            return SeedJob(session.problem, where, method, self.kept.overwrite)

    def in_session(self, session: Session, progress: Progress) -> SeedRun:
        """Find one seed's circuit, and what it is compared with; the wider search comes first."""
        config = session.config
        if self.kept.path is not None and not self.kept.overwrite:
            check_study_replaceable(self.kept.path, config, session.problem.provenance())
        if not isinstance(self.against, str):
            return self._compared(finish(session, progress), self.against)
        first, second = progress.parts(1, 1)
        against = finish(self._beside(session, self.against), first)
        found = finish(replace(session, replaced=None), second)
        return replace(self._compared(found, against.circuit), against=against)

    def _beside(self, session: Session, method: str) -> Session:
        place = session.directory
        beside = None if place is None else place / AGAINST_DIRECTORY
        return session.with_config(session.config.with_method(method), beside)

    def _compared(self, found: Discovery, against: Circuit | Reference | None) -> SeedRun:
        if against is None:
            return SeedRun(found)
        theirs = against.circuit if isinstance(against, Reference) else against
        heads, edges = found.circuit.compare(theirs), None
        if found.config.finds_edges and self._compares_edges:
            edges = Overlap.of(found.circuit.connections, against.connections)
        return SeedRun(found, None, heads, edges)

    @property
    def _compares_edges(self) -> bool:
        """Whether there are edges to compare with: for every seed, or for none."""
        if isinstance(self.against, Reference | Circuit):
            return bool(self.against.connections)
        return self.against is not None and self.config.with_method(self.against).finds_edges


@dataclass(frozen=True)
class SeedJob:
    """One seed's runs as a function that can be sent to another process.

    Attributes:
        problem: What to discover.
        directory: Of the seed, in that of the study.
        against: A method to compare with.
        overwrite: Whether what the directories hold of something else is replaced.

    """

    problem: Problem
    directory: Path
    against: str | None
    overwrite: bool

    def __call__(self, progress: Progress) -> None:
        """Load the model, find what the directory lacks, and save it there."""
        with only_user(self.directory):
            session = Session.open(self.problem, self.directory, overwrite=self.overwrite)
            # For the worker's next job, which asks for the same.
            _last_used[:] = [session.model]
            place = Kept(self.directory.parent, overwrite=self.overwrite)
            every = session.model, session.task, session.config, self.against, place
            Repeated(*every).in_session(session, progress)


_last_used: list[LayeredModel] = []
