"""Many circuits with shared work against one plain forward pass for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from einops import rearrange
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from circuits.ablation import MeanOutputs, ablated_metric, kept_mask
from circuits.ablation.distinct_streams import Split, Streams
from circuits.components import Head, all_heads
from circuits.forward import LayeredModel
from circuits.forward.passes import at_end, run_heads
from circuits.forward.prompts import trim
from circuits.metrics import logit_diff
from circuits.tasks import PromptPairs
from tests.circuits.conftest import shared_model
from tests.circuits.families import FAMILIES, N_HEADS, N_LAYERS, tiny_model
from tests.circuits.progress import written_down
from tests.circuits.prompts import ragged_pairs

Circuits = Sequence[frozenset[Head]]
HEADS = all_heads(N_LAYERS, N_HEADS)
EVERYTHING, NOTHING = frozenset(HEADS), frozenset()
MIXED = tuple(HEADS[i] for i in (3, 8, 5, 0, 11, 6, 1, 9, 4, 10, 2, 7))


def named(*names: str) -> frozenset[Head]:
    return frozenset(map(Head.parse, names))


CASES: dict[str, Circuits] = {
    "nested": [frozenset(MIXED[:count]) for count in range(12, -1, -1)],
    "equal": [named("0.1", "1.2")] * 3,
    "disjoint": [named("0.1", "1.2", "2.0"), named("0.0", "1.3"), named("1.0", "2.3")],
    "empty": [NOTHING],
    "full": [EVERYTHING],
    "one layer each": [frozenset(h for h in HEADS if h.layer == n) for n in range(N_LAYERS)],
    "same low layers": [named("0.1", "1.2", f"2.{index}") for index in range(N_HEADS)],
    "shared keys": [named("1.0"), named("1.1"), named("1.0", "1.1")],
    "all sorts": [EVERYTHING, NOTHING, named("0.3"), named("2.0"), EVERYTHING - named("1.1")],
}


def plain_metric(
    model: LayeredModel, pairs: PromptPairs, means: MeanOutputs, circuits: Circuits
) -> torch.Tensor:
    """Every head of every circuit at every position, one circuit after the other."""
    pairs = trim(pairs)
    template, metrics = means.for_prompts(pairs), []
    for kept in kept_mask(circuits, model.n_layers, model.n_heads):
        with torch.no_grad():
            resid = model.embed(pairs.clean)
            for index, layer in enumerate(model.layers):
                mean = means.z[index][template, : pairs.clean.shape[1]]
                here = rearrange(kept[index], "head -> head 1")
                z = run_heads(layer, resid).z.where(here, mean)
                resid = layer.finish(resid, layer.attention_output(z))
            metrics.append(logit_diff(model.unembed(at_end(resid, pairs)), pairs))
    return torch.stack(metrics)


def opening_alike(pairs: PromptPairs) -> PromptPairs:
    """The prompts of a template start with the same two tokens, but for one prompt's second."""
    clean, corrupted = pairs.clean.clone(), pairs.corrupted.clone()
    start = torch.stack([pairs.template, pairs.template + 1], dim=1)
    clean[:, :2] = corrupted[:, :2] = start
    clean[1, 1] += 1
    corrupted[-1, 1] += 1
    corrupted[:, 3], clean[:, 3] = 1, 2
    return replace(pairs, clean=clean, corrupted=corrupted)


def fast_metric(model, pairs, means, circuits, **options) -> torch.Tensor:
    return ablated_metric(model, pairs, means, circuits, logit_diff, **options)


@pytest.fixture(scope="module")
def precise():
    """Grouped queries, in float64, so that nothing but rounding can hide a difference."""
    return LayeredModel.of(tiny_model("llama").to(torch.float64))


@pytest.mark.parametrize("prepare", [lambda pairs: pairs, opening_alike])
@pytest.mark.parametrize("family", FAMILIES)
def test_equals_the_plain_twin(family: str, prepare) -> None:
    model = LayeredModel.of(shared_model(family))
    means = MeanOutputs.of(model, prepare(ragged_pairs(9)))
    pairs = prepare(ragged_pairs(9))[torch.tensor([1, 0, 5, 8, 3])]
    circuits = list(dict.fromkeys(heads for case in CASES.values() for heads in case))
    expected = plain_metric(model, pairs, means, circuits)
    torch.testing.assert_close(
        fast_metric(model, pairs, means, circuits), expected, rtol=1e-4, atol=1e-4
    )
    spread = expected.std(0).min()
    assert spread > 0.01, "the circuits differ, so that a confusion would be seen"


@pytest.mark.parametrize("max_rows", [1, 50, 8192])
@pytest.mark.parametrize("name", CASES)
def test_each_kind_of_batch(precise, name: str, max_rows: int) -> None:
    pairs, circuits = opening_alike(ragged_pairs(9)), CASES[name]
    means = MeanOutputs.of(precise, pairs)
    found = fast_metric(precise, pairs, means, circuits, max_rows=max_rows)
    expected = plain_metric(precise, pairs, means, circuits)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.frozensets(st.sampled_from(HEADS)), max_size=6), st.integers(1, 9))
def test_any_circuits(circuits: list[frozenset[Head]], n_pairs: int) -> None:
    model = LayeredModel.of(shared_model("llama"))
    means = MeanOutputs.of(model, ragged_pairs(9))
    pairs = ragged_pairs(9)[:n_pairs]
    found = fast_metric(model, pairs, means, circuits)
    assert found.shape == (len(circuits), n_pairs)
    if circuits:
        expected = plain_metric(model, pairs, means, circuits)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_progress_rises_to_one(precise) -> None:
    pairs, (progress, heard) = ragged_pairs(4), written_down()
    means = MeanOutputs.of(precise, pairs)
    fast_metric(precise, pairs, means, CASES["nested"], max_rows=20, progress=progress)
    assert heard[0] > 0
    assert all(earlier <= later for earlier, later in pairwise(heard))
    assert len(set(heard)) > N_LAYERS
    assert heard[-1] == pytest.approx(1)


class TestWork:
    """FLOPs against the twin's, on the same circuits."""

    PAIRS = opening_alike(ragged_pairs(9))

    def cost(self, model, circuits, pairs=None, function=fast_metric) -> int:
        pairs = self.PAIRS if pairs is None else pairs
        means = MeanOutputs.of(model, pairs)
        with FlopCounterMode(display=False) as counter:
            function(model, pairs, means, circuits)
        return counter.get_total_flops()

    @pytest.mark.parametrize("family", FAMILIES)
    def test_less_than_the_twin(self, family: str) -> None:
        model = LayeredModel.of(shared_model(family))
        for name in ("nested", "disjoint", "full"):
            circuits, share = CASES[name], 0.7 if name == "nested" else 1
            twin = self.cost(model, circuits, function=plain_metric)
            assert self.cost(model, circuits) < share * twin, name

    def test_equal_circuits_are_one(self, llama) -> None:
        model = LayeredModel.of(llama)
        one = named("0.1", "1.2")
        assert self.cost(model, [one] * 5) == self.cost(model, [one])

    def test_shared_low_layers_are_computed_once(self, llama) -> None:
        """Four circuits that differ in the last layer alone, which reads only the answers there."""
        model, circuits = LayeredModel.of(llama), CASES["same low layers"]
        apart = sum(self.cost(model, [heads]) for heads in circuits)
        assert self.cost(model, circuits) < 0.5 * apart

    def test_other_low_layers_are_not(self, llama) -> None:
        """Beside what the prompts share whatever is kept, nothing is saved."""
        model, pairs = LayeredModel.of(llama), ragged_pairs(9)
        circuits = [named("0.0", "2.0"), named("0.2", "2.2")]
        apart = sum(self.cost(model, [heads], pairs) for heads in circuits)
        assert 0.9 * apart < self.cost(model, circuits, pairs) <= apart

    def test_each_kept_head_costs(self, attention_only) -> None:
        model = LayeredModel.of(attention_only)
        costs = [self.cost(model, [frozenset(MIXED[:count])]) for count in range(13)]
        assert all(fewer < more for fewer, more in pairwise(costs))

    def test_above_the_last_kept_head_only_answers_are_computed(self, llama) -> None:
        model = LayeredModel.of(llama)
        low, high = (self.cost(model, [named(name)]) for name in ("0.0", "2.0"))
        assert low < 0.6 * high

    def test_what_a_template_begins_with_is_computed_once(self, llama) -> None:
        model, circuits = LayeredModel.of(llama), [named("0.0", "2.0"), named("0.2", "2.2")]
        assert self.cost(model, circuits) < 0.95 * self.cost(model, circuits, ragged_pairs(9))

    def test_padding_is_not_computed(self, llama) -> None:
        model, pairs = LayeredModel.of(llama), ragged_pairs(9)
        even = replace(pairs, end=torch.full((9,), 8))
        assert self.cost(model, [EVERYTHING], pairs) < self.cost(model, [EVERYTHING], even)


class TestRows:
    def test_start(self) -> None:
        embedded = torch.randn(2, 4, 3)
        streams = Streams.start(embedded, torch.tensor([1, 3]))
        assert streams.row.tolist() == [[[0, 1, -1, -1], [2, 3, 4, 5]]]
        assert torch.equal(streams.resid[1], embedded[0, 1])
        assert (streams.prompt.tolist(), streams.position.tolist()) == (
            [0, 0, 1, 1, 1, 1],
            [0, 1, 0, 1, 2, 3],
        )

    def test_a_row_parts_where_its_circuits_do(self) -> None:
        """Circuits 0 and 2 keep the same; position 0 is not acted on; 1 wants its last alone."""
        row = torch.tensor([[[0, 1, 2]], [[0, 1, 2]], [[0, 1, 2]]])
        kept = torch.tensor([[True, False], [False, True], [True, False]])
        acts = torch.tensor([[False, True, True]])
        wanted = torch.tensor([[[True] * 3], [[False, False, True]], [[True] * 3]])
        split = Split.of(row, kept, acts, wanted)
        assert split.row[0].tolist() == split.row[2].tolist() == [[0, 1, 3]]
        assert split.row[1].tolist() == [[-1, -1, 2]]
        assert split.parent.tolist() == [0, 1, 2, 2]
        assert split.kept.tolist() == [[False] * 2, [True, False], [False, True], [True, False]]

    def test_keeping_nothing_is_not_being_acted_on(self) -> None:
        row, acts = torch.tensor([[[0, 1]], [[0, 1]]]), torch.tensor([[False, True]])
        split = Split.of(row, torch.zeros(2, 3, dtype=torch.bool), acts, row >= 0)
        assert split.row.tolist() == row.tolist()
