"""The paper's table, reproduced on a tiny random model."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from benchmarks import paper_rows, reproduce_paper
from benchmarks.paper_rows import DENSE, PRUNINGS, Laboratory, Row, markdown, published, task_rows
from benchmarks.reproduce_paper import main, our_reference
from circuits import Discovery, SelectionRule, discover_grid, load_model, load_reference
from circuits.discover import run_discovery
from circuits.errors import ModelError
from circuits.model import identify, list_models
from circuits.tasks import list_tasks
from tests.circuits.conftest import toy_discovery

N_PROMPTS = 4


@pytest.fixture
def searched(monkeypatch):
    """Which searches are really run, the dense ones by a rule that a random model passes."""
    ran = []

    def prune(bridge, task, config, **options):
        ran.append((task.name, config.method))
        return run_discovery(bridge, task, config, **options)

    def patch(bridge, task, config, **options):
        ran.append((task, config.method))
        low = replace(config, selection=SelectionRule(logits_threshold=0.4))
        rules = {"thresholds": [0.4], "min_effects": [0.0]}
        return discover_grid(bridge, task, config=low, **rules, **options)

    monkeypatch.setattr(paper_rows, "run_discovery", prune)
    monkeypatch.setattr(paper_rows, "discover_grid", patch)
    return ran


class TestPublishedTable:
    def test_has_every_cell(self) -> None:
        rows = published()
        models = {model for model, _, _ in rows}
        assert len(models) == 4
        assert len(rows) == 4 * 5 * 4
        for model in models:
            keys = {(task, method) for name, task, method in rows if name == model}
            assert keys == {(t, m) for t in list_tasks() for m in (DENSE, *PRUNINGS)}

    def test_sizes_and_sparsities_agree_with_the_models(self) -> None:
        shapes = {entry.name: entry.n_layers * entry.n_heads for entry in list_models()}
        for (model, _, method), row in published().items():
            # The paper's own rounding: 22 of 144 heads are .85 outside, and stated as .83.
            assert 1 - row["heads"] / shapes[model] == pytest.approx(row["sparsity"], abs=0.02)
            assert (row["recall"] is None) == (method == DENSE)


@pytest.mark.filterwarnings("ignore::circuits.behaviour.WeakTaskWarning")
def test_a_model_without_reference_is_measured_against_its_dense_search(
    tiny, tmp_path, searched, capsys
) -> None:
    arguments = {
        "model": [str(tiny)],
        "task": ["ioi"],
        "n_prompts": N_PROMPTS,
        "directory": tmp_path / "kept",
        "out": tmp_path / "results" / "paper.json",
    }
    main(**arguments)
    assert searched == [("ioi", method) for method in (DENSE, *PRUNINGS)]
    written = json.loads(arguments["out"].read_text())
    dense, *pruned = written["rows"]
    assert (dense["method"], dense["against"]) == (DENSE, None)
    assert dense["heads"] > 0
    assert [row["method"] for row in pruned] == list(PRUNINGS)
    kept = {path.parent.name: Discovery.load(path.parent) for path in tmp_path.rglob("run.json")}
    for row in pruned:
        overlap = kept[row["method"]].circuit.compare(kept[DENSE].circuit)
        assert row["performance"] == kept[row["method"]].performance
        shares = [100 * share for share in (overlap.precision, overlap.recall)]
        assert [row["precision"], row["recall"]] == pytest.approx(shares)
    main(**arguments)
    assert len(searched) == 4, "finished searches are kept"
    assert json.loads(arguments["out"].read_text())["rows"] == written["rows"]
    others = Laboratory(str(tiny), load_model(tiny), N_PROMPTS + 1, 0, arguments["directory"])
    others.search("ioi", "flap")
    assert len(searched) == 5, "those of other prompts are not"
    assert "| published |" in capsys.readouterr().out


def test_against_a_reference_pruning_sees_its_prompts(toy, found, tmp_path, monkeypatch) -> None:
    shipped = load_reference("greater-than-smollm2-135m")
    shape = {"n_layers": found.circuit.n_layers, "n_heads": found.circuit.n_heads}
    assert shipped.made_with is not None
    config = shipped.made_with["config"] | {"n_prompts": N_PROMPTS, "seed": 7}
    ours = replace(
        shipped,
        **shape,
        roles={"all": frozenset(found.circuit.heads)},
        edges=(),
        made_with={"config": config, "performance": 55.0},
    )
    seen = []

    def search(laboratory, task, method):
        seen.append((laboratory.n_prompts, laboratory.seed))
        return toy_discovery(*toy, method=method)

    monkeypatch.setattr(Laboratory, "search", search)
    laboratory = Laboratory("toy", toy[0], 64, 0, tmp_path)
    dense, *pruned = task_rows(laboratory, "greater-than", ours, lambda line: None)
    assert seen == [(N_PROMPTS, 7)] * len(PRUNINGS)
    assert (dense.performance, dense.heads, dense.against) == (55.0, len(found.circuit), None)
    assert {row.against for row in pruned} == {ours.name}


def test_models_that_cannot_be_loaded_are_one_line(tmp_path, monkeypatch, capsys) -> None:
    def fail(name):
        raise ModelError("the hub could not be reached")

    monkeypatch.setattr(reproduce_paper, "load_model", fail)
    main(model=["gpt2"], directory=tmp_path, out=tmp_path / "paper.json")
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [
        "gpt2: its rows are left out, it cannot be loaded (the hub could not be reached)"
    ]
    assert printed.out == ""
    assert list(tmp_path.iterdir()) == []


def test_references_of_ours_belong_to_weights(tiny) -> None:
    tiny_identity = identify(load_model(tiny))
    assert our_reference(tiny_identity, "greater-than") is None
    shipped = load_reference("greater-than-smollm2-135m")
    assert shipped.made_with is not None
    weights = shipped.made_with["provenance"]["model"]["weight_hash"]
    same = replace(tiny_identity, weight_hash=weights)
    assert our_reference(same, "greater-than") == shipped
    assert our_reference(same, "custom") is None


def test_table_shows_ours_beside_theirs() -> None:
    row = Row("gpt2", "ioi", "flap", 64, 0, 90.0, 40, 0.722, 50.0, 76.19, DENSE)
    shown = markdown([row, replace(row, model="other", precision=None)]).splitlines()
    assert "| 90.0 % | 93.5 % | 40 (0.72) | 49 (0.66) | 76.2 % | 81.0 % | 50.0 % |" in shown[2]
    assert "| 90.0 % | - | 40 (0.72) | - | 76.2 % | - | - |" in shown[3]
