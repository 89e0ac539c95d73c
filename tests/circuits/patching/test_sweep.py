"""The table of all paths against the reference, the slow twin and, on a real model, exact ones."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from circuits.components import Head, Receiver, all_heads
from circuits.forward import Activations, LayeredModel
from circuits.forward.passes import at_end
from circuits.metrics import logit_diff, prob_diff
from circuits.patching import ESTIMATORS, EdgeSums, edge_sums, effect_table, path_effects
from circuits.patching.plan import plan_work
from circuits.patching.sweep import SWEEP
from tests.circuits.conftest import shared_model
from tests.circuits.families import FAMILIES, N_HEADS, N_LAYERS, deeper_model
from tests.circuits.patching.slow_twin import first_order_changes
from tests.circuits.progress import written_down
from tests.circuits.prompts import ragged_pairs

LOGITS = Receiver.logits()
NAMES = ("1.0.q", "1.3.k", "1.1.v", "2.3.q", "2.0.k", "2.2.v")
RECEIVERS = tuple(Receiver.parse(name) for name in NAMES)
EVERY_RECEIVER = (
    LOGITS,
    *(Receiver(head, i) for head in all_heads(N_LAYERS, N_HEADS) for i in "qkv"),
)


def sums_of(bridge, pairs, batch_size: int) -> EdgeSums:
    model, heads = LayeredModel.of(bridge), all_heads(N_LAYERS, N_HEADS)
    plan = replace(plan_work(model, pairs, heads), batch_size=batch_size)
    activations = Activations(model, pairs, logit_diff)
    return edge_sums(activations, ESTIMATORS.get("sweep"), heads, plan)


def close(measured: torch.Tensor, expected: torch.Tensor, atol: float = 2e-5) -> None:
    torch.testing.assert_close(measured, expected, rtol=0, atol=atol, equal_nan=True)


@pytest.mark.parametrize("family", FAMILIES)
class TestTable:
    def test_logits_equal_the_reference(self, family: str) -> None:
        bridge, pairs = shared_model(family), ragged_pairs()
        twin = path_effects(bridge, pairs, LOGITS, engine="reference")
        close(effect_table(bridge, pairs).effects(LOGITS), twin)

    @pytest.mark.parametrize("metric", [logit_diff, prob_diff])
    def test_head_inputs_equal_the_slow_twin(self, family: str, metric) -> None:
        bridge, pairs = shared_model(family), ragged_pairs()
        table = effect_table(bridge, pairs, metric=metric)
        with torch.no_grad():
            clean, corrupted = (
                metric(at_end(bridge(tokens), pairs), pairs).sum()
                for tokens in (pairs.clean, pairs.corrupted)
            )
        for receiver in RECEIVERS if metric is logit_diff else RECEIVERS[3:4]:
            senders = all_heads(receiver.head.layer, N_HEADS)
            changes = first_order_changes(bridge, pairs, receiver, senders, metric).sum(-1)
            expected = (changes / (clean - corrupted)).view(-1, N_HEADS)
            atol = 2e-5 * max(1.0, float(expected.abs().max()))
            close(table.effects(receiver)[: receiver.head.layer], expected, atol)

    def test_every_prompt_has_the_change_that_it_has_alone(self, family: str) -> None:
        """Prompts of different lengths, in batches of two that are sorted by length."""
        bridge, pairs = shared_model(family), ragged_pairs()
        receiver = RECEIVERS[4] if family == "attention-only" else RECEIVERS[1]
        senders = all_heads(receiver.head.layer, N_HEADS)
        twin = first_order_changes(bridge, pairs, receiver, senders, logit_diff)
        changes = sums_of(bridge, pairs, batch_size=2).changes
        atol = 2e-5 * max(1.0, float(twin.abs().max()))
        close(changes.into(receiver), twin, atol)
        assert changes.effects(LOGITS).shape == (N_LAYERS, N_HEADS, len(pairs))

    def test_is_nan_exactly_where_there_is_no_path(self, family: str) -> None:
        table = effect_table(shared_model(family), ragged_pairs())
        for receiver in EVERY_RECEIVER:
            below = N_LAYERS if receiver.head is None else receiver.head.layer
            present = ~table.effects(receiver).isnan()
            assert present[:below].all()
            assert not present[below:].any()

    def test_candidates_have_the_same_effects(self, family: str) -> None:
        bridge, pairs = shared_model(family), ragged_pairs()
        heads = all_heads(N_LAYERS, N_HEADS)
        candidates = [head for head in heads if (head.layer + head.index) % 2]
        some, every = effect_table(bridge, pairs, iter(candidates)), effect_table(bridge, pairs)
        close(some.values, every.among(candidates).values)
        assert 0 < some.n_known < every.n_known

    def test_memory_changes_no_number(self, family: str) -> None:
        """One prompt and one sender at a time, and a few of each."""
        bridge, pairs = shared_model(family), ragged_pairs()
        whole = effect_table(bridge, pairs)
        for memory_bytes in (1, 60_000):
            split = effect_table(bridge, pairs, memory_bytes=memory_bytes)
            close(split.values, whole.values)


def test_groups_share_keys_and_values(llama, pairs) -> None:
    table = effect_table(llama, pairs)
    assert len(table.values) == N_LAYERS * (N_HEADS + 2 + 2) + 1
    for head_input in "kv":
        first, second, other = (table.effects(Receiver(Head(2, i), head_input)) for i in (0, 1, 2))
        assert torch.equal(first.nan_to_num(), second.nan_to_num())
        assert not torch.equal(first.nan_to_num(), other.nan_to_num())


@pytest.mark.parametrize("name", ["2.3.q", "2.0.k", "2.2.v"])
def test_little_is_estimated_where_little_lies_above(attention_only, pairs, name: str) -> None:
    """Behind a last layer without an MLP there is the final norm, and nothing else."""
    receiver = Receiver.parse(name)
    exact = path_effects(attention_only, pairs, receiver)
    swept = effect_table(attention_only, pairs).effects(receiver)
    both = torch.stack([exact[:2].flatten(), swept[:2].flatten()])
    assert torch.corrcoef(both)[0, 1] > 0.95


@pytest.mark.parametrize("memory_bytes", [1 << 30, 60_000])
def test_progress_rises_to_one(llama, pairs, memory_bytes: int) -> None:
    progress, heard = written_down()
    effect_table(llama, pairs, memory_bytes=memory_bytes, progress=progress)
    assert heard == sorted(heard)
    assert heard[-1] == pytest.approx(1)
    assert 0 <= heard[0] <= 1


def test_no_candidates_no_effects(llama, pairs) -> None:
    assert effect_table(llama, pairs, []).n_known == 0


def test_the_lowest_layer_receives_nothing(llama, pairs) -> None:
    table = effect_table(llama, pairs, [Head(0, 1), Head(0, 2)])
    assert table.n_known == 2
    assert (~table.effects(LOGITS).isnan()).nonzero().tolist() == [[0, 1], [0, 2]]


def test_effects_do_not_depend_on_the_metrics_unit(llama, pairs) -> None:
    doubled = effect_table(llama, pairs, metric=lambda logits, pairs: 2 * logit_diff(logits, pairs))
    close(doubled.values, effect_table(llama, pairs).values)


class HostRoundTrips(TorchDispatchMode):
    """Counts the operations for which a GPU would have to wait for the host."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        aten = torch.ops.aten
        self.count += func.overloadpacket in (
            aten._local_scalar_dense,
            aten.nonzero,
            aten.is_nonzero,
            aten.equal,
        )
        return func(*args, **(kwargs or {}))


@lru_cache
def round_trips(n_layers: int, n_senders: int, max_rows: int) -> int:
    model = LayeredModel.of(deeper_model(n_layers))
    (batch,) = Activations(model, ragged_pairs(), logit_diff).batches
    heads = all_heads(n_layers, N_HEADS)[-n_senders:]
    sums = EdgeSums(model.graph(), n_prompts=5, batch_size=5)
    with HostRoundTrips() as seen:
        SWEEP.add(batch, heads, sums, max_rows)
        before = seen.count
        run = batch.paired
        sums.finish_batch(batch.prompts, run.clean_metric, run.corrupted_metric)
    assert seen.count > before, "taking in a batch is where the host waits, and must be noticed"
    return before


@pytest.mark.parametrize("wider", [(5, 8, 4096), (3, 12, 4096), (5, 20, 4096), (3, 8, 1)])
def test_the_host_waits_no_more_often_for_more_layers_senders_or_chunks(wider) -> None:
    """Only tokens are counted, once; the sweep itself never looks at a number."""
    assert round_trips(*wider) == round_trips(3, 8, 4096)


@pytest.fixture(scope="module")
def dense(smollm2, ioi):
    """The whole table of two prompts, and its cost in forward passes over them."""
    pairs = ioi[:2]
    with FlopCounterMode(display=False) as counter:
        table = effect_table(smollm2, pairs)
    with FlopCounterMode(display=False) as forward, torch.no_grad():
        smollm2(pairs.clean[:, : int(pairs.end.max()) + 1])
    return table, counter.get_total_flops() / forward.get_total_flops()


@pytest.mark.real
class TestSmolLM2:
    def test_cost(self, dense) -> None:
        """The table of 270 x 450 paths; naively 100,000 passes and more."""
        assert 20 < dense[1] <= 130

    @pytest.mark.parametrize("name", ["23.3.q", "20.0.k", "22.6.v"])
    def test_agrees_with_exact_effects(self, smollm2, ioi, dense, name: str) -> None:
        receiver = Receiver.parse(name)
        senders = [Head(layer, (layer * 2 + i) % 9) for layer in range(20) for i in (0, 4)]
        exact = path_effects(smollm2, ioi[:2], receiver, senders)
        swept = dense[0].effects(receiver)
        present = ~exact.isnan()
        assert present.sum() == 40
        both = torch.stack([exact[present], swept[present]])
        assert torch.corrcoef(both)[0, 1] >= 0.97

    def test_logits_are_exact(self, smollm2, ioi, dense) -> None:
        exact = path_effects(smollm2, ioi[:2], LOGITS)
        close(dense[0].effects(LOGITS), exact, atol=1e-4)
