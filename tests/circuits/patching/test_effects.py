"""Tables and sums of effects, without a model."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.components import HEAD_INPUTS, Head, Receiver, all_heads
from circuits.patching import EffectTable, SweptEffects
from circuits.patching.effects import PathSums, SweptSums

SIZES = (3, 4, 2)
HEADS = all_heads(3, 4)
EVERY = (Receiver.logits(), *(Receiver(head, i) for head in HEADS for i in HEAD_INPUTS))


def random_table(seed: int = 0) -> EffectTable:
    draw = torch.Generator().manual_seed(seed)
    known = {r: torch.randn(3, 4, generator=draw) for r in EVERY}
    return EffectTable.of_receivers(known, *SIZES)


def assert_same(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


class TestTable:
    def test_shared_receivers_have_the_same_effects(self) -> None:
        table = random_table()
        for receiver in EVERY:
            unit = table.shared(receiver)
            assert_same(table.effects(receiver), table.effects(unit))
            assert table.shared(unit) == unit
        assert len({table.shared(receiver) for receiver in EVERY}) == 1 + 3 * (4 + 2 + 2)

    @settings(deadline=None)
    @given(st.dictionaries(st.sampled_from(EVERY), st.sets(st.sampled_from(HEADS)), max_size=4))
    def test_replaced_changes_what_is_known_and_nothing_else(self, known) -> None:
        table, tables, expected = random_table(), {}, {}
        for number, (receiver, heads) in enumerate(known.items()):
            effects = torch.full((3, 4), torch.nan)
            for head in heads:
                effects[head.layer, head.index] = 10.0 + number
                expected[table.shared(receiver), head] = 10.0 + number
            tables[receiver] = effects
        before = {name: tensor.clone() for name, tensor in table.tensors().items()}
        found = table.replaced(tables)
        for receiver in EVERY:
            for head in HEADS:
                old = float(table.effects(receiver)[head.layer, head.index])
                new = float(found.effects(receiver)[head.layer, head.index])
                assert new == expected.get((table.shared(receiver), head), old)
        for name, tensor in table.tensors().items():
            assert_same(tensor, before[name])

    @settings(deadline=None)
    @given(st.sets(st.sampled_from(HEADS)))
    def test_among_keeps_the_paths_between_some_heads(self, heads) -> None:
        """A shared key or value is read by every head of its group."""
        table = random_table()
        found = table.among(heads)
        for receiver in EVERY:
            unit = table.shared(receiver)
            readers = {r.head for r in EVERY if table.shared(r) == unit and r.input == unit.input}
            expected = table.effects(receiver).clone()
            for sender in HEADS:
                if sender not in heads or not (receiver.head is None or readers & heads):
                    expected[sender.layer, sender.index] = torch.nan
            assert_same(found.effects(receiver), expected)

    def test_swept_effects_come_back_from_their_tensors(self) -> None:
        swept = SweptEffects(random_table(1), random_table(2))
        again = SweptEffects.of_tensors(swept.tensors())
        for receiver in EVERY:
            assert_same(again.effects.effects(receiver), swept.effects.effects(receiver))
            assert_same(again.remainders.effects(receiver), swept.remainders.effects(receiver))
        with pytest.raises(TypeError):
            SweptEffects.of_tensors({"query": swept.effects.query})


class TestSums:
    def test_paths_add_up_and_others_stay_missing(self) -> None:
        sums, senders = PathSums(*SIZES, n_prompts=2), (Head(0, 3), Head(1, 0))
        for prompt in range(2):
            sums.add(2, "k", [1], senders, torch.tensor([[[1.0]], [[2.0]]]))
            sums.add(2, "q", [0, 2], senders, torch.tensor([[[1.0, 10.0]], [[2.0, 20.0]]]))
            sums.add_logits(senders[:1], torch.tensor([[5.0]]))
            sums.settle(torch.tensor([prompt]))
        table = sums.table(scale=2.0)
        expected = torch.full((3, 4), torch.nan)
        expected[0, 3], expected[1, 0] = 1.0, 2.0
        for name in ("2.0.q", "2.2.k", "2.3.k"):
            assert_same(table.effects(Receiver.parse(name)), expected)
        assert_same(table.effects(Receiver.parse("2.2.q")), 10 * expected)
        assert float(table.logits[0, 3]) == 5.0
        for name in ("2.1.q", "2.0.k", "2.2.v", "1.0.q"):
            assert table.effects(Receiver.parse(name)).isnan().all()

    def test_nothing_counts_before_it_is_settled(self) -> None:
        sums = PathSums(*SIZES, n_prompts=1)
        sums.add_logits((Head(0, 0),), torch.tensor([[5.0]]))
        assert sums.table(1.0).logits.isnan().all()
        sums.settle(torch.tensor([0]))
        sums.settle(torch.tensor([0]))
        assert float(sums.table(1.0).logits[0, 0]) == 5.0

    def test_a_table_is_of_all_prompts_or_of_none(self) -> None:
        sums = PathSums(*SIZES, n_prompts=3)
        for prompts in ([2, 0], [1]):
            assert sums.table(1.0).logits.isnan().all()
            values = torch.tensor([[float(prompt + 1) for prompt in prompts]])
            sums.add_logits((Head(0, 0),), values)
            sums.settle(torch.tensor(prompts))
        assert sums.of(Receiver.logits())[0, 0].tolist() == [1.0, 2.0, 3.0]
        assert float(sums.table(1.0).logits[0, 0]) == 6.0

    def test_sums_are_whole_when_every_prompt_is_in_them(self) -> None:
        sums = SweptSums(*SIZES, n_prompts=3, batch_size=2)
        for prompts, whole in ((torch.tensor([0, 1]), False), (torch.tensor([2]), True)):
            assert not sums.is_whole
            sums.finish_batch(prompts, torch.ones(len(prompts)), torch.zeros(len(prompts)))
            assert sums.is_whole == whole

    @settings(deadline=None)
    @given(st.permutations(range(5)), st.integers(1, 5))
    def test_prompts_keep_their_place_in_any_order_and_batch(self, order, size: int) -> None:
        draw = torch.Generator().manual_seed(0)
        values = torch.randn(4, 5, 2, generator=draw)
        sums = PathSums(*SIZES, n_prompts=5)
        for prompts in torch.tensor(order).split(size):
            sums.add(1, "v", [0, 1], HEADS[:4], values[:, prompts])
            sums.settle(prompts)
        assert_same(sums.of(Receiver(Head(1, 0), "v"))[0], values[..., 0])
        assert_same(sums.of(Receiver(Head(1, 3), "v"))[0], values[..., 1])
        expected = values.double().sum(1)[:, 1].float()
        assert_same(sums.table(1.0).effects(Receiver(Head(1, 2), "v"))[0], expected)

    @pytest.mark.parametrize("harm", [2.0, -2.0])
    def test_remainders_are_sizes_whatever_the_sign_of_the_scale(self, harm: float) -> None:
        sums = SweptSums(*SIZES, n_prompts=1, batch_size=1)
        for part in (sums.changes, sums.remainders):
            part.add_logits((Head(0, 0),), torch.tensor([[3.0]]))
        sums.finish_batch(torch.tensor([0]), torch.tensor([harm]), torch.tensor([0.0]))
        found = sums.normalised()
        assert float(found.effects.logits[0, 0]) == 3.0 / harm
        assert float(found.remainders.logits[0, 0]) == 1.5

    def test_sums_go_on_from_their_tensors(self) -> None:
        draw = torch.Generator().manual_seed(0)

        def batch(sums: SweptSums, seed: int) -> None:
            draw.manual_seed(seed)
            for part in (sums.changes, sums.remainders):
                part.add(1, "v", [0, 1], HEADS[:4], torch.rand(4, 3, 2, generator=draw))
                part.add_logits(HEADS, torch.rand(12, 3, generator=draw))
            metrics = torch.rand(2, 3, generator=draw)
            sums.finish_batch(torch.arange(3) + 3 * (seed - 1), metrics[0], -metrics[1])

        whole, begun = (SweptSums(*SIZES, n_prompts=6, batch_size=3) for _ in range(2))
        batch(whole, 1)
        batch(whole, 2)
        batch(begun, 1)
        again = SweptSums.of_tensors({k: t.clone() for k, t in begun.tensors().items()})
        assert (again.batches, again.batch_size, again.scale) == (1, 3, begun.scale)
        batch(again, 2)
        assert not whole.normalised().effects.logits.isnan().any()
        for name, tensor in whole.normalised().tensors().items():
            assert_same(again.normalised().tensors()[name], tensor)
        with pytest.raises(KeyError):
            SweptSums.of_tensors({"progress": torch.zeros(3)})

    def test_equal_metrics_are_refused(self) -> None:
        sums = SweptSums(*SIZES, n_prompts=1, batch_size=1)
        sums.finish_batch(torch.tensor([0]), torch.tensor([1.0]), torch.tensor([1.0]))
        with pytest.raises(ValueError, match="clean minus corrupted metric is 0"):
            sums.normalised()
