"""Values of edges, and sums of them, without a model."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits.components import HEAD_INPUTS, MLP, Embedding, Head, Receiver
from circuits.errors import MismatchError, NoEffectError
from circuits.graph import ModelGraph
from circuits.patching import EdgeEstimates, EdgeSums, EdgeValues

GRAPHS = {mlps: ModelGraph(3, 4, 2, mlps=mlps) for mlps in ("path", "nodes")}
GRAPH = GRAPHS["path"]
HEADS = GRAPH.heads
LOGITS = Receiver.logits()


def every_receiver(graph: ModelGraph) -> tuple[Receiver, ...]:
    """Shared keys and values under the name of every head that reads them."""
    heads = [Receiver(head, name) for head in graph.heads for name in HEAD_INPUTS]
    return tuple(sorted({*heads, *graph.receivers}))


EVERY = {mlps: every_receiver(graph) for mlps, graph in GRAPHS.items()}
EDGES = {
    mlps: [(s, r) for r in EVERY[mlps] for s in graph.senders_below(r)]
    for mlps, graph in GRAPHS.items()
}
both_graphs = pytest.mark.parametrize("mlps", GRAPHS)


@pytest.fixture
def graph(mlps: str) -> ModelGraph:
    return GRAPHS[mlps]


def random_values(graph: ModelGraph, *n_prompts: int, seed: int = 0) -> EdgeValues:
    """A number for every edge, and NaN where there is none."""
    draw, values = torch.Generator().manual_seed(seed), EdgeValues.unknown(graph, *n_prompts)
    for receiver in graph.receivers:
        row = values.into(receiver)
        row[:] = torch.randn(row.shape, generator=draw)
    return values


def assert_same(found: torch.Tensor, expected: torch.Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


def same_number(found: float, expected: float) -> bool:
    return found == expected or (found != found and expected != expected)


@both_graphs
class TestReading:
    def test_into_a_receiver_go_the_senders_below(self, mlps: str, graph) -> None:
        values = random_values(graph)
        for receiver in EVERY[mlps]:
            row = values.into(receiver)
            below = graph.senders_below(receiver)
            assert not row.isnan().any()
            assert row.tolist() == [values.of(sender, receiver) for sender in below]

    def test_effects_are_those_of_all_heads(self, mlps: str, graph) -> None:
        values = random_values(graph)
        for receiver in EVERY[mlps]:
            grid = values.effects(receiver)
            assert grid.shape == (3, 4)
            for head in HEADS:
                found = float(grid[head.layer, head.index])
                assert same_number(found, values.of(head, receiver))
                assert (found == found) == graph.reads(receiver, head)

    def test_prompts_stay_apart(self, mlps: str, graph) -> None:
        values = random_values(graph, 5)
        assert values.into(LOGITS).shape == (len(graph.senders), 5)
        grid = values.effects(LOGITS)
        assert grid.shape == (3, 4, 5)
        assert_same(grid[2, 1], values.into(LOGITS)[graph.column(Head(2, 1))])

    def test_shared_receivers_have_the_same_values(self, mlps: str, graph) -> None:
        values = random_values(graph)
        for receiver in EVERY[mlps]:
            unit = graph.unit(receiver)
            assert_same(values.into(receiver), values.into(unit))
            assert_same(values.effects(receiver), values.effects(unit))
            assert (unit == receiver) == (receiver in graph.receivers)

    def test_nothing_is_known_at_first(self, mlps: str, graph) -> None:
        values = EdgeValues.unknown(graph)
        assert values.n_known == 0
        assert random_values(graph).n_known == graph.n_edges

    def test_receivers_of_another_model_are_refused(self, mlps: str, graph) -> None:
        values, strange = random_values(graph), Receiver(Head(3, 0), "q")
        for read in (values.into, values.effects):
            with pytest.raises(MismatchError, match=r"no receiver 3\.0\.q in a model of 3 layers"):
                read(strange)

    def test_values_of_another_shape_are_refused(self, mlps: str, graph) -> None:
        rows, columns = len(graph.receivers), len(graph.senders)
        message = f"must be {rows} receivers x {columns} senders, got {rows} x {columns - 1}"
        with pytest.raises(MismatchError, match=message):
            EdgeValues(graph, torch.zeros(rows, columns - 1))

    def test_into_is_a_view(self, mlps: str, graph) -> None:
        values = EdgeValues.unknown(graph)
        values.into(LOGITS)[:] = 0.5
        assert values.n_known == len(graph.senders)


@both_graphs
class TestKnowing:
    @settings(deadline=None, max_examples=30)
    @given(st.data())
    def test_what_was_put_last_is_known(self, mlps: str, data) -> None:
        graph, expected = GRAPHS[mlps], {}
        known = EdgeValues.unknown(graph)
        for _ in range(data.draw(st.integers(0, 5))):
            receiver = data.draw(st.sampled_from(EVERY[mlps]))
            below = graph.senders_below(receiver)
            some = (
                st.lists(st.sampled_from(below), unique=True, max_size=5) if below else st.just([])
            )
            senders = data.draw(some)
            values = [data.draw(st.floats(-1, 1, width=32)) for _ in senders]
            known.put(receiver, iter(senders), iter(values))
            for sender, value in zip(senders, values, strict=True):
                expected[sender, graph.unit(receiver)] = value
        assert known.n_known == len(expected)
        for sender, receiver in EDGES[mlps]:
            value = expected.get((sender, graph.unit(receiver)), float("nan"))
            assert same_number(known.of(sender, receiver), value)

    @settings(deadline=None, max_examples=30)
    @given(st.data())
    def test_what_is_known_replaces_and_nothing_else_changes(self, mlps: str, data) -> None:
        graph, expected = GRAPHS[mlps], {}
        values, known = random_values(graph), EdgeValues.unknown(graph)
        for number, (sender, receiver) in enumerate(
            data.draw(st.lists(st.sampled_from(EDGES[mlps]), max_size=8))
        ):
            known.put(receiver, [sender], [10.0 + number])
            expected[sender, graph.unit(receiver)] = 10.0 + number
        before = values.values.clone()
        found = values.replaced(known)
        for sender, receiver in EDGES[mlps]:
            old = values.of(sender, receiver)
            new = expected.get((sender, graph.unit(receiver)), old)
            assert found.of(sender, receiver) == new
        assert found.n_known == values.n_known
        assert_same(values.values, before)
        assert known.n_known == len(expected)

    @pytest.mark.parametrize("n_prompts", [(), (3,)])
    @settings(deadline=None, max_examples=30)
    @given(data=st.data())
    def test_among_keeps_the_edges_between_some_nodes(self, mlps: str, n_prompts, data) -> None:
        """A shared key or value is read by every head of its group."""
        graph = GRAPHS[mlps]
        nodes = data.draw(st.frozensets(st.sampled_from(graph.senders)))
        values = random_values(graph, *n_prompts)
        found = values.among(iter(nodes))
        for receiver in EVERY[mlps]:
            reads = receiver.is_logits or bool(nodes & set(graph.readers(receiver)))
            expected = values.into(receiver).clone()
            for column, sender in enumerate(graph.senders_below(receiver)):
                if not reads or sender not in nodes:
                    expected[column] = torch.nan
            assert_same(found.into(receiver), expected)

    def test_estimates_among_some_nodes(self, mlps: str, graph) -> None:
        nodes = [Head(0, 1), Head(2, 3), *([Embedding(), MLP(1)] if graph.has_mlps else [])]
        effects, sizes = random_values(graph), random_values(graph, seed=1)
        found = EdgeEstimates(effects, sizes).among(iter(nodes))
        assert_same(found.effects.values, effects.among(nodes).values)
        assert_same(found.remainders.values, sizes.among(nodes).values)
        assert EdgeEstimates(effects, None).among(nodes).remainders is None


def sums_of(n_prompts: int, batch_size: int = 1, **settings) -> EdgeSums:
    return EdgeSums(GRAPH, n_prompts, batch_size, **settings)


def finish(sums: EdgeSums, *prompts: int, clean: float = 2.0, corrupted: float = 0.0) -> None:
    metrics = (torch.full((len(prompts),), value) for value in (clean, corrupted))
    sums.finish_batch(torch.tensor(prompts), *metrics)


class TestSums:
    def test_edges_add_up_and_others_stay_missing(self) -> None:
        sums, senders = sums_of(2), (Head(0, 3), Head(1, 0))
        queries = [Receiver.parse(name) for name in ("2.0.q", "2.2.q")]
        for prompt in range(2):
            sums.add([Receiver.parse("2.2.k")], senders, torch.tensor([[[1.0]], [[2.0]]]))
            changes = torch.tensor([[[1.0, 10.0]], [[2.0, 20.0]]])
            sums.add(queries, senders, changes)
            sums.add([LOGITS], senders[:1], torch.tensor([[[5.0]]]))
            finish(sums, prompt)
        found = sums.normalised().effects
        expected = torch.full((3, 4), torch.nan)
        expected[0, 3], expected[1, 0] = 0.5, 1.0
        for name in ("2.0.q", "2.2.k", "2.3.k"):
            assert_same(found.effects(Receiver.parse(name)), expected)
        assert_same(found.effects(queries[1]), 10 * expected)
        assert found.of(Head(0, 3), LOGITS) == 2.5
        for name in ("2.1.q", "2.0.k", "2.2.v", "1.0.q"):
            assert found.effects(Receiver.parse(name)).isnan().all()
        assert found.n_known == 2 + 2 + 2 + 1

    def test_no_senders_and_no_receivers_add_nothing(self) -> None:
        sums = sums_of(1)
        sums.add([LOGITS], [], torch.zeros(0, 1, 1), torch.zeros(0, 1, 1))
        sums.add([], [Head(0, 0)], torch.zeros(1, 1, 0))
        finish(sums, 0)
        assert sums.normalised().effects.n_known == 0

    def test_nothing_counts_before_its_batch_is_finished(self) -> None:
        sums = sums_of(2)
        sums.add([LOGITS], [Head(0, 0)], torch.tensor([[[5.0]]]))
        assert sums.changes.n_known == 0
        finish(sums, 0)
        finish(sums, 1)
        assert sums.changes.into(LOGITS)[0].nan_to_num(-1).tolist() == [5.0, -1.0]

    def test_effects_are_of_all_prompts_or_of_none(self) -> None:
        sums = sums_of(3, 2)
        for prompts in ([2, 0], [1]):
            assert sums.scale == 0 or sums.normalised().effects.n_known == 0
            values = torch.tensor([[[float(prompt + 1)] for prompt in prompts]])
            sums.add([LOGITS], [Head(0, 0)], values)
            finish(sums, *prompts)
        assert sums.changes.effects(LOGITS)[0, 0].tolist() == [1.0, 2.0, 3.0]
        assert sums.normalised().effects.of(Head(0, 0), LOGITS) == 1.0

    def test_sums_are_whole_when_every_prompt_is_in_them(self) -> None:
        """Also where batches are smaller than their size: 2 of 3 prompts, twice, are not all 5."""
        sums = sums_of(5, 3)
        for prompts, whole in (([0, 1], False), ([2, 3], False), ([4], True)):
            assert not sums.is_whole
            sums.add([LOGITS], [Head(0, 0)], torch.ones(1, len(prompts), 1))
            finish(sums, *prompts)
            assert sums.is_whole == whole

    @settings(deadline=None)
    @given(st.permutations(range(5)), st.integers(1, 5))
    def test_prompts_keep_their_place_in_any_order_and_batch(self, order, size: int) -> None:
        values = torch.randn(4, 5, 2, generator=torch.Generator().manual_seed(0))
        receivers = [Receiver(Head(1, index), "v") for index in (0, 2)]
        sums = sums_of(5, size)
        for prompts in torch.tensor(order).split(size):
            sums.add(receivers, HEADS[:4], values[:, prompts])
            finish(sums, *prompts.tolist(), clean=0.2)
        assert_same(sums.changes.into(receivers[0]), values[..., 0])
        assert_same(sums.changes.into(Receiver(Head(1, 3), "v")), values[..., 1])
        expected = (values.double().sum(1)[:, 1] / sums.scale).float()
        assert sums.scale == pytest.approx(1)
        assert_same(sums.normalised().effects.into(Receiver(Head(1, 2), "v")), expected)

    @pytest.mark.parametrize("harm", [2.0, -2.0])
    def test_remainders_are_sizes_whatever_the_sign_of_the_scale(self, harm: float) -> None:
        sums, three = sums_of(1), torch.tensor([[[3.0]]])
        sums.add([LOGITS], [Head(0, 0)], three, three)
        finish(sums, 0, clean=harm)
        found = sums.normalised()
        assert found.effects.of(Head(0, 0), LOGITS) == 3.0 / harm
        assert found.remainders.of(Head(0, 0), LOGITS) == 1.5

    def test_an_estimator_may_give_no_remainders(self) -> None:
        sums, three = sums_of(1, has_remainders=False), torch.tensor([[[3.0]]])
        sums.add([LOGITS], [Head(0, 0)], three, three)
        finish(sums, 0)
        assert sums.normalised().remainders is None
        again = EdgeSums.of_tensors(GRAPH, sums.tensors())
        assert again.normalised().remainders is None
        assert again.normalised().effects.of(Head(0, 0), LOGITS) == 1.5

    def test_sums_go_on_from_their_tensors(self) -> None:
        draw = torch.Generator().manual_seed(0)
        values = [Receiver(Head(1, index), "v") for index in (0, 2)]

        def batch(sums: EdgeSums, seed: int) -> None:
            draw.manual_seed(seed)
            sums.add(values, HEADS[:4], *torch.rand(2, 4, 3, 2, generator=draw))
            sums.add([LOGITS], HEADS, *torch.rand(2, 12, 3, 1, generator=draw))
            metrics = torch.rand(2, 3, generator=draw)
            sums.finish_batch(torch.arange(3) + 3 * (seed - 1), metrics[0], -metrics[1])

        whole, begun = sums_of(6, 3), sums_of(6, 3)
        batch(whole, 1)
        batch(whole, 2)
        batch(begun, 1)
        again = EdgeSums.of_tensors(GRAPH, {k: t.clone() for k, t in begun.tensors().items()})
        assert (again.batches, again.batch_size, again.scale) == (1, 3, begun.scale)
        assert not again.is_whole
        batch(again, 2)
        assert again.is_whole
        found, expected = again.normalised(), whole.normalised()
        assert expected.effects.n_known == expected.remainders.n_known == 2 * 4 + 12
        assert_same(found.effects.values, expected.effects.values)
        assert_same(found.remainders.values, expected.remainders.values)

    @pytest.mark.parametrize("missing", ["progress", "changes"])
    def test_incomplete_tensors_are_refused(self, missing: str) -> None:
        tensors = sums_of(1).tensors()
        del tensors[missing]
        with pytest.raises(KeyError, match=missing):
            EdgeSums.of_tensors(GRAPH, tensors)

    def test_tensors_of_another_model_are_refused(self) -> None:
        with pytest.raises(MismatchError, match="values of a model of 2 layers x 4 heads must be"):
            EdgeSums.of_tensors(ModelGraph(2, 4, 2), sums_of(1).tensors())

    def test_equal_metrics_are_refused(self) -> None:
        sums = sums_of(1)
        finish(sums, 0, clean=1.0, corrupted=1.0)
        with pytest.raises(NoEffectError, match="clean minus corrupted metric is 0"):
            sums.normalised()
