"""What is heard of work in parts, whatever its parts are made of."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuits.runtime.progress import SILENT, Progress


class Listener:
    """Everything that is said."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, float]] = []
        self.notes: list[str] = []
        self.progress = Progress(lambda *what: self.heard.append(what), self.notes.append)

    @property
    def fractions(self) -> list[float]:
        return [fraction for _, fraction in self.heard]


@pytest.fixture
def listener() -> Listener:
    return Listener()


def test_a_stage_begins_at_nothing(listener) -> None:
    stage = listener.progress.stage("sweep")
    stage(0.25)
    stage(1)
    assert listener.heard == [("sweep", 0.0), ("sweep", 0.25), ("sweep", 1.0)]


def test_stages_follow_each_other_each_from_nothing_to_one(listener) -> None:
    """Also from a part of another: it takes its listener and nothing else."""
    part = listener.progress.stage("sweep").within(0.5, 0.75)
    part.stage("verify")(0.5)
    assert listener.heard == [("sweep", 0.0), ("verify", 0.0), ("verify", 0.5)]


def test_outside_of_a_stage_no_fraction_is_heard(listener) -> None:
    listener.progress(0.5)
    for _, part in listener.progress.each("ab"):
        part(0.5)
    assert listener.heard == []


def test_parts_of_parts(listener) -> None:
    whole = listener.progress.stage("work")
    inner = whole.within(0.5, 1).within(0.5, 1)
    inner(0)
    inner(0.5)
    inner(1)
    assert listener.fractions == [0.0, 0.75, 0.875, 1.0]


def test_parts_are_as_heavy_as_their_weights(listener) -> None:
    whole = listener.progress.stage("work")
    for part in whole.parts(1, 3, 4):
        part(1)
    assert listener.fractions == [0.0, 0.125, 0.5, 1.0]


def test_each_item_is_done_when_the_next_is_asked_for(listener) -> None:
    whole = listener.progress.stage("work")
    seen = []
    for item, part in whole.each(["a", "b"], [1, 3]):
        seen.append((item, listener.fractions[-1]))
        part(0.5)
    assert seen == [("a", 0.0), ("b", 0.25)]
    assert listener.fractions == [0.0, 0.125, 0.25, 0.625, 1.0]


def test_of_nothing_no_part_is_reported(listener) -> None:
    whole = listener.progress.stage("work")
    assert list(whole.each([])) == []
    assert listener.fractions == [0.0]


def test_an_item_too_many_is_an_error(listener) -> None:
    with pytest.raises(ValueError, match="zip"):
        list(listener.progress.each(["a", "b"], [1]))


@given(
    st.recursive(st.just(()), lambda parts: st.lists(parts, min_size=1, max_size=4), max_leaves=9)
)
def test_nested_work_rises_from_nothing_to_one(tree) -> None:
    """A part never goes back behind the one before it, not even by a rounding error."""
    listener = Listener()

    def work(parts, progress: Progress) -> None:
        for inner, part in progress.each(parts, [1 + len(inner) for inner in parts]):
            work(inner, part)
        if not parts:
            progress(1)

    work(tree, listener.progress.stage("work"))
    assert listener.fractions == sorted(listener.fractions)
    assert (listener.fractions[0], listener.fractions[-1]) == (0.0, 1.0)


def test_notes_are_heard_inside_and_outside_of_stages(listener) -> None:
    listener.progress.note("before")
    listener.progress.stage("work").within(0, 0.5).note("inside")
    assert listener.notes == ["before", "inside"]


class TestGiven:
    def test_a_function_of_stage_and_fraction(self) -> None:
        heard = []
        Progress.of(lambda *what: heard.append(what)).stage("work")(0.5)
        assert heard == [("work", 0.0), ("work", 0.5)]

    def test_a_progress_is_taken_as_it_is(self, listener) -> None:
        part = listener.progress.stage("work").within(0, 0.5)
        assert Progress.of(part) is part

    def test_nobody_listens(self) -> None:
        assert Progress.of(None) is SILENT
        stage = SILENT.stage("work")
        stage(0.5)
        stage.note("unread")
