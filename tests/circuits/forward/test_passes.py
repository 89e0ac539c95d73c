"""Forward passes of prompts and of pairs, against the model's own and against each other."""

from __future__ import annotations

from dataclasses import fields

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from circuits.forward import LayerActivations, LayeredModel, PairedActivations
from circuits.forward.passes import at_end, head_outputs, run_layers
from circuits.forward.prompts import trim
from circuits.metrics import logit_diff
from tests.circuits.conftest import shared_model
from tests.circuits.families import FAMILIES, N_LAYERS
from tests.circuits.prompts import ragged_pairs


def close(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def same_layers(
    found: tuple[LayerActivations, ...], expected: tuple[LayerActivations, ...]
) -> None:
    for one, other in zip(found, expected, strict=True):
        for part in fields(LayerActivations):
            close(getattr(one, part.name), getattr(other, part.name))


def flops(work) -> int:
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        work()
    return counter.get_total_flops()


class TestPairs:
    def test_metrics_are_the_models_own(self, bridge, layered, pairs) -> None:
        run = PairedActivations.of(layered, pairs, logit_diff)
        for tokens, found in (
            (pairs.clean, run.clean_metric),
            (pairs.corrupted, run.corrupted_metric),
        ):
            with torch.no_grad():
                expected = logit_diff(at_end(bridge(tokens), pairs), pairs)
            close(found, expected)
        assert not run.clean_metric.requires_grad

    def test_activations_are_those_of_both_prompts(self, layered, pairs) -> None:
        run = PairedActivations.of(layered, pairs, logit_diff)
        with torch.no_grad():
            clean, corrupted = (run_layers(layered, t)[0] for t in (pairs.clean, pairs.corrupted))
        same_layers(run.clean, clean)
        for found, expected in zip(run.corrupted_z, corrupted, strict=True):
            close(found, expected.z)

    @pytest.mark.parametrize("rows", [[0], [1, 2], [4, 2], [3, 0, 1]])
    def test_some_prompts_are_as_if_run_alone(self, layered, pairs, rows: list[int]) -> None:
        """Of other lengths than all: what lies behind the last answer is gone there."""
        chosen = torch.tensor(rows)
        found = PairedActivations.of(layered, pairs, logit_diff).select(chosen)
        fresh = PairedActivations.of(layered, pairs[chosen], logit_diff)
        same_layers(found.clean, fresh.clean)
        for name in ("corrupted_z", "clean_metric", "corrupted_metric"):
            for one, other in zip(getattr(found, name), getattr(fresh, name), strict=True):
                close(one, other)
        assert torch.equal(found.pairs.clean, fresh.pairs.clean)
        assert torch.equal(found.pairs.corrupted, fresh.pairs.corrupted)
        assert torch.equal(found.pairs.correct, fresh.pairs.correct)

    def test_choosing_runs_nothing(self, llama, pairs) -> None:
        run = PairedActivations.of(LayeredModel.of(llama), pairs, logit_diff)
        assert flops(lambda: run.select(torch.tensor([1, 2]))) == 0
        assert run.select(torch.arange(len(pairs))) is run

    def test_padding_behind_every_answer_is_dropped(self) -> None:
        pairs = ragged_pairs(6)
        short = pairs[pairs.end < 8]
        trimmed = trim(short)
        assert trimmed.clean.shape == trimmed.corrupted.shape == (4, 8)
        assert torch.equal(trimmed.clean, short.clean[:, :8])
        assert torch.equal(trimmed.end, short.end)

    def test_at_end(self) -> None:
        pairs = ragged_pairs(4)
        x = torch.randn(4, 9, 2)
        expected = torch.stack([x[row, int(end)] for row, end in enumerate(pairs.end)])
        assert torch.equal(at_end(x, pairs), expected)


class TestFinalStream:
    def test_where_answers_are_read_it_is_that_of_all_positions(self, layered, pairs) -> None:
        with torch.no_grad():
            records, everywhere = run_layers(layered, pairs.clean)
            same, at_answers = run_layers(layered, pairs.clean, pairs)
        assert at_answers.shape == (len(pairs), layered.d_model)
        close(at_answers, at_end(everywhere, pairs))
        same_layers(same, records)

    @pytest.mark.parametrize("family", FAMILIES)
    def test_nothing_else_is_computed_of_it(self, family: str) -> None:
        """Of the last layer the output projection and the MLP, at one position of nine."""
        model, pairs = LayeredModel.of(shared_model(family)), ragged_pairs()
        model.embed(pairs.clean)
        whole = flops(lambda: run_layers(model, pairs.clean))
        at_answers = flops(lambda: run_layers(model, pairs.clean, pairs))
        last = model.layers[-1]
        x = torch.zeros(*pairs.clean.shape, model.d_model)
        z = torch.zeros(*pairs.clean.shape, model.n_heads, last.output.weight.shape[1])
        finishing = flops(lambda: last.finish(x, last.attention_output(z)))
        assert whole - at_answers == finishing * 8 // 9 > 0


class TestHeadOutputs:
    def test_are_those_of_every_layer(self, layered, pairs) -> None:
        with torch.no_grad():
            records, _ = run_layers(layered, pairs.corrupted)
            found = list(head_outputs(layered, pairs.corrupted))
        assert len(found) == N_LAYERS
        for z, record in zip(found, records, strict=True):
            close(z, record.z)

    def test_layers_that_are_not_asked_for_are_not_run(self, llama, pairs) -> None:
        model = LayeredModel.of(llama)
        model.embed(pairs.clean)

        def first(n_layers: int) -> int:
            outputs = head_outputs(model, pairs.clean)
            return flops(lambda: [next(outputs) for _ in range(n_layers)])

        costs = [first(n) for n in range(N_LAYERS + 1)]
        assert costs[0] == 0
        assert costs[2] - costs[1] == costs[3] - costs[2] > costs[1]
        assert costs[3] < flops(lambda: run_layers(model, pairs.clean))
