from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from circuits.runtime.journal import Journal

OWNER = {"model": "tiny", "prompts": 4}
RECORDS = [{"receiver": "1.0.q", "effects": [0.1, -2e-7]}, {"line\nbreak": "é"}, {}]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=4,
)
records = st.lists(st.dictionaries(st.text(max_size=4), values, max_size=3), max_size=4)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def filled(path: Path, some=RECORDS, owner=OWNER) -> Journal:
    path.unlink(missing_ok=True)
    journal = Journal(path, owner)
    for record in some:
        journal.append(record)
    return journal


def test_records_come_back_in_order(path: Path) -> None:
    assert filled(path).records == RECORDS
    assert Journal(path, OWNER).records == RECORDS
    assert Journal.owner(path) == OWNER


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records)
def test_whatever_json_can_say_comes_back(path: Path, some) -> None:
    filled(path, some)
    assert Journal(path, OWNER).records == some


def test_cut_off_at_any_byte_what_is_left_is_a_prefix(path: Path) -> None:
    """And the journal goes on from there as if nothing had happened."""
    filled(path)
    whole = path.read_bytes()
    lines_before = [whole[:size].count(b"\n") for size in range(len(whole) + 1)]
    for size, lines in enumerate(lines_before):
        path.write_bytes(whole[:size])
        journal = Journal(path, OWNER)
        assert journal.records == RECORDS[: max(0, lines - 1)]
        journal.append({"new": size})
        assert Journal(path, OWNER).records == [*journal.records]
        assert journal.records[-1] == {"new": size}


def test_nothing_behind_a_damaged_line_counts(path: Path) -> None:
    """It may depend on what is lost."""
    filled(path)
    lines = path.read_bytes().split(b"\n")
    for damage in (b"\xff\x00", b'{"a":', b"[1, 2]", b""):
        path.write_bytes(b"\n".join([*lines[:2], damage, *lines[3:]]))
        assert Journal(path, OWNER).records == RECORDS[:1]


@pytest.mark.parametrize("other", [{"model": "tiny"}, {**OWNER, "prompts": 5}, {}])
def test_another_owner_begins_anew(path: Path, other) -> None:
    filled(path)
    journal = Journal(path, other)
    assert journal.records == []
    journal.append({"a": 1})
    assert Journal(path, other).records == [{"a": 1}]
    assert Journal(path, OWNER).records == []


def test_a_record_is_on_the_disk_before_append_returns(path: Path, monkeypatch) -> None:
    journal = Journal(path, OWNER)
    synced: list[bytes] = []
    monkeypatch.setattr(os, "fsync", lambda _: synced.append(path.read_bytes()))
    journal.append({"a": 1})
    assert len(synced) == 1
    assert synced[0].endswith(b'{"a": 1}\n')


def test_a_record_that_json_cannot_say_leaves_the_journal_whole(path: Path) -> None:
    journal = filled(path)
    with pytest.raises(TypeError):
        journal.append({"a": object()})
    assert Journal(path, OWNER).records == journal.records == RECORDS


def test_no_journal_no_owner(path: Path) -> None:
    assert Journal.owner(path) is None
    path.write_bytes(b'{"torn": ')
    assert Journal.owner(path) is None
