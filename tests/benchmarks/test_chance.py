"""The benchmark of chance on toys: its controls, what it counts, and where it goes on."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from benchmarks import chance
from benchmarks.controls import Control, random_twin, with_equal_prompts, with_shuffled_answers
from circuits.config import DiscoveryConfig
from circuits.metrics import logit_diff
from circuits.model import check_reproduces, identify, load_tokenizer, tokenizer_of
from circuits.model.tokenizers import remember_tokenizer
from circuits.search import SelectionRule
from tests.circuits.families import tiny_model
from tests.circuits.prompts import ToyTask, ragged_pairs, word_tokenizer

CONFIG = DiscoveryConfig(n_prompts=10, n_mean_prompts=10)


@pytest.fixture(scope="module")
def toy():
    bridge = tiny_model("gemma3")
    remember_tokenizer(bridge, word_tokenizer())
    return bridge, ToyTask(bridge)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    directory = tmp_path_factory.mktemp("tiny")
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=49152, **sizes, **heads)).save_pretrained(directory)
    load_tokenizer("smollm2-135m").save_pretrained(directory)
    return str(directory)


def test_coins_negate_the_metric_of_some_prompts() -> None:
    """Also where correct and wrong answers differ in number; padding stays padding."""
    pairs = ragged_pairs(40)
    logits = torch.randn(40, 101, generator=torch.Generator().manual_seed(0))
    signs = logit_diff(logits, with_shuffled_answers(pairs)) / logit_diff(logits, pairs)
    torch.testing.assert_close(signs.abs(), torch.ones(40))
    assert 10 < (signs < 0).sum() < 30
    other = logit_diff(logits, with_shuffled_answers(replace(pairs, seed=1)))
    assert not torch.equal(other, logit_diff(logits, with_shuffled_answers(pairs)))


def test_a_control_has_the_prompts_of_its_task(toy) -> None:
    tokenizer = tokenizer_of(toy[0])
    own = toy[1].sample(tokenizer, n=6, seed=2)
    equal = Control(toy[1], with_equal_prompts).sample(tokenizer, n=6, seed=2)
    assert torch.equal(equal.clean, own.clean)
    assert torch.equal(equal.corrupted, own.clean)
    few, many = (
        Control(toy[1], with_shuffled_answers).sample(tokenizer, n=n, seed=2) for n in (3, 6)
    )
    assert torch.equal(few.correct, many[:3].correct)


def test_twins_have_the_weights_of_their_seed(tiny) -> None:
    first, again, other = (random_twin(tiny, seed) for seed in (1, 1, 2))
    hashes = [identify(bridge).weight_hash for bridge in (first, again, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    check_reproduces(first)
    assert tokenizer_of(first)("of the store")["input_ids"]


def test_a_task_that_is_done_is_no_control(toy) -> None:
    row = chance.measure(*toy, CONFIG)
    assert row["verdict"] == "behaviour"
    assert row["n_heads"] == 12
    assert row["false_heads"]["significance"] > 0


def test_nothing_can_be_measured_where_nothing_is_corrupted(toy) -> None:
    row = chance.measure(toy[0], Control(toy[1], with_equal_prompts), CONFIG)
    assert (row["verdict"], row["heads_with_gate"]) == ("no circuit", 0)
    assert row["false_heads"] is None
    assert "clean minus corrupted metric is 0" in row["refused"]


@pytest.mark.filterwarnings("ignore::circuits.behaviour.WeakTaskWarning")
def test_a_rate_is_kept_where_the_null_hypothesis_is_exact(toy, monkeypatch) -> None:
    """Of 20 shufflings, about one may let anything pass; a threshold keeps what stands out."""
    low = SelectionRule(threshold=0.8, logits_threshold=1.0)
    monkeypatch.setitem(chance.RULES, "threshold", low)
    control, kept = Control(toy[1], with_shuffled_answers), {"threshold": 0, "significance": 0}
    for seed in range(20):
        found = chance.without_gate(toy[0], control, replace(CONFIG, seed=seed))["false_heads"]
        for rule, heads in found.items():
            kept[rule] += heads > 0
    assert kept["significance"] <= 3
    assert kept["threshold"] >= 15


@pytest.mark.filterwarnings("ignore::circuits.behaviour.WeakTaskWarning")
def test_it_goes_on_where_it_was(toy, tiny, tmp_path, monkeypatch) -> None:
    measured: list[str] = []

    def measure(bridge, task, config):
        measured.append(f"{task.name} {config.seed}")
        return chance_measure(bridge, task, config)

    chance_measure = chance.measure
    monkeypatch.setattr(chance, "measure", measure)
    monkeypatch.setattr(chance, "load_model", lambda name: toy[0])
    monkeypatch.setattr(chance, "random_twin", lambda name, seed: toy[0])
    monkeypatch.setattr(chance, "get_task", lambda name: toy[1])
    out, few = tmp_path / "chance.json", {"n_prompts": 10, "task": "toy", "model": "toy"}
    chance.main(seeds=1, out=out, **few)
    assert measured == ["toy 0", "control 0", "control 0"]
    chance.main(seeds=2, out=out, **few)
    assert measured[3:] == ["toy 1", "control 1", "control 1"]
    rows = json.loads(out.read_text())["rows"]
    assert [(row["case"], row["seed"]) for row in rows[:4]] == [
        *((case, 0) for case in chance.CASES),
        (chance.CASES[0], 1),
    ]
    text = chance.markdown(json.loads(out.read_text()))
    assert "| equal prompts | 2 | 2 of 2 | refused: clean minus corrupted metric is 0 |" in text
    chance.main(seeds=1, out=out, **{**few, "n_prompts": 9})
    assert len(json.loads(out.read_text())["rows"]) == 3, "other prompts begin anew"


def test_shares_are_of_all_heads_and_over_seeds() -> None:
    row = {"case": "random weights", "verdict": "no circuit", "n_heads": 10, "refused": None}
    rows = [
        {**row, "seed": seed, "false_heads": {"threshold": heads, "significance": 0}}
        for seed, heads in enumerate((1, 3))
    ]
    about = {"model": "m", "task": "t", "n_prompts": 16}
    machine = {"torch": "2", "commit": "abc1234"}
    text = chance.markdown({**about, "rows": rows, "machine": machine})
    assert "| random weights | 2 | 2 of 2 | 20.0% ± 14.1% (2 of 2) | 0.0% ± 0.0% (0 of 2) |" in text
    assert "equal prompts" not in text
