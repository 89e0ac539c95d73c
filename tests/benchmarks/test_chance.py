"""The benchmark of chance on toys: its controls, what it counts, and where it goes on."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from benchmarks import chance
from benchmarks.controls import Control, random_twin, with_equal_prompts, with_shuffled_answers
from circuits import PruningRule, Receiver
from circuits.discovery.config import DiscoveryConfig
from circuits.forward import Activations, LayeredModel, check_reproduces
from circuits.metrics import logit_diff
from circuits.model import identify, tokenizer_of
from circuits.patching import ESTIMATORS, edge_sums
from circuits.patching.plan import plan_work
from circuits.search import SelectionRule, selector_of
from circuits.statistics.significance import sign_flip_p_values
from circuits.tasks import PromptPairs
from tests.circuits.prompts import ragged_pairs

CONFIG = DiscoveryConfig(
    method="flap", n_prompts=10, n_mean_prompts=10, pruning=PruningRule("biggest", 0.2, 0.5, 0.1)
)
LOGITS = Receiver.logits()
LOW = SelectionRule(threshold=0.8, logits_threshold=1.0)
TESTED = SelectionRule(kind="significance", false_discovery_rate=0.1)


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
    first, again, other = (random_twin(str(tiny), seed) for seed in (1, 1, 2))
    hashes = [identify(bridge).weight_hash for bridge in (first, again, other)]
    assert hashes[0] == hashes[1] != hashes[2]
    check_reproduces(first)
    assert tokenizer_of(first)("of the store")["input_ids"]


def test_a_task_that_is_done_is_no_control(toy, monkeypatch) -> None:
    monkeypatch.setattr(chance, "RULES", {"threshold": LOW, "significance": TESTED})
    row = chance.measure(*toy, CONFIG, swept=True)
    assert row["verdict"] == "behaviour"
    assert row["n_heads"] == 12
    assert row["without_gate"]["false_heads"]["significance"] > 0
    assert row["without_gate"]["false_heads"]["threshold"] > 0


@pytest.mark.filterwarnings("ignore::circuits.behaviour.WeakTaskWarning")
def test_nothing_can_be_measured_where_nothing_is_corrupted(toy) -> None:
    control = Control(toy[1], with_equal_prompts)
    row = chance.measure(toy[0], control, CONFIG, swept=True)
    assert (row["verdict"], row["heads_with_gate"]) == ("no circuit", 0)
    assert row["without_gate"]["false_heads"] is None
    assert "clean minus corrupted metric is 0" in row["without_gate"]["refused"]


def test_a_rate_is_kept_where_the_null_hypothesis_is_exact(toy) -> None:
    """Swapped answers negate every change; coins let anything pass a tenth of the time at most.

    A threshold keeps what stands out, whatever the coins say.
    """
    bridge, task = toy
    model, pairs = LayeredModel.of(bridge), task.sample(tokenizer_of(bridge), n=10, seed=0)
    graph, sweep = model.graph(), ESTIMATORS.get("sweep")
    plan = plan_work(model, pairs, graph.heads)

    def changes(of: PromptPairs) -> torch.Tensor:
        activations = Activations(model, of, logit_diff)
        return edge_sums(activations, sweep, graph.heads, plan).changes.into(LOGITS)

    own, shuffled = changes(pairs), with_shuffled_answers(replace(pairs, seed=3))
    swapped = (shuffled.correct != pairs.correct).any(1)
    assert 0 < swapped.sum() < 10
    signs = 1 - 2 * swapped.float()
    torch.testing.assert_close(changes(shuffled), own * signs, rtol=1e-3, atol=1e-5)
    kept = {"threshold": 0, "significance": 0}
    draw = torch.Generator().manual_seed(0)
    for _ in range(200):
        coins = 1 - 2 * torch.randint(2, (10,), generator=draw).float()
        p_values = sign_flip_p_values(own * coins)
        effects = (own * coins).mean(-1)
        rules = {"threshold": LOW, "significance": replace(TESTED, min_effect=0.0)}
        for name, rule in rules.items():
            selector = selector_of(rule, graph, lambda *_, p=p_values: p)
            kept[name] += bool(selector.select(effects, LOGITS))
    assert 0 < kept["significance"] <= 30
    assert kept["threshold"] >= 140


def test_it_goes_on_where_it_was(toy, tmp_path, monkeypatch) -> None:
    measured: list[str] = []

    def measure(bridge, task, config, *, swept: bool):
        measured.append(f"{task.name} {config.seed}{' swept' * swept}")
        outside = {"false_heads": None, "refused": "nothing: to say"} if swept else None
        return {"verdict": "no circuit", "n_heads": 12, "without_gate": outside}

    monkeypatch.setattr(chance, "measure", measure)
    monkeypatch.setattr(chance, "load_model", lambda name: toy[0])
    monkeypatch.setattr(chance, "random_twin", lambda name, seed: toy[0])
    monkeypatch.setattr(chance, "get_task", lambda name: toy[1])
    out = tmp_path / "chance.json"
    few = {"n_prompts": 10, "task": ["toy"], "model": "toy", "out": out}
    chance.main(seeds=1, **few)
    assert measured == ["toy 0", "control 0", "control 0"]
    chance.main(seeds=2, **few)
    assert measured[3:] == ["toy 1", "control 1", "control 1"]
    chance.main(seeds=2, swept=["toy"], swept_seeds=1, **few)
    assert measured[6:] == ["toy 0 swept", "control 0 swept", "control 0 swept"]
    known = json.loads(out.read_text())
    assert len({chance.key_of(row) for row in known["rows"]}) == len(known["rows"]) == 6
    assert "| equal prompts | 2 of 2 | refused: nothing |" in chance.markdown(known)
    chance.main(seeds=1, **{**few, "n_prompts": 9})
    assert len(json.loads(out.read_text())["rows"]) == 3, "other prompts begin anew"


def test_shares_are_of_all_heads_and_over_seeds() -> None:
    row = {"case": "random weights", "verdict": "no circuit", "n_heads": 10}
    sizes = ({"threshold": heads, "significance": 0} for heads in (1, 3))
    rows = [
        {**row, "task": "t", "seed": seed, "without_gate": {"false_heads": s, "refused": None}}
        for seed, s in enumerate(sizes)
    ]
    rows.append({**row, "task": "u", "seed": 0, "without_gate": None})
    about = {"model": "m", "n_prompts": 16, "machine": {"torch": "2", "commit": "abc1234"}}
    text = chance.markdown({**about, "rows": rows})
    assert "| random weights | 3 of 3 | 20.0% ± 14.1% (2 of 2) | 0.0% ± 0.0% (0 of 2) |" in text
    assert "t, u, seeds 0 to 1 of each. False heads (t)" in text
    assert "equal prompts" not in text
