"""What circuits have in common, by hand and against counting."""

from __future__ import annotations

import random
from collections import Counter
from itertools import pairwise
from math import ceil

import pytest
import torch

from circuits.circuit import Circuit, circuit_of_edges, edge_mask, every_edge, without_dead_ends
from circuits.components import MLP, Connection, Edge, Embedding, Head
from circuits.errors import InputError, MismatchError
from circuits.graph import ModelGraph
from circuits.studies import consensus_circuit, edge_inclusions, node_inclusions
from tests.circuits.circuit.test_dead_ends import matrix

NODES = ModelGraph(3, 4, 2, mlps="nodes")
PATHS = ModelGraph(3, 4, 2)


def of_nodes(*names: str) -> Circuit:
    return circuit_of_edges(NODES, matrix(NODES, map(Connection.parse, names)))


def of_paths(*edges: tuple[str, float]) -> Circuit:
    paths = [(Connection.parse(name), effect) for name, effect in edges]
    made = frozenset(Edge(path.sender, path.receiver, effect) for path, effect in paths)
    heads = {end for edge in made for end in edge.ends if isinstance(end, Head)}
    return Circuit(frozenset(heads), made, 3, 4)


def drawn(seed: int, share: float = 0.1) -> Circuit:
    draw = torch.Generator().manual_seed(seed)
    edges = every_edge(NODES)
    edges &= torch.rand(edges.shape, generator=draw) < share
    effects = torch.randn(edges.shape, generator=draw)
    return circuit_of_edges(NODES, edges, effects)


class TestInclusion:
    def test_of_nodes_mlps_and_the_embedding_count(self) -> None:
        one = of_nodes("embed -> m0", "m0 -> 1.0.q", "1.0 -> logits")
        found = node_inclusions([one, of_nodes("embed -> m0", "m0 -> logits")], NODES)
        assert {row.item: row.count for row in found.rows} == {
            Embedding(): 2,
            MLP(0): 2,
            Head(1, 0): 1,
        }
        assert found.n_possible == 16

    def test_edges_are_counted(self) -> None:
        every = [drawn(seed) for seed in range(5)]
        found = edge_inclusions(every, NODES)
        counts = Counter(path for circuit in every for path in circuit.connections)
        assert {row.item: row.count for row in found.rows} == counts
        assert found.n_possible == NODES.n_edges
        assert found.sizes == tuple(len(circuit.edges) for circuit in every)

    def test_copies_of_a_shared_key_are_one(self) -> None:
        both = of_paths(("0.0 -> 1.0.k", -0.1), ("0.0 -> 1.1.k", -0.1), ("1.0 -> logits", -0.2))
        second = of_paths(("0.0 -> 1.1.k", -0.3))
        found = edge_inclusions([both, second], PATHS)
        assert [(str(row.item), row.count) for row in found.rows] == [
            ("0.0 -> 1.0.k", 2),
            ("1.0 -> logits", 1),
        ]
        assert found.sizes == (2, 1)
        assert found.n_possible == PATHS.n_edges


class TestConsensus:
    def test_effects_are_means_over_the_circuits_that_have_the_edge(self) -> None:
        one = of_paths(("0.0 -> 1.0.q", -0.4), ("1.0 -> logits", -0.2))
        two = of_paths(("0.0 -> 1.0.q", -0.2), ("0.1 -> 1.0.q", -0.2))
        found = consensus_circuit([one, two, Circuit.of_heads(["2.2"], 3, 4)], PATHS, 0.6)
        assert found.heads == {Head(0, 0), Head(1, 0)}
        (edge,) = found.edges
        assert edge.effect == pytest.approx(-0.3)

    def test_a_shared_key_that_circuits_name_by_different_heads_is_agreed_on(self) -> None:
        one = of_paths(("0.0 -> 1.0.k", -0.1), ("1.1 -> logits", -0.1))
        two = of_paths(("0.0 -> 1.1.k", -0.3))
        found = consensus_circuit([one, two], PATHS, 1.0)
        assert found.heads == {Head(0, 0), Head(1, 1)}
        assert [str(path) for path in found.connections] == ["0.0 -> 1.1.k"], "1.0 is not in it"

    def test_edges_that_lead_nowhere_go_and_their_heads_too(self) -> None:
        both = of_nodes("embed -> m0", "m0 -> logits", "embed -> 1.0.q", "1.0 -> logits")
        one = of_nodes("embed -> m0", "m0 -> logits", "embed -> 1.0.q", "1.0 -> m2", "m2 -> logits")
        found = consensus_circuit([both, one], NODES, 1.0)
        assert sorted(map(str, found.nodes)) == ["embed", "m0"]
        assert found.heads == frozenset()

    @pytest.mark.parametrize("share", [0.2, 0.5, 0.8, 1.0])
    def test_it_is_what_counting_and_removing_gives(self, share: float) -> None:
        every = [drawn(seed, 0.5) for seed in range(5)]
        counts = sum(edge_mask(circuit, NODES).int() for circuit in every)
        wanted = without_dead_ends(NODES, counts >= ceil(share * 5))
        found = consensus_circuit(every, NODES, share)
        assert torch.equal(edge_mask(found, NODES), wanted)
        assert found.heads == circuit_of_edges(NODES, wanted).heads

    def test_larger_shares_give_smaller_circuits_and_one_circuit_agrees_with_itself(self) -> None:
        every = [drawn(seed, 0.4) for seed in range(4)]
        found = [consensus_circuit(every, NODES, share / 4) for share in range(1, 5)]
        for larger, smaller in pairwise(found):
            assert smaller.connections <= larger.connections
        whole = circuit_of_edges(NODES, every_edge(NODES))
        assert consensus_circuit([whole], NODES, 1) == whole
        shuffled = random.Random(0).sample(every, 4)
        assert consensus_circuit(shuffled, NODES, 0.5).connections == found[1].connections

    def test_what_makes_no_consensus_is_refused(self) -> None:
        for circuits, share in (([], 0.5), ([drawn(0)], 0.0), ([drawn(0)], 1.5)):
            with pytest.raises(InputError, match="at least 1 circuit, of a share above 0"):
                consensus_circuit(circuits, NODES, share)
        with pytest.raises(MismatchError, match='mlps="path"'):
            consensus_circuit([drawn(0), of_paths(("0.0 -> 1.0.q", -0.1))], NODES)
