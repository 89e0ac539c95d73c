"""Progress on stderr: bars with the time left in a terminal, one line per stage elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from rich.progress import (
    BarColumn,
    ProgressColumn,
    Task,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

from circuits.cli.terminal import err, is_quiet
from circuits.runtime.progress import Progress

LOADING = "loading"
_TITLES = {
    LOADING: "Loading the model",
    "behaviour": "Testing the model",
    "means": "Taking mean outputs",
    "pruning": "Ranking heads",
    "validation": "Choosing a size",
    "patching": "Patching paths",
    "trials": "Trying settings",
    "seeds": "Repeating over seeds",
    "runs": "Running the batch",
    "verification": "Verifying the best",
    "evaluation": "Evaluating",
}


class _TimeLeft(ProgressColumn):
    """Counts down to the end that was foreseen at the last report.

    rich's own column wants many reports, and some stages give few.
    """

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """Show the time left, or why there is none to show."""
        if task.finished or not task.started:
            return Text("done" if task.finished else "waiting", "dim")
        end = task.fields.get("end")
        if end is None:
            return Text("-:--:-- left", "dim")
        return Text(f"{timedelta(seconds=max(0, round(end - task.get_time())))} left", "cyan")


@dataclass
class _Bars:
    bars: Bars
    rows: dict[str, TaskID]

    def stage(self, name: str, fraction: float) -> None:
        row = self.rows.get(name)
        if row is None:
            row = self.rows[name] = self.bars.add_task(_title(name), start=False, total=1)
        task = self.bars.tasks[row]
        if not task.started:
            self.bars.start_task(row)
        if fraction > 0 and task.elapsed is not None:
            left = task.elapsed * (1 - fraction) / fraction
            self.bars.update(row, end=task.get_time() + left)
        self.bars.update(row, completed=fraction)

    def note(self, text: str) -> None:
        self.bars.console.print(Text(f"{text} …", "dim"))


@dataclass
class _Lines:
    seen: set[str] = field(default_factory=set)

    def stage(self, name: str, fraction: float) -> None:
        if name not in self.seen:
            self.seen.add(name)
            self.note(_title(name))

    def note(self, text: str) -> None:
        err.print(f"{text} …", soft_wrap=True)


@contextmanager
def show_progress(stages: Sequence[str]) -> Iterator[Progress]:
    """Show these stages, the coming ones too, while the `with` runs."""
    if is_quiet():
        yield Progress()
        return
    if not err.is_interactive:
        lines = _Lines()
        yield Progress(lines.stage, lines.note)
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        _TimeLeft(),
    )
    with Bars(*columns, console=err, transient=True) as bars:
        rows = {s: bars.add_task(_title(s), start=False, total=1) for s in stages}
        shown = _Bars(bars, rows)
        yield Progress(shown.stage, shown.note)


def _title(stage: str) -> str:
    return _TITLES.get(stage, stage.capitalize())
