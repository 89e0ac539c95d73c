"""Evaluations kept with a run."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from circuits import Circuit
from circuits.errors import FormatError
from circuits.evaluation import EVALUATION_FILE, SavedEvaluation
from circuits.statistics import Estimate
from tests.circuits.conftest import ON_DISCOVERY


@pytest.fixture(scope="module")
def saved(found):
    evaluation = found.evaluate(config=ON_DISCOVERY)
    return SavedEvaluation.of(found.circuit, ON_DISCOVERY, evaluation)


def test_round_trip(saved, tmp_path):
    assert saved.save(tmp_path) == tmp_path / EVALUATION_FILE
    loaded = SavedEvaluation.load(tmp_path)
    assert loaded == saved
    assert loaded.evaluation.minimality.keys() == saved.evaluation.minimality.keys()
    assert [path.name for path in tmp_path.iterdir()] == [EVALUATION_FILE]


def test_an_undefined_figure_survives(saved, tmp_path):
    nan = float("nan")
    strange = replace(saved.evaluation, completeness=Estimate(nan, nan, nan))
    replace(saved, evaluation=strange).save(tmp_path)
    value = SavedEvaluation.load(tmp_path).evaluation.completeness.value
    assert value != value


def test_it_knows_its_circuit(saved, found):
    assert saved.is_of(found.circuit)
    assert not saved.is_of(Circuit.of_heads(["0.0"], 3, 4))


def test_none_where_none_was_kept(tmp_path):
    assert SavedEvaluation.load(tmp_path) is None


@pytest.mark.parametrize("damage", ["", "{", "[]", "{}", "null", '{"evaluation": 3}'])
def test_damage_is_told_with_the_file(damage, tmp_path):
    (tmp_path / EVALUATION_FILE).write_text(damage)
    with pytest.raises(FormatError, match=r"evaluation\.json is damaged: "):
        SavedEvaluation.load(tmp_path)


def test_a_damaged_entry_is_named(saved, tmp_path):
    path = saved.save(tmp_path)
    data = json.loads(path.read_text())
    data["evaluation"]["completeness"]["low"] = "much"
    path.write_text(json.dumps(data))
    with pytest.raises(FormatError, match=r"evaluation\.completeness\.low"):
        SavedEvaluation.load(tmp_path)
