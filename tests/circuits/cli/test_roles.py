"""`circuits roles` on a tiny model that speaks SmolLM2's vocabulary."""

import json
from dataclasses import replace

import pytest

from circuits import Circuit, Discovery, load_model
from circuits.behaviour import Verdict
from circuits.cli import terminal
from circuits.model import tokenizer_of
from circuits.roles import name_heads, read_heads
from circuits.tasks import get_task
from tests.circuits.cli.command_line import FEW, LOW, circuits, error_of


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory):
    directory = tmp_path_factory.mktemp("runs") / "ioi"
    options = (*FEW, *LOW, "--seed", "3", "--out", directory)
    finished = circuits("discover", "ioi", "--model", tiny, *options)
    assert finished.exit_code == 0
    return directory


@pytest.fixture(scope="module")
def circuit_file(run):
    path = run.parent / "circuit.json"
    path.write_text(Discovery.load(run).circuit.to_json())
    return path


def printed(*arguments):
    return json.loads(circuits("roles", *arguments, "--json").stdout)


def test_a_run_is_read_on_its_own_prompts(run, tiny):
    found, told = Discovery.load(run), printed(run)
    assert (told["task"], told["n_prompts"], told["seed"]) == ("ioi", 4, 3)
    model = load_model(tiny)
    reading = read_heads(model, get_task("ioi").sample(tokenizer_of(model), n=4, seed=3))
    names = name_heads(reading, found.circuit)
    assert [one["head"] for one in told["heads"]] == [str(head) for head in names]
    for one, head in zip(told["heads"], names, strict=True):
        assert one["roles"] == list(names[head])
        for name, scores in reading.measures().items():
            score = float(scores[head.layer, head.index])
            assert one[name] == (None if score != score else pytest.approx(score, abs=1e-6))


def test_the_table(run, monkeypatch):
    monkeypatch.setattr(terminal.out, "width", 100)
    shown = circuits("roles", run, "--attention", "0.001", "--direct", "0.9")
    assert shown.exit_code == 0
    assert "4 prompts, seed 3" in shown.stdout
    assert "0% of attention, 90% of the difference" in shown.stdout
    assert "previous-token" in shown.stdout
    lines = [line.split() for line in shown.stdout.splitlines()]
    heads = {str(head) for head in Discovery.load(run).circuit.heads}
    assert heads == {words[0] for words in lines if words and words[0] in heads}
    assert "-0.00" not in shown.stdout


def test_a_circuit_alone_needs_a_task(circuit_file, tiny):
    error = error_of("roles", circuit_file, "--model", tiny, code=2)
    assert "does not say whose prompts to read: add --task" in error
    told = printed(circuit_file, "--task", "ioi", "--model", tiny, "--n-prompts", "2")
    assert (told["n_prompts"], told["seed"]) == (2, 0)


def test_what_cannot_be_read_is_one_line(run, circuit_file, tiny, tmp_path):
    assert "there is no run or file nothing here" in error_of("roles", "nothing", code=2)
    assert "attention must be above 0 and at most 1" in error_of(
        "roles", run, "--attention", "2", code=2
    )
    assert "unknown task 'io'" in error_of("roles", run, "--task", "io", code=2)
    error = error_of("roles", "ioi-smollm2-135m", "--model", tiny, code=1)
    assert "model of 30 x 9 heads, and the reading of one of 2 x 4" in error
    found = Discovery.load(run)
    refused = replace(
        found,
        circuit=Circuit.of_heads([], 2, 4),
        performance=float("nan"),
        verdict=Verdict("no circuit", "nothing shows"),
    )
    refused.save(tmp_path / "refused")
    error = error_of("roles", tmp_path / "refused", code=1)
    assert "has no circuit to read: nothing shows" in error


def test_other_weights_are_refused(run, tiny, tmp_path):
    found = Discovery.load(run)
    model = replace(found.provenance.model, weight_hash="0" * 32)
    replace(found, provenance=replace(found.provenance, model=model)).save(tmp_path / "run")
    assert "load the same model" in error_of("roles", tmp_path / "run", "--model", tiny, code=1)
