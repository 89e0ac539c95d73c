"""A study made of hand-made runs: its figures, and what it says of them."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from circuits.behaviour import Verdict
from circuits.circuit import Circuit, Overlap
from circuits.components import Head
from circuits.studies import SeedRun, SeedStudy

NOTHING = Verdict("no circuit", "the model does not do it")


def heads(*names: str) -> frozenset[Head]:
    return frozenset(Head.parse(name) for name in names)


@pytest.fixture
def run(found):
    """Makes the run of a seed, of some heads without edges."""

    def made(seed: int, performance: float, *names: str, verdict: Verdict | None = None) -> SeedRun:
        circuit = Circuit(heads(*names), frozenset(), 3, 4)
        discovery = replace(
            found,
            config=replace(found.config, seed=seed),
            circuit=circuit,
            performance=performance,
            verdict=verdict,
        )
        return SeedRun(discovery, heads=Overlap.of(circuit.heads, heads("2.1", "1.0")))

    return made


def test_figures_are_those_of_each_seed(run) -> None:
    runs = (run(4, 50.0, "2.1"), run(5, 70.0, "2.1", "0.3", "1.0"))
    study = SeedStudy(runs, reported=4, against="something")
    figures = study.figures
    assert list(figures) == [
        *("performance", "heads", "edges", "sparsity", "head precision", "head recall")
    ]
    assert figures["performance"].values == {4: 50.0, 5: 70.0}
    assert figures["heads"].best == (4, 1.0)
    assert figures["sparsity"].best == (4, 11 / 12)
    assert figures["head precision"].values == {4: 1.0, 5: 2 / 3}
    assert figures["head recall"].values == {4: 0.5, 5: 1.0}
    assert study.found is runs[0].found


def test_heads_are_counted(run) -> None:
    study = SeedStudy((run(0, 1.0, "0.3", "2.1"), run(1, 1.0, "2.1"), run(2, 1.0)), reported=0)
    assert study.head_counts == {Head(2, 1): 2, Head(0, 3): 1}
    assert list(study.head_counts) == [Head(2, 1), Head(0, 3)]
    shares = study.head_frequencies
    assert shares.shape == (3, 4)
    assert float(shares[2, 1]) == pytest.approx(2 / 3)
    assert float(shares.sum()) == pytest.approx(1.0)


def test_a_seed_without_a_circuit_has_no_figures_but_a_reason(run) -> None:
    runs = (run(0, 60.0, "2.1"), run(1, math.nan, verdict=NOTHING), run(2, 80.0, "2.1"))
    study = SeedStudy(runs, reported=0)
    assert study.refusals == {1: "the model does not do it"}
    assert study.figures["performance"].mean == 70.0
    assert list(study.figures["heads"].known) == [0, 2]
    empty = SeedStudy((run(1, math.nan, verdict=NOTHING),), reported=1)
    assert not empty.figures["heads"].known
    assert json.loads(json.dumps(empty.to_dict(), allow_nan=False))["runs"][0]["heads"] == []


def test_a_lucky_seed_is_named_once(run) -> None:
    """Sparsity is the number of heads once more."""
    runs = [run(seed, 50.0 + seed % 3, "2.1", "1.0", "1.1") for seed in range(10)]
    assert SeedStudy(tuple(runs), reported=0).outliers == ()
    runs[0] = run(0, 90.0, "2.1")
    named = {(o.figure, o.seed) for o in SeedStudy(tuple(runs), reported=0).outliers}
    assert named == {("performance", 0), ("heads", 0), ("head precision", 0), ("head recall", 0)}


def test_it_is_saved_as_json(run, tmp_path) -> None:
    runs = (run(0, 50.0, "2.1"), run(1, 70.0))
    study = SeedStudy(runs, reported=0, against="path-patching")
    study.save(tmp_path / "new")
    saved = json.loads((tmp_path / "new" / "seeds.json").read_text())
    assert saved["against"] == "path-patching"
    assert saved["figures"]["performance"]["mean"] == 60.0
    assert saved["figures"]["performance"]["best"] == {"seed": 1, "value": 70.0}
    assert saved["figures"]["head precision"]["values"] == {"0": 1.0, "1": None}
    assert saved["head_counts"] == {"2.1": 1}
    assert [row["seed"] for row in saved["runs"]] == saved["seeds"] == [0, 1]
    assert {"config", "provenance", "outliers", "reported"} <= saved.keys()
