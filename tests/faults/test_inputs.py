"""Bad input is refused in a sentence: nothing else happens, and nothing is called a defect."""

from __future__ import annotations

import os
import shutil
from random import Random

import pytest

from tests.faults.inputs import KINDS
from tests.faults.watching import outcome_of

_FAST_SHARE = {"circuits": 60, "model directories": 20, "command lines": 25, "work": 3}
"""Of the others eight."""
_PARTS = 8
"""So that several processes share them."""


@pytest.fixture(autouse=True)
def with_own_checks_alone(without_type_checks):
    """Users have no others."""


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("part", range(_PARTS))
@pytest.mark.parametrize("kind", KINDS)
def test_bad_input_is_told_and_does_nothing(
    kind, part, material, is_whole, count, tmp_path, monkeypatch
):
    make, in_all = KINDS[kind]
    n_inputs = in_all if is_whole else _FAST_SHARE.get(kind, 8)
    monkeypatch.setenv("CIRCUITS_CACHE", str(tmp_path / "cache"))
    codes, flawed = dict.fromkeys((0, 1, 2), 0), []
    for number in range(part, n_inputs, _PARTS):
        place = tmp_path / "place"
        place.mkdir()
        monkeypatch.chdir(place)
        # From its number alone, so that one that fails can be made again.
        outcome = outcome_of(make(Random(f"{kind} {number}"), material, place), place)
        codes[outcome.code] = codes.get(outcome.code, 0) + 1
        if outcome.flaws:
            flawed.append(f"{kind} {number}: {outcome.flaws} {outcome.stderr[-500:]!r}")
        monkeypatch.chdir(tmp_path)
        shutil.rmtree(place)
    assert flawed == []
    count(f"bad inputs: {kind}", sum(codes.values()))
    count("bad inputs that were refused", codes[1] + codes[2])


def test_what_is_watched_for_is_seen(tmp_path, material):
    """Each of these would be a flaw; without this, the checks above could see nothing at all."""
    import pickle
    import subprocess

    from tests.faults.watching import Outcome, watched

    with watched(tmp_path / "place") as seen:
        (tmp_path / "elsewhere").write_text("")
        os.rename(tmp_path / "elsewhere", tmp_path / "moved")  # noqa: PTH104
        subprocess.run(["true"], check=True)
        pickle.loads(pickle.dumps(os.getcwd))
    kinds = ("open ", "os.rename ", "subprocess.Popen ", "pickle.find_class ")
    assert all(any(one.startswith(kind) for one in seen) for kind in kinds), seen
    worst = Outcome(("models",), 3, "Traceback (most recent", "\x1b[31m", ("x",), 1e6, 1 << 40)
    assert len(worst.flaws) == 7
    assert Outcome(("models",), 1, "", "unexpected X; this is a defect", (), 0, 0).flaws == [
        "called a defect",
        "no error told",
    ]
