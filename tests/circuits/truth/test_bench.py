from __future__ import annotations

import json

import pytest
import torch
from safetensors.torch import load_file

from circuits import Head, PruningRule, Receiver, SelectionRule
from circuits.components import Connection
from circuits.model.errors import ModelError
from circuits.model.native import NativeShape, native_model, native_module
from circuits.truth import CONTESTANTS, list_truths, load_truth, run_truth, save_truth, truth_record
from circuits.truth import bench as bench_module
from circuits.truth.bench import small_pruning, small_selection
from circuits.truth.ground import DATA
from tests.circuits.command_line import circuits, error_of

SMALL = "hand-induction"
FAST = tuple(contestant for contestant in CONTESTANTS if contestant.name in ("app", "flap"))


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    directory = tmp_path_factory.mktemp("truth")
    return directory, run_truth([SMALL], directory)


def test_path_patching_finds_the_hand_wired_circuit(rows) -> None:
    found = {row.method: row for row in rows[1]}
    assert list(found) == [contestant.name for contestant in CONTESTANTS]
    for method in ("app", "path-patching-exact"):
        row = found[method]
        assert row.precision == row.recall == row.auc == 1.0
        assert row.found == row.true_heads == truth_record(SMALL).heads
        assert row.performance == pytest.approx(100, abs=0.1)
    assert found["app"].candidates < 16 == found["path-patching-exact"].candidates
    # Distractors move as much as the circuit does: what prunes by activity keeps some.
    assert found["merged-flap"].precision < 1.0


def test_rows_are_json(rows) -> None:
    directory, found = rows
    saved = json.loads((directory / "truth.json").read_text())
    assert [row["method"] for row in saved] == [row.method for row in found]
    assert {"model", "method", "precision", "recall", "auc"} <= saved[0].keys()
    assert saved[0]["true_heads"] == [str(head) for head in sorted(found[0].true_heads)]


def test_goes_on_where_it_was_cut_off(rows, tmp_path, monkeypatch) -> None:
    done, discover = [], bench_module.discover

    def cut_off(truth, contestant, seed):
        if done:
            raise KeyboardInterrupt
        done.append(contestant.name)
        return discover(truth, contestant, seed)

    monkeypatch.setattr(bench_module, "discover", cut_off)
    with pytest.raises(KeyboardInterrupt):
        run_truth([SMALL], tmp_path, contestants=FAST)
    assert not (tmp_path / "truth.json").exists()

    def count(truth, contestant, seed):
        done.append(contestant.name)
        return discover(truth, contestant, seed)

    monkeypatch.setattr(bench_module, "discover", count)
    found = run_truth([SMALL], tmp_path, contestants=FAST)
    assert done == ["app", "flap"]
    assert found == [row for row in rows[1] if row.method in done]
    assert run_truth([SMALL], tmp_path, contestants=FAST) == found
    assert done == ["app", "flap"]


def test_another_seed_is_measured_anew(tmp_path, monkeypatch) -> None:
    seeds, discover = [], bench_module.discover

    def note(truth, contestant, seed):
        seeds.append(seed)
        return discover(truth, contestant, seed)

    monkeypatch.setattr(bench_module, "discover", note)
    for seed in (0, 1):
        run_truth([SMALL], tmp_path, contestants=FAST[1:], seed=seed)
    assert seeds == [0, 1]


def test_command(rows) -> None:
    directory, _ = rows
    result = circuits("bench", "truth", "--out", directory, "--model", SMALL)
    assert result.exit_code == 0
    assert "path-patching-swept" in result.stdout
    assert "true heads 0.6 1.6" in result.stdout
    as_json = circuits("bench", "truth", "--out", directory, "--model", SMALL, "--json")
    assert len(json.loads(as_json.stdout)) == len(CONTESTANTS)


def test_command_refuses_unknown_models(tmp_path) -> None:
    line = error_of("bench", "truth", "--out", tmp_path / "x", "--model", "hand", code=2)
    assert "no model 'hand'" in line
    assert SMALL in line
    assert not (tmp_path / "x").exists()


def test_thresholds_can_be_reached_by_a_few_senders() -> None:
    rule = small_selection(2, 4)
    for n_true in (1, 2, 3, 4):
        effects = torch.zeros(2, 4)
        effects[1, :n_true] = -0.5
        assert len(rule.select(effects, Receiver.logits())) == n_true
    assert SelectionRule().select(torch.eye(2, 4)[:1], Receiver(Head(1, 0), "q")) == ()
    assert rule.select(torch.eye(2, 4)[:1], Receiver(Head(1, 0), "q")) == (Head(0, 0),)


def test_in_large_models_the_published_thresholds_hold() -> None:
    published, rule = SelectionRule(), small_selection(30, 110)
    assert (rule.threshold, rule.logits_threshold) == (2.5, 2.0)
    assert rule.min_effect == published.min_effect


def test_pruning_tries_every_size() -> None:
    rule = small_pruning(16)
    assert isinstance(rule, PruningRule)
    kept = [round(16 * (1 - sparsity)) for sparsity in rule.sparsities]
    assert kept == list(range(16, 0, -1))


def test_saved_truth_is_loaded(tmp_path) -> None:
    truth = load_truth(SMALL)
    weights = {name: tensor * 2 for name, tensor in native_weights(truth).items()}
    save_truth(truth.record, weights, tmp_path)
    again = load_truth(SMALL, tmp_path)
    assert again.record == truth.record
    assert again.connections is not None
    assert Connection(Head(0, 6), Receiver(Head(1, 6), "k")) in again.connections
    assert again.circuit.heads == truth.heads
    tokens = torch.tensor([[0, 3, 4]])
    assert not torch.allclose(again.model(tokens), truth.model(tokens))
    assert list_truths(tmp_path) == (SMALL,)


def native_weights(truth):
    return load_file(DATA / f"{truth.name}.safetensors")


def test_native_models_refuse_what_does_not_fit() -> None:
    shape = NativeShape(1, 2, 8, 4, 3, 5)
    weights = native_module(shape).state_dict()
    with pytest.raises(ModelError, match="has 3 tokens, but 2 words"):
        native_model(shape, weights, ["a", "b"], "odd")
    weights.pop("head.weight")
    with pytest.raises(ModelError, match=r"do not fit its shape: .*head\.weight"):
        native_model(shape, weights, ["a", "b", "c"], "odd")
    with pytest.raises(ValueError, match="d_head must be at least 1, got 0"):
        NativeShape(1, 2, 8, 0, 3, 5)
