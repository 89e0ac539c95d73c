"""NaN and infinity are refused wherever numbers come from a model."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge

from circuits import Discovery, discover_circuit, discover_seeds
from circuits.ablation import edge_ablated_metric
from circuits.behaviour import Behaviour, measure_behaviour
from circuits.components import Head, Receiver
from circuits.discovery.config import DiscoveryConfig
from circuits.errors import NonFiniteError
from circuits.evaluation import Evaluator
from circuits.forward import Activations, LayeredModel, check_reproduces
from circuits.graph import ModelGraph
from circuits.metrics import logit_diff
from circuits.model import attention_patterns
from circuits.model.tokenizers import remember_tokenizer
from circuits.patching import ESTIMATORS, EdgeSums, effect_table, path_effects
from circuits.roles import read_heads
from circuits.scores import SCORERS, attribution_scores, head_scores, input_gradient_scores
from circuits.scores.scorer import Scorer
from tests.circuits.families import tiny_model
from tests.circuits.prompts import ToyTask, ragged_pairs, word_tokenizer

TOO_LARGE = 2
"""The token that float16 cannot hold behind layer 1; the check of a model reads others."""
FEW = DiscoveryConfig(method="app", n_prompts=4, n_mean_prompts=4)


@pytest.fixture(scope="module")
def overflowing() -> TransformerBridge:
    """A model in float16 that overflows on prompts with one token, and on no others."""
    bridge = tiny_model("llama")
    with torch.no_grad():
        bridge.embed.original_component.weight[TOO_LARGE] = 6e4
        bridge.blocks[1].mlp.original_component.down_proj.weight.mul_(2000)
    remember_tokenizer(bridge, word_tokenizer())
    return bridge.to(torch.float16, print_details=False)


@pytest.fixture(scope="module")
def some_bad():
    """Five pairs, two of which hold the token: one in the clean prompt, one in the corrupted."""
    pairs = ragged_pairs(5)
    clean, corrupted = (
        tokens.masked_fill(tokens == TOO_LARGE, TOO_LARGE + 1)
        for tokens in (pairs.clean, pairs.corrupted)
    )
    # Both behind where the pairs differ first.
    clean[1, 5], corrupted[3, 5] = TOO_LARGE, TOO_LARGE
    return replace(pairs, clean=clean, corrupted=corrupted)


def test_prompts_layer_and_a_way_out_are_named(overflowing, some_bad) -> None:
    with pytest.raises(
        NonFiniteError,
        match=r"the largest logit is NaN or infinite on 2 of 5 prompts, .*, in float16, is in "
        r"layer 1; load the model in float32 or bfloat16",
    ):
        measure_behaviour(overflowing, some_bad)
    others = torch.tensor([0, 2, 4])
    assert measure_behaviour(overflowing, some_bad[others]).n_prompts == 3


@pytest.mark.parametrize(
    "compute",
    {
        "path effects": lambda model, pairs: path_effects(model, pairs, Receiver.logits()),
        "by the definition": lambda model, pairs: path_effects(
            model, pairs, Receiver.logits(), engine="reference"
        ),
        "effect table": effect_table,
        "scores": head_scores,
        "attribution": lambda model, pairs: attribution_scores(Activations(model, pairs)),
        "gradients": lambda model, pairs: input_gradient_scores(Activations(model, pairs)),
        "evaluator": Evaluator,
        "edges": lambda model, pairs: edge_ablated_metric(
            LayeredModel.of(model), pairs, (), logit_diff
        ),
    }.values(),
)
def test_nothing_is_computed_of_them(overflowing, some_bad, compute) -> None:
    with pytest.raises(NonFiniteError, match=r"on \d of \d prompts.* is in layer 1; load"):
        compute(overflowing, some_bad)


class AlwaysBad(ToyTask):
    """The toy's prompts with one token in all of them."""

    def draw(self, rng, variant, words):
        pair = super().draw(rng, variant, words)
        first, rest = f"w{TOO_LARGE}", pair.clean.partition(" ")[2]
        return replace(
            pair, clean=f"{first} {rest}", corrupted=f"{first} {pair.corrupted.partition(' ')[2]}"
        )


@pytest.mark.parametrize(
    "search",
    [
        lambda model, task: discover_circuit(model, task, method="app", n_prompts=4),
        lambda model, task: discover_seeds(model, task, seeds=2, config=FEW),
    ],
)
def test_no_search_tells_them_as_no_circuit(overflowing, toy, search) -> None:
    with pytest.raises(NonFiniteError, match="on 4 of 4 prompts"):
        search(overflowing, AlwaysBad(toy[0]))


def test_attention_to_no_number(overflowing) -> None:
    with pytest.raises(NonFiniteError, match=r"an attention pattern .* is in layer 1"):
        attention_patterns(overflowing, f"w1 w{TOO_LARGE} w2", ["2.0"])


def test_damaged_weights_are_named(some_bad) -> None:
    bridge = tiny_model("llama")
    with torch.no_grad():
        bridge.blocks[1].attn.v.original_component.weight[0, 0] = torch.nan
    for compute in (check_reproduces, lambda bridge: read_heads(bridge, some_bad)):
        with pytest.raises(
            NonFiniteError, match=r"in float32, is in layer 1; 1 of its weights .*\.1\..* for one"
        ):
            compute(bridge)


def test_a_metric_of_ones_own(llama, some_bad) -> None:
    def ratio(logits, pairs):
        return logit_diff(logits, pairs) / (pairs.end - 7)

    with pytest.raises(
        NonFiniteError,
        match=r"the metric .* on 2 of 5 prompts.* has no such number; .* metric of your own",
    ):
        measure_behaviour(llama, some_bad, ratio)


def test_a_behaviour_of_no_numbers() -> None:
    with pytest.raises(NonFiniteError, match=r"no verdict .*clean nan, corrupted 0\.5"):
        Behaviour(16, 1.0, 1.0, float("nan"), 0.5)


def test_estimates_that_are_no_numbers() -> None:
    graph, edge = ModelGraph(3, 4, 2), ([Receiver.logits()], [Head(0, 0)])
    sums = EdgeSums(graph, 2, 2)
    changes, remainders = torch.tensor([[[1.0], [2.0]]]), torch.tensor([[[torch.nan], [0.0]]])
    sums.add(*edge, changes, remainders)
    sums.finish_batch(torch.arange(2), torch.ones(2), torch.zeros(2))
    assert sums.remainders is not None
    assert sums.remainders.into(Receiver.logits())[0].tolist() == [torch.inf, 0.0]
    sums = EdgeSums(graph, 2, 2)
    sums.add(*edge, changes * torch.tensor([[[1.0], [torch.inf]]]))
    with pytest.raises(NonFiniteError, match=r"an effect .* on 1 of 2 prompts"):
        sums.finish_batch(torch.arange(2), torch.ones(2), torch.zeros(2))
    assert ESTIMATORS.get("sweep").has_remainders


def test_a_score_of_ones_own(toy) -> None:
    def score(activations, settings):
        scores = attribution_scores(activations)
        scores[1, 2] = torch.inf
        return scores

    with (
        SCORERS.with_entry(Scorer("mine", "infinite", score)),
        pytest.raises(NonFiniteError, match=r"mine scores 1 of 12 heads .*first is 1\.2"),
    ):
        discover_circuit(*toy, method="mine", n_prompts=4, n_mean_prompts=4)


def test_a_saved_run_that_rests_on_them(found, tmp_path) -> None:
    found.save(tmp_path)
    record = json.loads((tmp_path / "run.json").read_text())
    record["behaviour"]["corrupted_metric"] = float("inf")
    (tmp_path / "run.json").write_text(json.dumps(record))
    with pytest.raises(NonFiniteError, match=r"no verdict .*corrupted inf"):
        Discovery.load(tmp_path)
