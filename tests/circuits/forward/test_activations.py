"""The prompts of a discovery: each is run once, whatever reads it and in whatever parts."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.ablation import MeanOutputs
from circuits.components import Receiver
from circuits.errors import InputError
from circuits.forward import Activations, LayeredModel, PairedActivations
from circuits.forward.activations import PROMPTS_TOGETHER, Batch
from circuits.forward.gradients import metric_gradients
from circuits.metrics import logit_diff, prob_diff
from circuits.patching import ESTIMATORS, EdgeValues, MeasuredEffects, edge_sums
from circuits.patching.plan import plan_work
from circuits.scores import SCORERS, ScoreSettings
from tests.circuits.conftest import shared_model
from tests.circuits.flops import flops
from tests.circuits.prompts import ragged_pairs

N_PROMPTS = PROMPTS_TOGETHER + 7


@lru_cache
def many() -> Activations:
    return Activations(LayeredModel.of(shared_model("llama")), ragged_pairs(N_PROMPTS), logit_diff)


@pytest.fixture
def n_run(monkeypatch):
    """How many prompts were run, clean and corrupted ones counted alike."""
    sizes: list[int] = []
    embed = LayeredModel.embed

    def counted(self, tokens):
        sizes.append(len(tokens))
        return embed(self, tokens)

    monkeypatch.setattr(LayeredModel, "embed", counted)
    return lambda: sum(sizes)


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


class TestBatches:
    def test_every_prompt_once_and_short_ones_first(self) -> None:
        batches = many().batches
        order = torch.cat([batch.prompts for batch in batches])
        assert sorted(order.tolist()) == list(range(N_PROMPTS))
        assert many().pairs.end[order].diff().ge(0).all()
        assert [len(batch.prompts) for batch in batches] == [PROMPTS_TOGETHER, 7]

    def test_a_batch_is_of_its_prompts(self) -> None:
        for batch in many().batches:
            expected = many().pairs[batch.prompts]
            assert torch.equal(batch.pairs.end, expected.end)
            assert torch.equal(batch.pairs.correct, expected.correct)

    @settings(deadline=None, max_examples=20)
    @given(st.integers(1, N_PROMPTS + 5))
    def test_parts_are_the_same_prompts_in_the_same_order(self, size: int) -> None:
        parts = list(many().split(size))
        assert all(len(part.prompts) <= size for part in parts)
        order = torch.cat([part.prompts for part in parts])
        assert torch.equal(order, torch.cat([batch.prompts for batch in many().batches]))
        for part in parts:
            assert torch.equal(part.pairs.end, many().pairs.end[part.prompts])
            close(part.paired.clean_metric, many().clean_metric[part.prompts])

    def test_there_is_a_prompt(self) -> None:
        with pytest.raises(InputError, match="at least one prompt pair, got none"):
            Activations(many().model, many().pairs[:0], logit_diff)


@pytest.mark.parametrize("metric", [logit_diff, prob_diff])
def test_metrics_stand_in_the_order_of_the_prompts(llama, metric) -> None:
    pairs = ragged_pairs(N_PROMPTS)
    activations = Activations(LayeredModel.of(llama), pairs, metric)
    for tokens, found in (
        (pairs.clean, activations.clean_metric),
        (pairs.corrupted, activations.corrupted_metric),
    ):
        with torch.no_grad():
            logits = llama(tokens)[torch.arange(N_PROMPTS), pairs.end]
        close(found, metric(logits, pairs))


@pytest.mark.parametrize("size", [1, 3, 5])
def test_a_part_is_as_if_run_alone(bridge, pairs, size: int) -> None:
    model = LayeredModel.of(bridge)
    for part in Activations(model, pairs, logit_diff).split(size):
        fresh = Batch(part.prompts, PairedActivations.of(model, pairs[part.prompts], logit_diff))
        assert part.tokens.position.tolist() == fresh.tokens.position.tolist()
        assert part.tokens.prompt.tolist() == fresh.tokens.prompt.tolist()
        close(part.paired.clean_metric, fresh.paired.clean_metric)
        close(part.paired.corrupted_metric, fresh.paired.corrupted_metric)
        for layer in range(model.n_layers):
            close(part.paired.clean[layer].z, fresh.paired.clean[layer].z)
            close(part.paired.clean[layer].keys, fresh.paired.clean[layer].keys)
            close(part.paired.corrupted_z[layer], fresh.paired.corrupted_z[layer])
            close(part.gradients[layer], fresh.gradients[layer])


class TestWork:
    def test_nothing_is_run_before_it_is_asked_for(self, llama, pairs, n_run) -> None:
        activations = Activations(LayeredModel.of(llama), pairs, logit_diff)
        assert activations.graph("nodes").n_edges > activations.graph().n_edges
        assert n_run() == 0

    def test_each_prompt_is_run_once_however_it_is_split(self, llama, n_run) -> None:
        activations = Activations(LayeredModel.of(llama), ragged_pairs(N_PROMPTS), logit_diff)
        assert len(activations.clean_metric) == len(activations.corrupted_metric) == N_PROMPTS
        assert n_run() == 2 * N_PROMPTS
        for size in (1, 5, N_PROMPTS):
            for part in activations.split(size):
                assert part.gradients
        assert n_run() == 2 * N_PROMPTS

    def test_every_stage_reads_the_same_run(self, llama, n_run) -> None:
        """Scores, the table of all edges, exact effects and the means of heads."""
        model, pairs = LayeredModel.of(llama), ragged_pairs(9)
        activations = Activations(model, pairs, logit_diff)
        graph = activations.graph()
        # Mask attribution runs the model with weights on its heads, which nothing else does.
        for name in set(SCORERS.names()) - {"mask-attribution", "eap-ig"}:
            SCORERS.get(name).score(activations, graph, ScoreSettings())
        plan = replace(plan_work(model, pairs, graph.heads), batch_size=4)
        edge_sums(activations, ESTIMATORS.get("sweep"), graph.heads, plan)
        known = EdgeValues.unknown(graph)
        measured = MeasuredEffects(activations, ESTIMATORS.get("exact"), known)
        assert not measured.into(Receiver.logits()).isnan().any()
        assert n_run() == 2 * len(pairs)
        more = ragged_pairs(12)
        MeanOutputs.of(model, more, known=activations)
        assert n_run() == 2 * len(pairs) + 3

    def test_gradients_are_taken_once_and_shared_by_whole_batches(self, llama, pairs) -> None:
        activations = Activations(LayeredModel.of(llama), pairs, logit_diff)
        (batch,) = activations.batches
        once = flops(lambda: metric_gradients(batch.paired, batch.tokens))
        assert flops(lambda: batch.gradients) == once > 0
        for size in (len(pairs), 100):
            (whole,) = activations.split(size)
            assert flops(lambda whole=whole: whole.gradients) == 0
            assert whole.gradients is batch.gradients

    @pytest.mark.parametrize("size", [1, 3])
    def test_parts_have_the_gradients_of_their_prompts_and_take_none_again(
        self, llama, size
    ) -> None:
        activations = Activations(LayeredModel.of(llama), ragged_pairs(7), logit_diff)
        once = flops(lambda: activations.batches[0].gradients)
        parts = list(activations.split(size))
        assert flops(lambda: [part.gradients for part in parts]) == 0 < once
        for part in parts:
            anew = metric_gradients(part.paired, part.tokens)
            assert len(part.gradients) == len(anew)
            for shared, own in zip(part.gradients, anew, strict=True):
                torch.testing.assert_close(shared, own)
