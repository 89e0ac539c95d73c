"""What the hand-wired heads attend to, and that the shipped models are those that are made."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import load_file

from benchmarks.truth import hand
from benchmarks.truth.recipes import Maker
from benchmarks.truth.wiring import Match, Plan, Wire, build, one_hot
from circuits import Head
from circuits.forward import LayeredModel
from circuits.forward.passes import run_layers
from circuits.model import tokenizer_of
from circuits.model.native import native_model
from circuits.truth import list_truths, truth_record
from circuits.truth.ground import DATA

WIRED = [name for name in list_truths() if name.startswith("hand")]


@pytest.mark.parametrize("name", WIRED)
def test_shipped_is_what_is_made(name: str) -> None:
    record = truth_record(name)
    seed = int(record.made_by.rpartition(" ")[2])
    made, weights = Maker(name, seed).make()
    assert made == record
    shipped = load_file(DATA / f"{name}.safetensors")
    assert shipped.keys() == weights.keys()
    for key, tensor in weights.items():
        # Rotations come from LAPACK, which may round differently elsewhere.
        torch.testing.assert_close(shipped[key], tensor, rtol=1e-4, atol=1e-4)


def test_another_seed_makes_another_model() -> None:
    records, weights = zip(*(Maker("hand-ioi", seed).make() for seed in (1, 2)), strict=True)
    assert records[0].heads != records[1].heads
    assert not torch.equal(weights[0]["head.weight"], weights[1]["head.weight"])


def patterns(wired, prompt):
    """Attention from the last position of a prompt: [layer, head, position]."""
    shape, weights = build(wired.plan, 0)
    bridge = native_model(shape, weights, wired.task.words, "wired")
    model = LayeredModel.of(bridge)
    tokens = torch.tensor([tokenizer_of(bridge)(prompt)["input_ids"]])
    runs, _ = run_layers(model, tokens)
    positions = torch.arange(tokens.shape[1])
    allowed = model.layers[0].allowed(positions[None], tokens.shape[1])
    found = [
        layer.pattern(run.queries, run.keys, allowed)[0, :, 0]
        for layer, run in zip(model.layers, runs, strict=True)
    ]
    return torch.stack(found)


def test_roles_of_induction() -> None:
    wired = hand.induction(2, 4, seed=3)
    found = patterns(wired, "<start> c f a q t b a")
    previous, copying = sorted(wired.heads)
    for position in range(1, 8):
        assert found[0, previous.index, position, position - 1] > 0.999
    assert found[1, copying.index, 7, 4] > 0.999


def test_roles_of_ioi() -> None:
    wired = hand.ioi(3, 4, seed=3)
    found = patterns(wired, "<start> Eve and Kim then Eve gave to")
    duplicate, inhibition, mover = sorted(wired.heads)
    assert found[0, duplicate.index, 5, 1] > 0.999
    assert all(found[0, duplicate.index, position, 0] > 0.999 for position in (1, 2, 3, 4, 6, 7))
    assert found[1, inhibition.index, 7, 5] > 0.999
    assert found[2, mover.index, 7, 3] > 0.999


def test_distractors_are_busy() -> None:
    """They change with the prompt: inert are they only for the circuit."""
    wired = hand.ioi(3, 8, seed=0)
    shape, weights = build(wired.plan, 0)
    bridge = native_model(shape, weights, wired.task.words, "wired")
    pairs = wired.task.sample(tokenizer_of(bridge), n=8, seed=0)
    model = LayeredModel.of(bridge)
    clean, corrupted = (run_layers(model, side)[0] for side in (pairs.clean, pairs.corrupted))
    changes = torch.stack(
        [
            (layer.output.per_head(a.z - b.z, list(range(8)))).square().sum((1, 2, 3))
            for layer, a, b in zip(model.layers, clean, corrupted, strict=True)
        ]
    )
    busy = {Head(*place) for place in (changes > 1e-3).nonzero().tolist()}
    assert len(busy - wired.heads) >= 12


def test_plan_refuses_what_it_cannot_wire() -> None:
    spaces = {"position": 4, "token": 3, "answer": 2}
    tokens = {"token": one_hot(3, [0, 1, 2])}
    match = Match(1.0, "token", "token")

    def plan(wire):
        return Plan(spaces, tokens, "position", (wire,), "answer", 1.0)

    with pytest.raises(ValueError, match=r"head 0\.0 names .*'elsewhere'"):
        plan(Wire(Head(0, 0), (match,), "elsewhere", "answer"))
    with pytest.raises(ValueError, match="smaller subspace"):
        plan(Wire(Head(0, 0), (match,), "token", "answer"))
    with pytest.raises(ValueError, match="no subspace 'x'"):
        plan(Wire(Head(0, 0), (match,), "token", "token")).place("x")
