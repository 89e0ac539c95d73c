"""All measures of heads in one call."""

from __future__ import annotations

import pytest
import torch

from circuits import load_reference
from circuits.errors import InputError
from circuits.model import load_model, tokenizer_of
from circuits.roles import name_heads, read_heads
from circuits.tasks import get_task
from tests.circuits.families import N_HEADS, N_LAYERS


def test_every_measure_of_every_head(bridge, pairs):
    reading = read_heads(bridge, pairs)
    assert reading.shape == (N_LAYERS, N_HEADS)
    measures = reading.measures()
    assert list(measures) == [
        "previous_token",
        "duplicate_token",
        "induction",
        "to_correct",
        "to_wrong",
        "direct",
    ]
    assert all(scores.shape == (N_LAYERS, N_HEADS) for scores in measures.values())


def test_the_same_seed_gives_the_same_numbers(llama, pairs):
    first, again, other = (read_heads(llama, pairs, seed=seed) for seed in (0, 0, 1))
    assert first.repeats.induction.equal(again.repeats.induction)
    assert not first.repeats.induction.equal(other.repeats.induction)


def test_no_prompts(llama, pairs):
    with pytest.raises(InputError, match="at least one prompt"):
        read_heads(llama, pairs[:0])


@pytest.mark.real
def test_the_circuit_of_ioi_has_the_heads_of_the_paper():
    model = load_model("smollm2-135m")
    pairs = get_task("ioi").sample(tokenizer_of(model), n=16, seed=0)
    reading = read_heads(model, pairs)
    named = name_heads(reading, load_reference("ioi-smollm2-135m").circuit)
    kinds = {role for roles in named.values() for role in roles}
    assert kinds >= {"previous-token", "duplicate-token", "induction", "inhibition", "mover"}
    assert "negative mover" in kinds
    shares = reading.direct_share()
    movers = [head for head, roles in named.items() if "mover" in roles]
    assert sum(float(shares[head.layer, head.index]) for head in movers) > 0.2
    assert torch.isfinite(shares).all()
