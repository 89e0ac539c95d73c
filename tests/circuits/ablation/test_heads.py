"""Mean ablation against hooks on the bridge that put in means taken by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from circuits.ablation import (
    CorruptedOutputs,
    MeanOutputs,
    ZeroOutputs,
    ablated_metric,
    kept_mask,
)
from circuits.components import Head, all_heads
from circuits.errors import InputError, MismatchError
from circuits.forward import Activations, LayeredModel
from circuits.forward.passes import at_end
from circuits.metrics import logit_diff, prob_diff
from tests.circuits.conftest import shared_model
from tests.circuits.families import FAMILIES, N_HEADS, N_LAYERS, tiny_model
from tests.circuits.patching.slow_twin import run as record
from tests.circuits.progress import written_down
from tests.circuits.prompts import ragged_pairs

EVERYTHING = frozenset(all_heads(N_LAYERS, N_HEADS))
SOME = frozenset({Head(0, 1), Head(1, 3), Head(2, 0), Head(2, 2)})
NAMES = [f"blocks.{layer}.attn.hook_z" for layer in range(N_LAYERS)]


def means_by_hand(bridge, pairs) -> dict[int, dict[str, torch.Tensor]]:
    """For each template: mean head outputs of its corrupted prompts."""
    kept = record(bridge, pairs.corrupted, NAMES)
    return {
        template: {name: kept[name][pairs.template == template].mean(0) for name in NAMES}
        for template in pairs.template.tolist()
    }


def metric_by_hand(bridge, pairs, means, heads, metric) -> torch.Tensor:
    """One prompt at a time, without its padding."""
    values = []
    for row in range(len(pairs)):
        one = pairs[row : row + 1]
        length = int(one.end) + 1
        mean = means[int(one.template)]

        def put(value, hook, layer, mean=mean, length=length):
            value = value.clone()
            for index in range(N_HEADS):
                if Head(layer, index) not in heads:
                    value[:, :, index] = mean[NAMES[layer]][:length, index]
            return value

        hooks = [
            (name, lambda value, hook, layer=layer, put=put: put(value, hook, layer))
            for layer, name in enumerate(NAMES)
        ]
        with torch.no_grad():
            logits = bridge.run_with_hooks(one.clean[:, :length], fwd_hooks=hooks)
        values.append(metric(at_end(logits, one), one))
    return torch.cat(values)


@pytest.mark.parametrize("family", FAMILIES)
def test_equals_hooks_on_the_bridge(family: str) -> None:
    bridge, pairs, larger = shared_model(family), ragged_pairs(4), ragged_pairs(9)
    model = LayeredModel.of(bridge)
    by_hand = means_by_hand(bridge, larger)
    circuits = [SOME, frozenset(), EVERYTHING - SOME, EVERYTHING]
    found = ablated_metric(model, pairs, MeanOutputs.of(model, larger), circuits, logit_diff)
    for heads, metrics in zip(circuits, found, strict=True):
        expected = metric_by_hand(bridge, pairs, by_hand, heads, logit_diff)
        torch.testing.assert_close(metrics, expected, rtol=1e-4, atol=1e-4)


def head_outputs(kind: str, model, pairs):
    """What replaces heads, and the same by hand for each prompt: `[prompt pos head d_head]`."""
    if kind == "zero":
        kept = record(model.bridge, pairs.clean, NAMES)
        return ZeroOutputs(model), {name: torch.zeros_like(kept[name]) for name in NAMES}
    return CorruptedOutputs.of(model, pairs), record(model.bridge, pairs.corrupted, NAMES)


@pytest.mark.parametrize("kind", ["zero", "resample"])
@pytest.mark.parametrize("family", FAMILIES)
def test_other_ablations_equal_hooks_on_the_bridge(family: str, kind: str) -> None:
    bridge, pairs = shared_model(family), ragged_pairs(4)
    model = LayeredModel.of(bridge)
    replaced, by_hand = head_outputs(kind, model, pairs)
    circuits = [SOME, frozenset(), EVERYTHING - SOME, frozenset({Head(0, 0), Head(2, 1)})]
    found = ablated_metric(model, pairs, replaced, circuits, logit_diff)
    for heads, metrics in zip(circuits, found, strict=True):
        for row, metric in enumerate(metrics):
            one = pairs[row : row + 1]
            means = {int(one.template): {name: z[row] for name, z in by_hand.items()}}
            expected = metric_by_hand(bridge, one, means, heads, logit_diff)[0]
            torch.testing.assert_close(metric, expected, rtol=1e-4, atol=1e-4)


def test_all_heads_kept_is_the_model_itself(bridge, layered, pairs) -> None:
    found = ablated_metric(layered, pairs, MeanOutputs.of(layered, pairs), [EVERYTHING], logit_diff)
    with torch.no_grad():
        own = logit_diff(at_end(bridge(pairs.clean), pairs), pairs)
    torch.testing.assert_close(found[0], own, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("max_rows", [1, 100, 8192])
def test_several_at_once_equal_one_by_one(llama, pairs, max_rows: int) -> None:
    model = LayeredModel.of(llama)
    means = MeanOutputs.of(model, pairs)
    circuits = [SOME, EVERYTHING, frozenset(), frozenset({Head(1, 1)}), SOME]
    together = ablated_metric(model, pairs, means, circuits, prob_diff, max_rows)
    assert together.shape == (5, len(pairs))
    for heads, metrics in zip(circuits, together, strict=True):
        alone = ablated_metric(model, pairs, means, [heads], prob_diff)[0]
        torch.testing.assert_close(metrics, alone, rtol=1e-4, atol=1e-5)


class TestMeans:
    @pytest.mark.parametrize("batch", [1, 2, 4, 32])
    def test_batches_add_up(self, llama, batch: int, monkeypatch) -> None:
        pairs, model = ragged_pairs(9), LayeredModel.of(llama)
        monkeypatch.setattr("circuits.ablation.outputs._PROMPTS_TOGETHER", batch)
        means = MeanOutputs.of(model, pairs)
        by_hand = means_by_hand(llama, pairs)
        assert means.templates.tolist() == [60, 70, 80]
        for row, template in enumerate([60, 70, 80]):
            length = template // 10 + 1
            for layer, name in enumerate(NAMES):
                found = means.z[layer][row, :length]
                torch.testing.assert_close(found, by_hand[template][name][:length])

    @pytest.mark.parametrize("n_known", [1, 5, 9])
    def test_known_prompts_count_as_if_run_again(self, llama, n_known: int) -> None:
        pairs, model = ragged_pairs(9), LayeredModel.of(llama)
        known = Activations(model, pairs[:n_known], logit_diff)
        found, expected = MeanOutputs.of(model, pairs, known), MeanOutputs.of(model, pairs)
        assert torch.equal(found.opening, expected.opening)
        for row, length in enumerate([7, 8, 9]):
            for parts in ((found.z, expected.z), (found.outputs, expected.outputs)):
                for one, other in zip(*parts, strict=True):
                    torch.testing.assert_close(one[row, :length], other[row, :length])

    def test_nothing_behind_an_answer_is_run(self, llama, monkeypatch) -> None:
        pairs, model, read = ragged_pairs(9), LayeredModel.of(llama), []
        embed = LayeredModel.embed

        def counted(self, tokens):
            read.append(tokens.numel())
            return embed(self, tokens)

        monkeypatch.setattr(LayeredModel, "embed", counted)
        MeanOutputs.of(model, pairs)
        assert sum(read) == int((pairs.end + 1).sum())

    def test_progress_rises_to_one(self, llama) -> None:
        progress, heard = written_down()
        MeanOutputs.of(LayeredModel.of(llama), ragged_pairs(9), progress=progress)
        assert heard == sorted(heard)
        assert len(set(heard)) == 3
        assert heard[-1] == pytest.approx(1)

    def test_rows_of_prompts(self, llama) -> None:
        pairs = ragged_pairs(9)
        means = MeanOutputs.of(LayeredModel.of(llama), pairs)
        assert means.for_prompts(pairs[torch.tensor([2, 0, 1, 3])]).tolist() == [0, 2, 1, 2]

    @pytest.mark.parametrize("template", [5, 65, 999])
    def test_a_template_without_a_mean(self, llama, template: int) -> None:
        pairs = ragged_pairs(9)
        means = MeanOutputs.of(LayeredModel.of(llama), pairs)
        strange = replace(pairs, template=torch.full((9,), template))
        with pytest.raises(MismatchError, match="larger sample of the same task"):
            means.for_prompts(strange)

    def test_neither_padding_nor_clean_prompts_count(self, llama) -> None:
        pairs, model = ragged_pairs(9), LayeredModel.of(llama)
        behind = torch.arange(9) > pairs.end[:, None]
        other = replace(
            pairs,
            clean=(pairs.clean + 1) % 101,
            corrupted=pairs.corrupted.masked_fill(behind, 3),
        )
        one, two = MeanOutputs.of(model, pairs), MeanOutputs.of(model, other)
        for row, length in enumerate([7, 8, 9]):
            for a, b in zip(one.z, two.z, strict=True):
                torch.testing.assert_close(a[row, :length], b[row, :length])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16, torch.float16])
def test_any_dtype(pairs, dtype: torch.dtype) -> None:
    model, single = (LayeredModel.of(tiny_model("llama").to(d)) for d in (dtype, torch.float32))
    found = ablated_metric(model, pairs, MeanOutputs.of(model, pairs), [SOME], logit_diff)
    expected = ablated_metric(single, pairs, MeanOutputs.of(single, pairs), [SOME], logit_diff)
    coarse = 1e-4 if dtype == torch.float64 else 0.1 * float(expected.abs().max())
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=coarse)


@given(st.lists(st.frozensets(st.sampled_from(sorted(EVERYTHING))), max_size=5))
def test_kept_mask(circuits: list[frozenset[Head]]) -> None:
    mask = kept_mask(circuits, N_LAYERS, N_HEADS)
    assert mask.shape == (len(circuits), N_LAYERS, N_HEADS)
    for heads, kept in zip(circuits, mask, strict=True):
        assert {Head(*index) for index in kept.nonzero().tolist()} == heads


@pytest.mark.parametrize(
    ("head", "message"),
    [((0, 1), r"a head is written .* got \(0, 1\)"), (Head(3, 0), "no head 3.0 in a model of 3")],
)
def test_what_is_no_head_of_the_model(head, message, without_type_checks) -> None:
    with pytest.raises(InputError, match=message):
        kept_mask([frozenset({Head(0, 0), head})], n_layers=3, n_heads=4)
    assert kept_mask([frozenset({"0.1"})], n_layers=3, n_heads=4)[0, 0].tolist() == [
        False,
        True,
        False,
        False,
    ]
