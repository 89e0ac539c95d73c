from __future__ import annotations

import json
import os
import warnings
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from circuits.runtime.files import DamagedFileWarning
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


def test_a_damaged_line_is_left_out_with_a_warning_and_the_others_are_not(path: Path) -> None:
    filled(path)
    lines = path.read_bytes().split(b"\n")
    for damage in (b"\xff\x00", b'{"a":', b"[1, 2]", b"", b'{"record": {}}'):
        path.write_bytes(b"\n".join([*lines[:2], damage, *lines[3:]]))
        with pytest.warns(DamagedFileWarning, match="1 of its lines cannot be read") as warned:
            assert Journal(path, OWNER).records == [RECORDS[0], RECORDS[2]]
        assert len(warned) == 1
        assert Journal(path, OWNER).records == [RECORDS[0], RECORDS[2]], "mended without a word"


def test_a_flipped_bit_anywhere_never_gives_another_record(path: Path) -> None:
    """Of the line that it is in nothing is left, be it the first."""
    filled(path)
    whole = path.read_bytes()
    for place in range(len(whole)):
        for bit in (0, 3, 6):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << bit
            path.write_bytes(damaged)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DamagedFileWarning)
                found = Journal(path, OWNER).records
            assert [one for one in RECORDS if one in found] == found
            assert len(found) >= len(RECORDS) - 2, "a newline joins two lines"


def test_records_of_another_owner_are_not_taken_for_ones_own(path: Path) -> None:
    """As where two processes write to one file."""
    filled(path)
    filled(path.with_name("other"), owner={"model": "other"})
    _header, *others = path.with_name("other").read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([path.read_bytes(), *others]))
    assert Journal(path, OWNER).records == RECORDS


def test_a_first_line_that_cannot_be_read_loses_no_record(path: Path) -> None:
    filled(path)
    path.write_bytes(b"?" + path.read_bytes()[1:])
    assert Journal.owner(path) == {}
    assert Journal.holds(path, OWNER)
    assert not Journal.holds(path, {"model": "other"})
    with pytest.warns(DamagedFileWarning):
        assert Journal(path, OWNER).records == RECORDS
    assert Journal.owner(path) == OWNER


def test_a_journal_without_checksums_is_gone_on_with(path: Path) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in (OWNER, *RECORDS)))
    assert Journal.owner(path) == OWNER
    assert Journal.holds(path, OWNER)
    assert Journal(path, {"model": "other"}).records == []
    path.write_text("".join(json.dumps(line) + "\n" for line in (OWNER, *RECORDS)))
    for _ in range(2):
        assert Journal(path, OWNER).records == RECORDS
    assert b"checksum" in path.read_bytes()


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
    assert synced[0].endswith(b'{"a": 1}}\n')


def test_a_record_that_json_cannot_say_leaves_the_journal_whole(path: Path) -> None:
    journal = filled(path)
    with pytest.raises(TypeError):
        journal.append({"a": object()})
    assert Journal(path, OWNER).records == journal.records == RECORDS


def test_no_journal_no_owner(path: Path) -> None:
    assert Journal.owner(path) is None
    path.write_bytes(b"")
    assert Journal.owner(path) is None


def test_what_is_no_journal_has_an_owner_that_is_unknown(path: Path) -> None:
    for content in (b'{"torn": ', b"a,b\n1,2\n", b"\n"):
        path.write_bytes(content)
        assert Journal.owner(path) == {}
