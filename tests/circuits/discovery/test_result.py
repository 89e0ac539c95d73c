from __future__ import annotations

import json
import os
import pickle
import signal
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from xxhash import xxh3_128_hexdigest

from circuits import Circuit, Discovery, DiscoveryConfig, Edge, EvaluationConfig, Head, Receiver
from circuits.discovery.origin import sample_pairs
from circuits.errors import (
    FormatError,
    InputError,
    MismatchError,
    MissingRunError,
    ModelError,
    TaskError,
)
from circuits.evaluation import Evaluator, held_out_pairs
from circuits.model import tokenizer_of
from circuits.model.tokenizers import remember_tokenizer
from circuits.patching import EdgeValues
from circuits.runtime.settings import lenient_names
from tests.circuits.cli.command_line import wait_status
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

    def test_it_pickles(self, found) -> None:
        again = pickle.loads(pickle.dumps(found))
        assert again == found
        assert again.effects.graph == found.effects.graph

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
        with pytest.raises(InputError, match="no circuit to evaluate: corrupting the prompts"):
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
        graph, values = found.effects.graph, found.effects.values
        changed, sender = values.clone(), min(found.candidates)
        changed[graph.row(Receiver.logits()), graph.column(sender)] += 1e-6
        assert replace(found, effects=EdgeValues(graph, changed)) != found
        assert replace(found, effects=EdgeValues(graph, values.nan_to_num(0.5))) != found
        assert replace(found, effects=EdgeValues(graph, values.clone())) == found

    def test_of_the_rest(self, found) -> None:
        assert replace(found, performance=1.0) != found
        assert replace(found, effects=None) != found
        assert replace(found, scores={}) != found
        assert replace(found, circuit=Circuit.of_heads([], 3, 4)) != found
        assert found != "found"


def with_setting(saved: Path, name: str, value) -> None:
    record = json.loads((saved / "run.json").read_text())
    record["config"][name] = value
    (saved / "run.json").write_text(json.dumps(record))


def changed(config: DiscoveryConfig, name: str, value: str) -> DiscoveryConfig:
    with lenient_names():
        return replace(config, **{name: value})


class TestDamage:
    @pytest.mark.parametrize("name", FILES)
    def test_a_missing_file(self, saved: Path, name: str) -> None:
        (saved / name).unlink()
        with pytest.raises(MissingRunError, match=f"is no saved run: it lacks {name}"):
            Discovery.load(saved)

    def test_no_run_at_all(self, tmp_path: Path) -> None:
        with pytest.raises(MissingRunError, match="no saved run"):
            Discovery.load(tmp_path / "nowhere")

    @pytest.mark.parametrize("name", FILES)
    @pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\xff", b"[]", b"null"])
    def test_a_damaged_file(self, saved: Path, name: str, content: bytes) -> None:
        (saved / name).write_bytes(content)
        with pytest.raises(FormatError, match="is damaged"):
            Discovery.load(saved)

    @pytest.mark.parametrize("name", FILES)
    def test_a_shortened_file(self, saved: Path, name: str) -> None:
        content = (saved / name).read_bytes()
        (saved / name).write_bytes(content[: len(content) // 2])
        with pytest.raises(FormatError, match="is damaged"):
            Discovery.load(saved)

    def test_the_file_that_is_shortened_is_named(self, saved: Path) -> None:
        (saved / "run.json").write_text("{")
        with pytest.raises(FormatError, match=r"run\.json is no JSON"):
            Discovery.load(saved)

    @pytest.mark.parametrize(
        ("name", "value"),
        [("n_prompts", 0), ("contrast", "squared"), ("selection", {"kind": "vote"}), ("seed", "x")],
    )
    def test_a_setting_that_is_none(self, saved: Path, name: str, value) -> None:
        with_setting(saved, name, value)
        with pytest.raises(FormatError, match=f"is damaged.*{name}"):
            Discovery.load(saved)

    @pytest.mark.parametrize("name", ["method", "prune_by", "engine", "metric", "search"])
    def test_what_other_packages_may_bring_is_none(self, found, saved: Path, name: str) -> None:
        with_setting(saved, name, "magic")
        assert Discovery.load(saved).config == changed(found.config, name, "magic")

    @pytest.mark.parametrize(
        "change", ["missing", "old and missing", "old and smaller", "smaller", "flat"]
    )
    def test_tensors_of_another_kind(self, saved: Path, change: str) -> None:
        tensors = load_file(saved / "tensors.safetensors")
        if change == "missing":
            tensors["effects.other"] = tensors.pop("effects.values")
        elif change.startswith("old"):
            del tensors["effects.values"]
            names = ("query", "key", "value", "logits")[change == "old and missing" :]
            tensors |= {f"effects.{name}": torch.ones(2, 2, 2, 2) for name in names}
        elif change == "smaller":
            tensors["effects.values"] = tensors["effects.values"][:-1].clone()
        else:
            tensors["effects.values"] = torch.ones(2)
        save_file(tensors, saved / "tensors.safetensors")
        with pytest.raises(FormatError, match=r"is damaged: tensors\.safetensors is not the one"):
            Discovery.load(saved)
        record = json.loads((saved / "run.json").read_text())
        content = (saved / "tensors.safetensors").read_bytes()
        record["files"]["tensors.safetensors"] = xxh3_128_hexdigest(content)
        (saved / "run.json").write_text(json.dumps(record))
        with pytest.raises(FormatError, match=r"is damaged: its effects in .* of tiny-gemma3"):
            Discovery.load(saved)


@pytest.mark.parametrize("nth", [1, 2, 3, 4])
class TestInterruption:
    @pytest.fixture
    def interrupted(self, monkeypatch, nth: int):
        """Ctrl-C before the nth file is on the disk: three of the run, and the plan."""
        calls, fsync = [], os.fsync

        def stop(descriptor):
            calls.append(descriptor)
            if len(calls) == nth:
                raise KeyboardInterrupt
            fsync(descriptor)

        return lambda: monkeypatch.setattr(os, "fsync", stop)

    def test_leaves_no_temporary_file(self, found, tmp_path: Path, interrupted) -> None:
        interrupted()
        with pytest.raises(KeyboardInterrupt):
            found.save(tmp_path)
        assert {path.name for path in tmp_path.iterdir()} <= set(FILES)
        with pytest.raises(MissingRunError):
            Discovery.load(tmp_path)

    def test_never_mixes_two_runs(self, found, toy, saved: Path, interrupted) -> None:
        """What is read back over an older run is that."""
        other = replace(found, performance=1.0)
        interrupted()
        with pytest.raises(KeyboardInterrupt):
            other.save(saved)
        assert Discovery.load(saved) == found

    def test_killed_while_it_is_replaced_one_of_the_two_is_there(
        self, found, saved: Path, monkeypatch, nth: int
    ) -> None:
        """Before the first file has its name, it is the old one; from then on the new one."""
        other, calls, into_place = replace(found, performance=1.0), [], Path.replace

        def killed(path, target):
            calls.append(target)
            if len(calls) == nth:
                os.kill(os.getpid(), signal.SIGKILL)
            into_place(path, target)

        def cut_off() -> None:
            monkeypatch.setattr(Path, "replace", killed)
            other.save(saved)

        assert os.WIFSIGNALED(wait_status(cut_off))
        assert Discovery.load(saved) == (found if nth == 1 else other)
        other.save(saved)
        assert Discovery.load(saved) == other


def discovered_on(found: Discovery, toy):
    bridge, task = toy
    return sample_pairs(bridge, task, found.config)[0]


class TestEvaluate:
    def test_a_fresh_discovery(self, found) -> None:
        figures = found.evaluate(config=ON_DISCOVERY)
        assert figures.performance.value == pytest.approx(found.performance, rel=1e-6)
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
        known = discovered_on(found, toy).clean_text
        fresh = held_out_pairs(task, tokenizer_of(bridge), 12, 1, known)
        expected = Evaluator(bridge, fresh).performance(found.circuit.heads)
        assert figures.performance.value == pytest.approx(expected, rel=1e-4)

    def test_held_out_from_the_very_seed_of_the_discovery(self, found, toy) -> None:
        """All of the discovery's prompts are drawn again, and left out."""
        same = found.evaluate(
            *toy, EvaluationConfig(n_prompts=6, seed=found.config.seed, n_resamples=20)
        )
        task, known = toy[1], discovered_on(found, toy).clean_text
        drawn = task.sample(tokenizer_of(toy[0]), n=14, seed=0)
        fresh = drawn[len(known) :]
        assert not set(fresh.clean_text) & set(known)
        expected = Evaluator(toy[0], fresh[:6], fresh).performance(found.circuit.heads)
        assert same.performance.value == pytest.approx(expected, rel=1e-4)

    def test_a_loaded_run_gives_the_same(self, found, toy, saved: Path) -> None:
        config, heard = EvaluationConfig(n_prompts=6, n_resamples=20), []
        loaded = Discovery.load(saved)
        figures = loaded.evaluate(*toy, config, lambda *step: heard.append(step))
        assert figures.to_dict() == found.evaluate(config=config).to_dict()
        fractions = [fraction for stage, fraction in heard if stage == "evaluation"]
        assert fractions == sorted(fractions) and fractions[-1] == pytest.approx(1)
        assert len(fractions) == len(heard)

    def test_scores_of_the_curve(self, found) -> None:
        config = replace(ON_DISCOVERY, score="attribution", rankings=("signed",))
        assert found.evaluate(config=config).curves["signed"].score == "attribution"
        assert found.evaluate(config=ON_DISCOVERY).curves["signed"].score == "path-effects"
        with pytest.raises(InputError, match="scores path-effects, attribution;"):
            found.evaluate(config=replace(ON_DISCOVERY, score="magic"))

    def test_pruned_heads_alone_have_no_edge_level(self, toy) -> None:
        figures = toy_discovery(*toy, method="flap").evaluate(config=ON_DISCOVERY)
        assert figures.edge_level is None
        assert figures.curves["absolute"].score == "flap"

    def test_other_weights_are_refused(self, saved: Path, toy) -> None:
        other = tiny_model("gemma3", seed=1)
        remember_tokenizer(other, word_tokenizer())
        with pytest.raises(
            MismatchError, match=r"discovered on tiny-gemma3 with weights [0-9a-f]{12}"
        ):
            Discovery.load(saved).evaluate(other, toy[1])

    def test_other_weights_are_refused_by_a_fresh_discovery(self, found, toy) -> None:
        other = tiny_model("gemma3", seed=1)
        remember_tokenizer(other, word_tokenizer())
        with pytest.raises(MismatchError, match="load the same model"):
            found.evaluate(other, toy[1])

    def test_model_and_task_in_use_are_found_again(self, found, saved: Path) -> None:
        """Neither is one that could be loaded by its name."""
        figures = Discovery.load(saved).evaluate(config=ON_DISCOVERY)
        assert figures.performance.value == pytest.approx(found.performance, rel=1e-6)

    def test_what_is_not_in_use_and_has_no_name_must_be_given(self, found, toy) -> None:
        source = found.provenance
        stranger = replace(found, provenance=replace(source, task="other"))
        with pytest.raises(TaskError, match=r"unknown task 'other'.*; or pass the task itself"):
            stranger.evaluate(toy[0])
        model = replace(source.model, name="nowhere/at-all", weight_hash="0" * 32)
        stranger = replace(found, provenance=replace(source, model=model))
        with pytest.raises(ModelError, match="nowhere"):
            stranger.evaluate(task=toy[1])

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
