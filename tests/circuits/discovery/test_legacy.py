"""What the version before wrote: read number by number, and gone on with."""

from __future__ import annotations

import json
from dataclasses import replace
from math import isnan
from pathlib import Path
from shutil import copytree

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from circuits import Discovery, discover_grid, discover_seeds, discover_study
from circuits.components import Node, Receiver
from circuits.discover import run_discovery
from circuits.discovery import legacy
from circuits.discovery.kept import WORK_DIRECTORY
from circuits.discovery.pipeline import Pipeline
from circuits.discovery.store import EXACT_FILE, SWEPT_FILE
from circuits.errors import ResumeError
from circuits.evaluation import SavedEvaluation
from circuits.graph import ModelGraph
from circuits.patching import EdgeValues
from circuits.patching.sweep import SWEEP
from circuits.report import write_report
from circuits.studies.record import SearchRecord
from circuits.truth import GroundTruth, load_truth
from tests.circuits.flops import flops_of_search

OLD = Path(__file__).parent / "old"
RUNS = [str(path.parent.relative_to(OLD)) for path in sorted(OLD.rglob("run.json"))]
TABLES = {"q": "query", "k": "key", "v": "value"}


@pytest.fixture(scope="module")
def truth() -> GroundTruth:
    return load_truth("siit-greater-than-deep")


@pytest.fixture
def old(tmp_path) -> Path:
    """A copy that may be gone on with."""
    return copytree(OLD, tmp_path / "old")


@pytest.fixture(scope="module")
def finished() -> Discovery:
    return Discovery.load(OLD / "finished")


@pytest.fixture(scope="module")
def anew(truth, finished) -> Discovery:
    """The same, without anything to start from."""
    return run_discovery(truth.model, truth.task, finished.config)


def in_tables(tables: dict[str, Tensor], sender: Node, receiver: Receiver, n_heads: int) -> float:
    """One effect by the shape that tables had: query heads shared keys and values in groups."""
    if receiver.head is None:
        return float(tables["logits"][sender.layer, sender.index])
    table = tables[TABLES[receiver.input]]
    unit = receiver.head.index // (n_heads // table.shape[1])
    return float(table[receiver.head.layer, unit, sender.layer, sender.index])


def assert_same_effects(values: EdgeValues, tables: dict[str, Tensor]) -> int:
    """Every edge of every head, shared or not; how many are known."""
    graph, known = values.graph, 0
    for receiver in (Receiver.logits(), *(r for h in graph.heads for r in graph.inputs(h))):
        for sender in graph.senders_below(receiver):
            expected = in_tables(tables, sender, receiver, graph.n_heads)
            found = values.of(sender, receiver)
            assert found == expected or (isnan(found) and isnan(expected)), (sender, receiver)
            known += not isnan(found)
    return known


def close(found: EdgeValues, expected: EdgeValues, atol: float = 1e-5) -> bool:
    return torch.allclose(found.values, expected.values, rtol=0, atol=atol, equal_nan=True)


def exact_edges(run: Path) -> list[tuple[str, str]]:
    """Every path that was run exactly, in the order of the journal."""
    lines = (run / WORK_DIRECTORY / EXACT_FILE).read_text().splitlines()[1:]
    records = [json.loads(line) for line in lines]
    records = [record.get("record", record) for record in records]
    return [(r["receiver"], sender) for r in records for sender in r["senders"]]


class TestTables:
    @pytest.mark.parametrize("n_kv_heads", [1, 2, 4])
    def test_one_matrix_of_four(self, n_kv_heads: int) -> None:
        graph = ModelGraph(n_layers=3, n_heads=4, n_kv_heads=n_kv_heads)
        draw = torch.Generator().manual_seed(0)
        sizes = {"query": 4, "key": n_kv_heads, "value": n_kv_heads}
        tables = {name: torch.rand(3, n, 3, 4, generator=draw) for name, n in sizes.items()}
        tables["logits"] = torch.rand(3, 4, generator=draw)
        assert legacy.is_old(tables)
        values = legacy.as_one(tables, graph)
        assert assert_same_effects(values, tables) > 100

    def test_by_prompt(self) -> None:
        graph = ModelGraph(n_layers=2, n_heads=2, n_kv_heads=1)
        draw = torch.Generator().manual_seed(0)
        sizes = {"q": (2, 2), "k": (2, 1), "v": (2, 1), "logits": ()}
        kinds = ("changes", "remainders")
        old = {
            f"{kind}.{name}": torch.rand(*size, 2, 2, 5, generator=draw)
            for kind in kinds
            for name, size in sizes.items()
        }
        old["progress"] = torch.tensor([1.5, 2.0, 3.0])
        found = legacy.swept_tensors(old, graph)
        assert found.keys() == {"progress", *kinds}
        assert found["progress"] is old["progress"]
        receiver = Receiver.parse("1.1.k")
        for kind in kinds:
            values = EdgeValues(graph, found[kind])
            assert torch.equal(values.into(receiver), old[f"{kind}.k"][1, 0, 0])
            logits = old[f"{kind}.logits"].flatten(0, 1)
            assert torch.equal(values.into(Receiver.logits()), logits)


@pytest.mark.parametrize("name", RUNS)
class TestRuns:
    def test_every_number_is_read(self, name: str) -> None:
        found, tensors = Discovery.load(OLD / name), load_file(OLD / name / "tensors.safetensors")
        tables = {k.removeprefix("effects."): t for k, t in tensors.items() if "effects." in k}
        assert tables.keys() == {"query", "key", "value", "logits"}
        known = assert_same_effects(found.effects, tables)
        assert known == found.effects.n_known > len(found.circuit.edges) > 0
        for edge in found.circuit.edges:
            assert edge.effect == found.effects.of(edge.sender, edge.receiver)
        for score, values in found.scores.items():
            assert torch.equal(values, tensors[f"scores.{score}"])
        assert (found.config.search, found.config.n_edges) == ("grow", 100)
        assert found.verification is not None
        assert found.verdict is not None
        assert found.cost.of("patching").flops > 0

    def test_it_is_saved_as_runs_are_now(self, name: str, tmp_path) -> None:
        found = Discovery.load(OLD / name)
        found.save(tmp_path)
        assert "effects.values" in load_file(tmp_path / "tensors.safetensors")
        assert Discovery.load(tmp_path) == found

    def test_it_has_a_report(self, name: str, tmp_path) -> None:
        page = write_report([OLD / name], tmp_path / "page.html").read_text()
        assert "small-greater-than on siit-greater-than-deep" in page
        for edge in Discovery.load(OLD / name).circuit.edges:
            assert str(edge.receiver) in page


def test_all_are_compared_in_one_report(tmp_path) -> None:
    page = write_report([OLD / name for name in RUNS], tmp_path / "page.html").read_text()
    assert f"{len(RUNS)} circuits compared" in page


def test_an_evaluation_is_read_and_comes_out_the_same(truth, finished) -> None:
    saved = SavedEvaluation.load(OLD / "finished")
    assert saved.is_of(finished.circuit)
    expected = json.loads((OLD / "finished" / "evaluation.json").read_text())["evaluation"]
    assert saved.evaluation.performance.value == expected["performance"]["value"]
    again = finished.evaluate(truth.model, truth.task, saved.config)
    assert again.performance.value == pytest.approx(saved.evaluation.performance.value, rel=1e-4)
    assert again.curves.keys() == saved.evaluation.curves.keys()
    for name, curve in again.curves.items():
        assert curve.cpr.value == pytest.approx(saved.evaluation.curves[name].cpr.value, abs=1e-4)


@pytest.mark.parametrize("name", ["grid", "study"])
def test_searches_are_read(name: str) -> None:
    record = SearchRecord.load(OLD / name)
    points = json.loads((OLD / name / f"{name}.json").read_text())["points"]
    assert [p.performance for p in record.points] == [point["performance"] for point in points]
    assert record.n_trials == (5 if name == "study" else None)
    (chosen,) = (p for p in record.points if p.chosen)
    assert chosen.heads == Discovery.load(OLD / name).circuit.heads


@pytest.fixture
def nothing_is_swept(monkeypatch) -> None:
    monkeypatch.setattr(type(SWEEP), "add", lambda *_, **__: pytest.fail("swept again"))


class TestResumed:
    """Verification has become stricter since: it runs paths that it left to their estimates."""

    @pytest.mark.usefixtures("nothing_is_swept")
    def test_what_is_whole_is_not_computed_again(self, truth, old, finished, anew) -> None:
        where = old / "finished"
        kept = exact_edges(where)
        again = run_discovery(truth.model, truth.task, finished.config, None, where, resume=True)
        assert again.circuit.connections == finished.circuit.connections
        assert close(again.effects, anew.effects)
        assert again.prunings == finished.prunings
        assert again.performance == pytest.approx(finished.performance, rel=1e-4)
        assert again.cost.of("pruning").flops == 0 < anew.cost.of("pruning").flops
        assert again.cost.of("patching").flops < anew.cost.of("patching").flops
        run = exact_edges(where)
        assert run[: len(kept)] == kept
        assert len(set(run)) == len(run) > len(kept) > 0

    def test_what_is_found_anew_is_the_same(self, finished, anew) -> None:
        assert anew.circuit.connections == finished.circuit.connections
        for edge in finished.circuit.edges:
            found = anew.effects.of(edge.sender, edge.receiver)
            assert found == pytest.approx(edge.effect, abs=1e-5)
        assert anew.verification.verified > finished.verification.verified
        assert anew.prunings.keys() == finished.prunings.keys()
        assert anew.candidates == finished.candidates

    def test_a_begun_sweep(self, truth, old, finished, anew) -> None:
        swept = old / "begun" / WORK_DIRECTORY / SWEPT_FILE
        begun = load_file(swept)["progress"].tolist()
        assert begun[1:] == [1, 1], "one batch of one prompt, of three"
        settings = (truth.model, truth.task, finished.config, None, old / "begun")
        again = run_discovery(*settings, resume=True)
        assert again.circuit.connections == finished.circuit.connections
        assert close(again.effects, anew.effects)
        assert again.cost.of("pruning").flops == 0
        assert 0 < flops_of_search(again) < flops_of_search(anew)
        kept = load_file(swept)
        assert kept.keys() == {"progress", "changes", "remainders"}
        assert kept["progress"].tolist()[1:] == [3, 1]
        last = run_discovery(*settings, resume=True)
        assert last.circuit == again.circuit
        assert last.cost.of("patching").flops == 0

    def test_begun_exact_effects(self, truth, old, finished) -> None:
        config = replace(finished.config, method="path-patching", engine="exact")
        alone = run_discovery(truth.model, truth.task, config)
        where = old / "begun-exact"
        again = run_discovery(truth.model, truth.task, config, None, where, resume=True)
        assert again.circuit.connections == alone.circuit.connections
        assert close(again.effects, alone.effects)
        written = OLD / "begun-exact" / WORK_DIRECTORY / EXACT_FILE
        first = json.loads(written.read_text().splitlines()[1])
        assert first["receiver"] == "logits"
        logits = again.effects.into(Receiver.logits()).tolist()
        assert logits == pytest.approx(first["effects"], rel=1e-6)
        assert 0 < again.cost.of("patching").flops < alone.cost.of("patching").flops

    def test_other_settings_are_refused_in_its_words(self, truth, old, finished) -> None:
        config = replace(finished.config, metric="prob_diff")
        with pytest.raises(ResumeError, match="but it has another metric"):
            run_discovery(truth.model, truth.task, config, None, old / "begun", resume=True)

    @pytest.mark.usefixtures("nothing_is_swept")
    def test_a_grid(self, truth, old) -> None:
        record, config = SearchRecord.load(OLD / "grid"), Discovery.load(OLD / "grid").config
        found = discover_grid(
            truth.model,
            truth.task,
            thresholds=(0.4, 1.0),
            min_effects=(0.0, 0.02),
            config=config,
            directory=old / "grid",
            resume=True,
        )
        for point, kept in zip(found.points, record.points, strict=True):
            assert point.selection == kept.rule
            assert point.circuit.heads == kept.heads
            assert len(point.circuit.edges) == kept.n_edges
            assert point.performance == pytest.approx(kept.performance, rel=1e-4)
        assert found.found.circuit == Discovery.load(OLD / "grid").circuit

    def test_a_study(self, truth, old, finished) -> None:
        record, kept = SearchRecord.load(OLD / "study"), Discovery.load(OLD / "study")
        found = discover_study(
            truth.model,
            truth.task,
            n_trials=5,
            config=finished.config,
            directory=old / "study",
            resume=True,
        )
        for stage in ("pruning", "patching", "verification"):
            assert found.cost.of(stage).flops == 0
        assert [p.circuit.heads for p in found.points] == [p.heads for p in record.points]
        assert [p.pruning for p in found.points] == [p.pruning for p in record.points]
        assert found.found.circuit == kept.circuit
        assert found.found.config == kept.config


def with_versions(directory: Path, versions: dict[str, str]) -> None:
    """Say of every run what computed it."""
    for path in directory.rglob("run.json"):
        record = json.loads(path.read_text())
        record["provenance"]["versions"] = versions
        path.write_text(json.dumps(record))


class TestSeeds:
    @pytest.fixture
    def settings(self, finished):
        return {"seeds": 2, "config": finished.config, "against": "path-patching", "resume": True}

    def test_runs_of_these_versions_are_not_run_again(
        self, truth, old, finished, anew, settings, monkeypatch
    ) -> None:
        with_versions(old / "seeds", anew.provenance.versions)
        monkeypatch.setattr(Pipeline, "__init__", lambda *_: pytest.fail("began a run"))
        study = discover_seeds(truth.model, truth.task, directory=old / "seeds", **settings)
        saved = json.loads((OLD / "seeds" / "seeds.json").read_text())
        again = json.loads(json.dumps(study.to_dict()))
        for name in ("seeds", "reported", "against", "figures", "head_counts", "outliers"):
            assert again[name] == saved[name], name
        assert again["runs"] == saved["runs"]

    @pytest.mark.usefixtures("nothing_is_swept")
    def test_those_of_others_are_run_again_and_nothing_is_swept(self, truth, old, settings) -> None:
        with_versions(old / "seeds", {"torch": "1.0"})
        study = discover_seeds(truth.model, truth.task, directory=old / "seeds", **settings)
        for run in study.runs:
            kept = Discovery.load(OLD / "seeds" / f"seed-{run.seed}")
            assert run.found.circuit == kept.circuit
            assert (
                run.against.circuit
                == Discovery.load(OLD / "seeds" / f"seed-{run.seed}" / "against").circuit
            )
            for found in (run.found, run.against):
                assert found.cost.of("behaviour").flops > 0
