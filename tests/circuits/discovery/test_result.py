from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from circuits import Circuit, Discovery, Edge, EvaluationConfig, Head, Receiver
from circuits.evaluation import Evaluator, held_out_pairs
from circuits.model import tokenizer_of
from circuits.model.tokenizers import remember_tokenizer
from circuits.patching import EffectTable
from tests.circuits.conftest import ON_DISCOVERY, toy_discovery
from tests.circuits.families import tiny_model
from tests.circuits.prompts import ToyTask, word_tokenizer

FILES = ("circuit.json", "run.json", "tensors.safetensors")


@pytest.fixture
def saved(found, tmp_path: Path) -> Path:
    found.save(tmp_path / "runs" / "toy")
    return tmp_path / "runs" / "toy"


class TestRoundTrip:
    def test_equal(self, found, saved: Path) -> None:
        loaded = Discovery.load(saved)
        assert loaded == found
        assert loaded.circuit == found.circuit
        assert loaded.record == found.record
        assert loaded.candidates == found.candidates
        assert loaded.evaluator is None

    def test_files(self, saved: Path) -> None:
        assert sorted(path.name for path in saved.iterdir()) == sorted(FILES)

    def test_a_path_as_text(self, found, tmp_path: Path) -> None:
        found.save(str(tmp_path / "run"))
        assert Discovery.load(str(tmp_path / "run")) == found

    def test_saving_again_replaces(self, found, toy, saved: Path) -> None:
        other = toy_discovery(*toy, method="flap")
        other.save(saved)
        loaded = Discovery.load(saved)
        assert loaded == other != found
        assert loaded.effects is None

    @pytest.mark.parametrize("method", ["path-patching", "flap", "merged-flap"])
    def test_every_method(self, toy, method: str, tmp_path: Path) -> None:
        discovery = toy_discovery(*toy, method=method)
        discovery.save(tmp_path)
        assert Discovery.load(tmp_path) == discovery

    def test_circuit_json(self, found, saved: Path) -> None:
        data = json.loads((saved / "circuit.json").read_text())
        assert data["heads"] == [str(head) for head in sorted(found.circuit.heads)]
        assert {"sender", "receiver", "effect"} == data["edges"][0].keys()

    def test_figures_that_are_no_numbers(self, found, tmp_path: Path) -> None:
        """A metric can overflow in half precision; what was saved must still be read."""
        strange = replace(found, performance=float("inf"))
        strange.save(tmp_path)
        assert Discovery.load(tmp_path).performance == float("inf")


class TestVerdict:
    def test_no_circuit_comes_back(self, toy, tmp_path: Path) -> None:
        bridge, _ = toy
        nothing = toy_discovery(bridge, ToyTask(bridge, corrupts=False), n_prompts=8)
        nothing.save(tmp_path)
        loaded = Discovery.load(tmp_path)
        assert loaded == nothing
        assert loaded.verdict.refuses
        assert replace(loaded, performance=0.0) != nothing != replace(loaded, verdict=None)
        with pytest.raises(ValueError, match="no circuit to evaluate: corrupting the prompts"):
            loaded.evaluate(*toy)

    def test_runs_of_old_have_none(self, found, saved: Path) -> None:
        record = json.loads((saved / "run.json").read_text())
        assert record.pop("verdict")["kind"] == "no power"
        for name in ("chance_p_value", "corruption_p_value"):
            del record["behaviour"][name]
        del record["config"]["ignore_behaviour"]
        for name in ("kind", "false_discovery_rate"):
            del record["config"]["selection"][name]
        (saved / "run.json").write_text(json.dumps(record))
        loaded = Discovery.load(saved)
        assert loaded.verdict is None
        assert loaded.behaviour.chance_p_value is None
        assert loaded.config == found.config


class TestEquality:
    def test_of_tensors(self, found) -> None:
        changed = {name: tensor.clone() for name, tensor in found.effects.tensors().items()}
        changed["logits"][0, 0] += 1e-6
        assert replace(found, effects=EffectTable(**changed)) != found
        present = {name: tensor.nan_to_num(0.5) for name, tensor in found.effects.tensors().items()}
        assert replace(found, effects=EffectTable(**present)) != found
        assert replace(found, effects=EffectTable(**found.effects.tensors())) == found

    def test_of_the_rest(self, found) -> None:
        assert replace(found, performance=1.0) != found
        assert replace(found, effects=None) != found
        assert replace(found, scores={}) != found
        assert replace(found, circuit=Circuit.of_heads([], 3, 4)) != found
        assert replace(found, evaluator=None, task=None) == found
        assert found != "found"


class TestDamage:
    @pytest.mark.parametrize("name", FILES)
    def test_a_missing_file(self, saved: Path, name: str) -> None:
        (saved / name).unlink()
        with pytest.raises(FileNotFoundError, match=f"is no saved run: it lacks {name}"):
            Discovery.load(saved)

    def test_no_run_at_all(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError, match="no saved run"):
            Discovery.load(tmp_path / "nowhere")

    @pytest.mark.parametrize("name", FILES)
    @pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\xff", b"[]", b"null"])
    def test_a_damaged_file(self, saved: Path, name: str, content: bytes) -> None:
        (saved / name).write_bytes(content)
        with pytest.raises(ValueError, match="is damaged"):
            Discovery.load(saved)

    @pytest.mark.parametrize("name", FILES)
    def test_a_shortened_file(self, saved: Path, name: str) -> None:
        content = (saved / name).read_bytes()
        (saved / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(ValueError, match="is damaged"):
            Discovery.load(saved)

    def test_which_file_is_shortened_is_told(self, saved: Path) -> None:
        (saved / "run.json").write_text("{")
        with pytest.raises(ValueError, match=r"run\.json is no JSON"):
            Discovery.load(saved)

    def test_a_setting_that_is_none(self, saved: Path) -> None:
        record = json.loads((saved / "run.json").read_text())
        record["config"]["method"] = "magic"
        (saved / "run.json").write_text(json.dumps(record))
        with pytest.raises(ValueError, match="method"):
            Discovery.load(saved)

    @pytest.mark.parametrize("change", ["missing", "extra"])
    def test_tensors_of_another_kind(self, saved: Path, change: str) -> None:
        tensors = load_file(saved / "tensors.safetensors")
        if change == "missing":
            del tensors["effects.query"]
        else:
            tensors["effects.mlp"] = torch.ones(2)
        save_file(tensors, saved / "tensors.safetensors")
        with pytest.raises(ValueError, match="is damaged"):
            Discovery.load(saved)


@pytest.mark.parametrize("nth", [1, 2, 3])
class TestInterruption:
    @pytest.fixture
    def interrupted(self, monkeypatch, nth: int):
        """Ctrl-C while the nth file is written."""
        calls, chmod = [], Path.chmod

        def stop(path, mode):
            calls.append(path)
            if len(calls) == nth:
                raise KeyboardInterrupt
            chmod(path, mode)

        return lambda: monkeypatch.setattr(Path, "chmod", stop)

    def test_leaves_no_temporary_file(self, found, tmp_path: Path, interrupted) -> None:
        interrupted()
        with pytest.raises(KeyboardInterrupt):
            found.save(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} <= set(FILES)
        with pytest.raises(FileNotFoundError):
            Discovery.load(tmp_path)

    def test_never_mixes_two_runs(self, found, toy, saved: Path, interrupted) -> None:
        """What is read back over an older run is one of the two, or nothing."""
        other = toy_discovery(*toy, seed=1)
        interrupted()
        with pytest.raises(KeyboardInterrupt):
            other.save(saved)
        try:
            loaded = Discovery.load(saved)
        except (FileNotFoundError, ValueError):
            return
        assert loaded in (found, other)


class TestEvaluate:
    def test_a_fresh_discovery(self, found) -> None:
        figures = found.evaluate(config=ON_DISCOVERY)
        assert figures.performance.value == found.performance
        assert figures.sparsity == found.circuit.sparsity
        assert figures.minimality.keys() == found.circuit.heads
        assert figures.n_prompts == found.config.n_prompts
        assert figures.prompts == "discovery" and figures.gap is None

    def test_prompts_are_held_out_unless_told_otherwise(self, found, toy) -> None:
        config = EvaluationConfig(n_prompts=12, n_resamples=20)
        figures = found.evaluate(config=config)
        assert (figures.prompts, figures.n_prompts) == ("held-out", 12)
        assert figures.seed == found.config.seed + 1
        assert figures.gap.discovery.value == pytest.approx(found.performance)
        bridge, task = toy
        known = found.evaluator.pairs.clean_text
        fresh = held_out_pairs(task, tokenizer_of(bridge), 12, 1, known)
        expected = Evaluator(bridge, fresh).performance(found.circuit.heads)
        assert figures.performance.value == pytest.approx(expected, rel=1e-4)

    def test_held_out_from_the_very_seed_of_the_discovery(self, found, toy) -> None:
        """All of the discovery's prompts are drawn again, and left out."""
        same = replace(found, evaluator=None).evaluate(
            *toy, EvaluationConfig(n_prompts=6, seed=found.config.seed, n_resamples=20)
        )
        task, known = toy[1], found.evaluator.pairs.clean_text
        drawn = task.sample(tokenizer_of(toy[0]), n=14, seed=0)
        fresh = drawn[len(known) :]
        assert not set(fresh.clean_text) & set(known)
        expected = Evaluator(toy[0], fresh[:6], fresh).performance(found.circuit.heads)
        assert same.performance.value == pytest.approx(expected, rel=1e-4)

    def test_a_loaded_run_gives_the_same(self, found, toy, saved: Path) -> None:
        config, heard = EvaluationConfig(n_prompts=6, n_resamples=20), []
        figures = Discovery.load(saved).evaluate(*toy, config, heard.append)
        assert figures.to_dict() == found.evaluate(config=config).to_dict()
        assert heard == sorted(heard) and heard[-1] == pytest.approx(1)

    def test_scores_of_the_curve(self, found) -> None:
        config = replace(ON_DISCOVERY, score="attribution", rankings=("signed",))
        assert found.evaluate(config=config).curves["signed"].score == "attribution"
        assert found.evaluate(config=ON_DISCOVERY).curves["signed"].score == "path-effects"
        with pytest.raises(ValueError, match="scores path-effects, attribution;"):
            found.evaluate(config=replace(ON_DISCOVERY, score="magic"))

    def test_pruned_heads_alone_have_no_edge_level(self, toy) -> None:
        figures = toy_discovery(*toy, method="flap").evaluate(config=ON_DISCOVERY)
        assert figures.edge_level is None
        assert figures.curves["absolute"].score == "flap"

    def test_other_weights_are_refused(self, saved: Path, toy) -> None:
        other = tiny_model("gemma3", seed=1)
        remember_tokenizer(other, word_tokenizer())
        with pytest.raises(
            ValueError, match=r"discovered on tiny-gemma3 with weights [0-9a-f]{12}"
        ):
            Discovery.load(saved).evaluate(other, toy[1])

    def test_other_weights_are_refused_by_a_fresh_discovery(self, found, toy) -> None:
        other = tiny_model("gemma3", seed=1)
        remember_tokenizer(other, word_tokenizer())
        with pytest.raises(ValueError, match="load the same model"):
            found.evaluate(other, toy[1])

    def test_a_task_that_is_not_registered_must_be_given(self, saved: Path, toy) -> None:
        with pytest.raises(ValueError, match="unknown task 'toy'"):
            Discovery.load(saved).evaluate(toy[0])

    def test_another_copy_of_the_model(self, found, saved: Path, toy) -> None:
        twin = tiny_model("gemma3")
        remember_tokenizer(twin, word_tokenizer())
        figures = Discovery.load(saved).evaluate(twin, ToyTask(twin), ON_DISCOVERY)
        assert figures.performance.value == pytest.approx(found.performance, rel=1e-6)


def test_edges_with_and_without_heads_survive(found, tmp_path: Path) -> None:
    circuit = Circuit(
        frozenset({Head(0, 1), Head(2, 3)}),
        frozenset(
            {
                Edge(Head(0, 1), Receiver.parse("2.3.v"), 0.1 + 0.2),
                Edge(Head(2, 3), Receiver.logits(), -1 / 3),
            }
        ),
        3,
        4,
    )
    replace(found, circuit=circuit).save(tmp_path)
    assert Discovery.load(tmp_path).circuit == circuit
