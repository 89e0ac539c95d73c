"""The graph of a model against its rules, read naively: one sender and one receiver at a time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuits.components import (
    HEAD_INPUTS,
    MLP,
    Connection,
    Embedding,
    Head,
    Node,
    Receiver,
    all_heads,
    parse_node,
)
from circuits.errors import MismatchError, SettingError
from circuits.graph import ModelGraph
from circuits.model import identify
from tests.circuits.families import N_HEADS, N_LAYERS

LOGITS = Receiver.logits()


@st.composite
def graphs(draw, mlps: str | None = None) -> ModelGraph:
    n_kv_heads, group = draw(st.integers(1, 2)), draw(st.integers(1, 3))
    return ModelGraph(
        draw(st.integers(1, 3)),
        n_kv_heads * group,
        n_kv_heads,
        draw(st.booleans()),
        mlps or draw(st.sampled_from(["path", "nodes"])),
    )


def every_node(graph: ModelGraph) -> set[Node]:
    heads: set[Node] = set(all_heads(graph.n_layers, graph.n_heads))
    mlps = {MLP(layer) for layer in range(graph.n_layers)} | {Embedding()}
    return heads | mlps if graph.mlps == "nodes" else heads


def every_receiver(graph: ModelGraph) -> set[Receiver]:
    """All that can be named, shared ones under each of their names."""
    heads = {
        Receiver(head, name)
        for head in all_heads(graph.n_layers, graph.n_heads)
        for name in HEAD_INPUTS
    }
    mlps = {Receiver.mlp(layer) for layer in range(graph.n_layers)}
    return heads | {LOGITS} | (mlps if graph.mlps == "nodes" else set())


def is_read(graph: ModelGraph, sender: Node, receiver: Receiver) -> bool:
    """What writes below; an MLP also reads its own layer's heads, unless it runs beside them."""
    if receiver.node is None or isinstance(sender, Embedding):
        return True
    own_heads = (
        isinstance(receiver.node, MLP) and isinstance(sender, Head) and not graph.parallel_mlp
    )
    return sender.layer < receiver.node.layer + own_heads


def key_value_head(graph: ModelGraph, receiver: Receiver) -> object:
    """What tells receivers apart: a head's own query, and the key or value that it reads."""
    if graph.mlps == "nodes" or receiver.head is None or receiver.input == "q":
        return receiver
    group = graph.n_heads // graph.n_kv_heads
    return receiver.head.layer, receiver.head.index // group, receiver.input


class TestRules:
    @given(graphs())
    def test_senders_are_all_nodes_in_the_order_in_which_they_write(self, graph) -> None:
        assert list(graph.senders) == sorted(every_node(graph))
        assert [graph.column(sender) for sender in graph.senders] == [*range(len(graph.senders))]

    @given(graphs())
    def test_what_a_receiver_reads_is_always_the_first_so_many(self, graph) -> None:
        for receiver in every_receiver(graph):
            below = tuple(sender for sender in graph.senders if is_read(graph, sender, receiver))
            assert graph.senders_below(receiver) == below == graph.senders[: len(below)]
            assert graph.senders[graph.below(receiver)] == below

    @given(graphs())
    def test_reads(self, graph) -> None:
        for receiver in every_receiver(graph):
            for sender in every_node(graph):
                assert graph.reads(receiver, sender) == is_read(graph, sender, receiver)

    @given(graphs())
    def test_receivers_are_named_by_the_first_head_that_shares_them(self, graph) -> None:
        units: dict[object, Receiver] = {}
        for receiver in sorted(every_receiver(graph)):
            units.setdefault(key_value_head(graph, receiver), receiver)
        assert set(graph.receivers) == set(units.values())
        assert len(graph.receivers) == len(units)
        for receiver in every_receiver(graph):
            unit = graph.unit(receiver)
            assert unit == units[key_value_head(graph, receiver)]
            assert graph.receivers[graph.row(receiver)] == unit
            assert graph.below(receiver) == graph.below(unit)

    @given(graphs())
    def test_receivers_lie_one_layer_above_the_other(self, graph) -> None:
        layers = [receiver.node.layer for receiver in graph.receivers[:-1]]
        assert layers == sorted(layers)
        assert graph.receivers[-1] == LOGITS
        reached = [graph.below(receiver).stop for receiver in graph.receivers]
        assert reached == sorted(reached)

    @given(graphs())
    def test_readers_are_the_nodes_that_share_a_receiver(self, graph) -> None:
        for receiver in every_receiver(graph):
            same = key_value_head(graph, receiver)
            sharing = sorted(r for r in every_receiver(graph) if key_value_head(graph, r) == same)
            assert graph.readers(receiver) == tuple(r.node for r in sharing if r.node is not None)
            if graph.mlps == "path":
                assert graph.members(receiver) == graph.sharing(receiver) == tuple(sharing)
            else:
                assert graph.members(receiver) == (receiver,)

    @given(graphs())
    def test_edges_are_those_of_every_receiver_once(self, graph) -> None:
        edges = list(graph.edges)
        assert len(edges) == len(set(edges)) == graph.n_edges
        assert set(edges) == {
            Connection(sender, receiver)
            for receiver in graph.receivers
            for sender in every_node(graph)
            if is_read(graph, sender, receiver)
        }

    @given(graphs())
    def test_edges_under_another_heads_name_are_no_more(self, graph) -> None:
        everything = {
            Connection(sender, receiver)
            for receiver in every_receiver(graph)
            for sender in graph.senders_below(receiver)
        }
        assert graph.n_distinct(everything) == graph.n_edges
        assert graph.n_distinct([]) == 0

    @given(graphs())
    def test_inputs_of_a_node_are_where_it_reads_something(self, graph) -> None:
        for node in every_node(graph):
            own = {r for r in every_receiver(graph) if r.node == node and graph.below(r).stop}
            inputs = graph.inputs(node)
            assert set(inputs) == own
            assert len(inputs) == len(own)

    @given(graphs("path"))
    def test_where_mlps_belong_to_the_paths_it_does_not_matter_what_they_read(self, graph) -> None:
        sizes = graph.n_layers, graph.n_heads, graph.n_kv_heads
        beside, behind = ModelGraph(*sizes, parallel_mlp=True), ModelGraph(*sizes)
        assert list(beside.edges) == list(behind.edges)


class TestKnownModels:
    @pytest.mark.parametrize(
        ("sizes", "n_edges"),
        [
            pytest.param((12, 12, 12), 32_491, id="gpt2"),
            pytest.param((30, 9, 3), 123_211, id="smollm2-135m"),
            pytest.param((24, 14, 2), 179_749, id="qwen2.5-0.5b"),
            pytest.param((26, 8, 4), 74_218, id="gemma-2-2b"),
            pytest.param((32, 32, 8), 1_592_881, id="llama-3.1-8b"),
        ],
    )
    def test_edges_where_mlps_are_nodes(self, sizes, n_edges: int) -> None:
        """As EAP-IG counts them (arXiv 2403.17806): every query head has keys of its own."""
        assert ModelGraph(*sizes, mlps="nodes").n_edges == n_edges

    @pytest.mark.parametrize("sizes", [(12, 12, 12), (30, 9, 3), (24, 14, 2), (3, 4, 1)])
    def test_edges_between_heads_alone(self, sizes) -> None:
        """Each pair of layers joins every head to the queries, keys and values above."""
        n_layers, n_heads, n_kv_heads = sizes
        pairs = n_layers * (n_layers - 1) // 2
        expected = n_layers * n_heads + pairs * n_heads * (n_heads + 2 * n_kv_heads)
        assert ModelGraph(*sizes).n_edges == expected

    def test_gpt2_between_heads_alone(self) -> None:
        assert ModelGraph(12, 12, 12).n_edges == 144 + 66 * 12 * 12 * 3

    @pytest.mark.parametrize(
        ("parallel", "reads"), [(False, "embed 0.0 0.1 m0 1.0 1.1"), (True, "embed 0.0 0.1 m0")]
    )
    def test_an_mlp_reads_its_own_layers_heads_unless_it_runs_beside_them(
        self, parallel: bool, reads: str
    ) -> None:
        graph = ModelGraph(3, 2, 2, parallel, "nodes")
        assert graph.senders_below(Receiver.mlp(1)) == tuple(map(parse_node, reads.split()))
        queries = graph.senders_below(Receiver(Head(1, 0), "q"))
        assert queries == tuple(map(parse_node, ["embed", "0.0", "0.1", "m0"]))

    @pytest.mark.parametrize(
        ("name", "n_kv_heads", "expected"),
        [
            ("2.5.q", 2, "2.5.q"),
            ("2.5.k", 2, "2.3.k"),
            ("2.2.v", 2, "2.0.v"),
            ("2.5.v", 6, "2.5.v"),
            ("2.5.k", 1, "2.0.k"),
            ("logits", 2, "logits"),
        ],
    )
    def test_the_first_head_of_a_group_names_its_keys(self, name, n_kv_heads, expected) -> None:
        receiver = Receiver.parse(name)
        assert ModelGraph(3, 6, n_kv_heads).unit(receiver) == Receiver.parse(expected)
        assert ModelGraph(3, 6, n_kv_heads, mlps="nodes").unit(receiver) == receiver

    def test_a_group_reads_together(self) -> None:
        graph, value = ModelGraph(3, 6, 2), Receiver.parse("2.4.v")
        group = [Head(2, 3), Head(2, 4), Head(2, 5)]
        assert graph.sharing(value) == tuple(Receiver(head, "v") for head in group)
        assert graph.readers(value) == tuple(group)
        assert graph.readers(Receiver.parse("2.4.q")) == (Head(2, 4),)
        assert graph.readers(LOGITS) == ()

    def test_the_lowest_heads_read_the_embedding_or_nothing(self) -> None:
        assert ModelGraph(3, 2, 1).inputs(Head(0, 1)) == ()
        with_mlps = ModelGraph(3, 2, 1, mlps="nodes")
        assert len(with_mlps.inputs(Head(0, 1))) == 3
        assert with_mlps.inputs(MLP(0)) == (Receiver.mlp(0),)
        assert with_mlps.inputs(Embedding()) == ()


@pytest.mark.parametrize("mlps", ["path", "nodes"])
def test_of_a_model_in_pieces_and_of_its_identity(bridge, layered, mlps: str) -> None:
    graph = layered.graph(mlps)
    assert (graph.n_layers, graph.n_heads, graph.mlps) == (N_LAYERS, N_HEADS, mlps)
    assert graph.n_kv_heads == (getattr(bridge.cfg, "n_key_value_heads", None) or N_HEADS)
    assert graph.parallel_mlp == (bridge.cfg.model_name == "tiny-gpt-neox")
    assert identify(bridge).graph(mlps) == graph


class TestWhatIsInIt:
    def test_heads(self) -> None:
        graph = ModelGraph(3, 4, 2)
        assert Head(2, 3) in graph
        assert Receiver(Head(2, 3), "k") in graph
        assert LOGITS in graph
        for outside in (Head(3, 0), Head(0, 4), Receiver(Head(3, 0), "q")):
            assert outside not in graph

    def test_mlps_only_where_they_are_nodes(self) -> None:
        path, nodes = ModelGraph(3, 4, 2), ModelGraph(3, 4, 2, mlps="nodes")
        for part in (Embedding(), MLP(2), Receiver.mlp(2)):
            assert part in nodes
            assert part not in path
        for outside in (MLP(3), Receiver.mlp(3)):
            assert outside not in nodes

    @pytest.mark.parametrize("name", ["row", "below", "senders_below"])
    def test_a_receiver_of_another_model_is_refused(self, name: str) -> None:
        graph = ModelGraph(3, 4, 2)
        for receiver in (Receiver(Head(3, 0), "q"), Receiver.mlp(0)):
            with pytest.raises(MismatchError, match=f"no receiver {receiver} in a model of 3 lay"):
                getattr(graph, name)(receiver)

    @pytest.mark.parametrize("node", [Head(0, 4), MLP(0), Embedding()])
    def test_a_node_of_another_model_is_refused(self, node) -> None:
        graph = ModelGraph(3, 4, 2)
        with pytest.raises(MismatchError, match=f"no node {node} in a model of 3 layers x 4 heads"):
            graph.column(node)

    def test_known_heads_are_in_order_and_once(self) -> None:
        graph = ModelGraph(2, 2, 1)
        assert graph.known_heads(None) == all_heads(2, 2)
        assert graph.known_heads(iter([Head(1, 0), Head(0, 1), Head(1, 0)])) == (
            Head(0, 1),
            Head(1, 0),
        )
        assert graph.known_heads([]) == ()
        assert graph.known_heads(["1.0", Head(0, 1)]) == (Head(0, 1), Head(1, 0))
        message = r"heads 0.2, 2.0 are not in the model, which is a model of 2 layers x 2 heads"
        with pytest.raises(MismatchError, match=message):
            graph.known_heads([Head(2, 0), Head(0, 0), Head(0, 2)])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_layers": 0}, "n_layers must be at least 1, got 0"),
        ({"n_heads": 0}, "n_heads must be at least 1, got 0"),
        ({"n_kv_heads": -1}, "n_kv_heads must be at least 1, got -1"),
        ({"n_kv_heads": 3}, "4 heads cannot share 3 key/value heads equally"),
    ],
)
def test_sizes_that_no_model_has(settings, message: str) -> None:
    with pytest.raises(SettingError, match=message):
        ModelGraph(**{"n_layers": 3, "n_heads": 4, "n_kv_heads": 2, **settings})


def test_equal_models_have_equal_graphs() -> None:
    one, other = ModelGraph(3, 4, 2), ModelGraph(3, 4, 2)
    assert one.senders
    assert one.receivers
    assert one == other
    assert hash(one) == hash(other)
    assert one != ModelGraph(3, 4, 2, mlps="nodes")
