"""A circuit against a reference."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from itertools import product
from math import isnan

import numpy as np
import pytest

from circuits import Circuit, Edge, Head, Receiver, compare_circuits, load_reference
from circuits.circuit import circuit_of_edges
from circuits.comparison.compare import STRONGEST_EFFECT
from circuits.components import MLP, Connection, Embedding, all_heads
from circuits.errors import MismatchError
from circuits.graph import ModelGraph
from circuits.references import Reference
from circuits.statistics import Chance
from tests.circuits.circuit.test_dead_ends import matrix
from tests.circuits.cli.command_line import circuits, error_of
from tests.circuits.comparison.paths import HEADS, every_path


def circuit(*edges: str) -> Circuit:
    paths = [edge.split() for edge in edges]
    made = frozenset(Edge(Head.parse(s), Receiver.parse(r), -0.1) for s, r in paths)
    ends = {e.sender for e in made} | {e.receiver.head for e in made if e.receiver.head}
    return Circuit(frozenset(ends), made, 3, 4)


class TestCircuits:
    def test_by_hand(self) -> None:
        mine = circuit("0.0 1.1.q", "1.1 logits", "0.2 logits")
        theirs = circuit("0.0 1.1.q", "0.0 1.1.k", "1.1 logits")
        found = compare_circuits(mine, theirs)
        assert found.heads.overlap == mine.compare(theirs)
        assert found.heads.chance.precision.mean == pytest.approx(2 / 12)
        assert found.edges is not None
        assert found.edges_by_heads is not None
        overlap = found.edges.overlap
        assert (overlap.precision, overlap.recall, overlap.iou) == (2 / 3, 2 / 3, 2 / 4)
        assert overlap.f1 == pytest.approx(2 / 3)
        assert found.edges.chance.recall.mean == pytest.approx(3 / len(every_path(HEADS)))
        assert found.edges.p_value < found.heads.p_value
        between = every_path(mine.heads)
        assert found.edges_by_heads.precision.mean == pytest.approx(3 / len(between))

    def test_what_cannot_be_reached_between_the_heads_counts_against_recall(self) -> None:
        mine, theirs = circuit("0.0 1.1.q"), circuit("0.0 1.1.q", "0.0 2.3.v")
        found = compare_circuits(mine, theirs)
        assert found.edges_by_heads is not None
        assert found.edges_by_heads.n_reachable == 1
        assert found.edges_by_heads.n_reference == 2

    def test_the_circuit_itself_is_perfect(self) -> None:
        mine = circuit("0.0 1.1.q", "1.1 logits")
        found = compare_circuits(mine, mine)
        assert found.edges is not None
        for agreement in (found.heads, found.edges):
            assert agreement.overlap.f1 == agreement.overlap.iou == 1
            assert agreement.chance.f1.mean < 0.2

    def test_copies_of_a_shared_key_are_found_once(self) -> None:
        """Two heads share each key and value, and one path into one was found, of three."""
        mine = circuit("0.0 1.0.k", "0.0 1.1.k", "1.0 logits", "1.1 logits")
        theirs = circuit("0.0 1.1.k", "0.0 1.0.k", "0.3 1.0.v", "0.3 1.1.v", "0.2 1.2.q")
        graph = ModelGraph(n_layers=3, n_heads=4, n_kv_heads=2)
        shared, alone = (compare_circuits(mine, theirs, given) for given in (graph, None))
        assert [len(found.edges.overlap.true_positives) for found in (shared, alone)] == [1, 2]
        assert (shared.edges.overlap.recall, alone.edges.overlap.recall) == (1 / 3, 2 / 5)
        assert shared.edges.chance == Chance(3, 3, n_possible=graph.n_edges, n_reachable=3)
        assert shared.edges_by_heads.n_reachable == 1
        assert shared.edges.p_value > alone.edges.p_value

    def test_random_circuits_are_rarely_said_to_agree(self) -> None:
        """With all copies of what is shared, as a search finds them: 1 in 20 at p = 0.05."""
        graph = ModelGraph(n_layers=4, n_heads=8, n_kv_heads=2)
        draw, edges = random.Random(0), list(graph.edges)

        def drawn() -> Circuit:
            found = frozenset(
                Edge(path.sender, receiver, -0.1)
                for path in draw.sample(edges, 40)
                for receiver in graph.members(path.receiver)
            )
            heads = {end for edge in found for end in edge.ends if isinstance(end, Head)}
            return Circuit(frozenset(heads), found, 4, 8)

        p_values = [compare_circuits(drawn(), drawn(), graph).edges.p_value for _ in range(300)]
        assert 0.01 < np.mean(np.array(p_values) <= 0.05) <= 0.05 + 0.02

    def test_without_edges_or_scores_there_is_nothing_to_say_of_them(self) -> None:
        found = compare_circuits(circuit("0.0 1.1.q"), Circuit.of_heads(["0.0"], 3, 4))
        assert found.edges is found.edges_by_heads is found.edge_ranking is None
        assert found.head_rankings == {}

    def test_circuits_whose_mlps_are_nodes(self) -> None:
        """Nodes, too, are compared, and chance draws from all nodes and edges of that graph."""
        graph = ModelGraph(3, 4, 2, mlps="nodes")
        names = "embed -> m0", "m0 -> 1.0.q", "1.0 -> m1", "m1 -> logits", "1.0 -> 2.1.k"
        edges = [frozenset(some) for some in (names[:3], names[1:])]
        mine, theirs = (
            circuit_of_edges(graph, matrix(graph, map(Connection.parse, some))) for some in edges
        )
        found = compare_circuits(mine, theirs)
        assert found.heads.overlap.recall == 1 / 2
        assert found.nodes is not None
        assert found.edges is not None
        assert found.nodes.overlap.true_positives == {MLP(0), Head(1, 0), MLP(1)}
        assert found.nodes.overlap.false_positives == {Embedding()}
        assert found.nodes.chance == Chance(4, 4, n_possible=16, n_reachable=4)
        assert found.edges.overlap.recall == 2 / 4
        assert found.edges.chance == Chance(3, 4, n_possible=graph.n_edges, n_reachable=4)
        between = [edge for edge in graph.edges if mine.nodes.issuperset(edge.ends)]
        assert found.edges_by_heads.n_possible == len(between)
        assert found.edges_by_heads.n_reachable == 3, "2.1 is not among its nodes"
        with pytest.raises(MismatchError, match="different graphs"):
            compare_circuits(mine, circuit("0.0 1.1.q"))

    def test_models_of_other_shapes_are_refused(self) -> None:
        with pytest.raises(MismatchError, match="different models"):
            compare_circuits(circuit("0.0 1.1.q"), Circuit.of_heads([], 4, 4))
        with pytest.raises(MismatchError, match="ioi-gpt2 is a circuit of gpt2"):
            compare_circuits(circuit("0.0 1.1.q"), load_reference("ioi-gpt2"))


class TestDiscoveries:
    def test_scores_are_ranked(self, found) -> None:
        comparison = compare_circuits(found, found.circuit)
        assert comparison.head_rankings.keys() == {*found.scores, STRONGEST_EFFECT}
        assert comparison.edge_ranking is not None
        assert comparison.edge_ranking.n_positive == len(found.circuit.edges) > 0

    def test_strongest_effects_are_largest_over_all_receivers(self, found) -> None:
        effects = found.effects
        largest = dict.fromkeys(all_heads(found.circuit.n_layers, found.circuit.n_heads), 0.0)
        for path in every_path(largest):
            effect = effects.of(path.sender, path.receiver)
            known = 0.0 if isnan(effect) else abs(effect)
            largest[path.sender] = max(largest[path.sender], known)
        inside = [largest[head] for head in largest if head in found.circuit]
        outside = [largest[head] for head in largest if head not in found.circuit]
        pairs = list(product(inside, outside))
        right = np.mean([(a > b) + (a == b) / 2 for a, b in pairs])
        comparison = compare_circuits(found, found.circuit)
        assert comparison.head_rankings[STRONGEST_EFFECT].auc == pytest.approx(right)

    def test_pruning_alone_ranks_by_its_scores(self, found) -> None:
        heads = Circuit.of_heads(found.circuit.heads, found.circuit.n_layers, found.circuit.n_heads)
        pruned = replace(found, effects=None, circuit=heads)
        comparison = compare_circuits(pruned, found.circuit)
        assert comparison.head_rankings.keys() == found.scores.keys()
        assert comparison.edge_ranking is comparison.edges is None

    def test_edges_of_a_reference_need_no_effect(self, found) -> None:
        edge = min(found.circuit.edges)
        ends = {edge.sender} | ({edge.receiver.head} if edge.receiver.head else set())
        data = {
            "name": "mine",
            "task": "toy",
            "model": "toy",
            "n_layers": found.circuit.n_layers,
            "n_heads": found.circuit.n_heads,
            "roles": {"all": [str(head) for head in ends]},
            "citation": "x",
            "read_from": [],
            "verified": True,
            "edges": [{"sender": str(edge.sender), "receiver": str(edge.receiver)}],
        }
        comparison = compare_circuits(found, Reference.from_json(json.dumps(data)))
        assert comparison.edges is not None
        assert comparison.edges.overlap.true_positives == {edge.connection}
        assert comparison.edges.overlap.recall == 1


@pytest.fixture
def run(found, tmp_path):
    found.save(tmp_path / "toy")
    return tmp_path / "toy"


class TestCommand:
    def test_shows_figures_beside_chance(self, run, found) -> None:
        shown = circuits("compare", run, run)
        assert shown.exit_code == 0
        for part in ("by chance, 95 %", "by chance, same heads", "F1", "p = ", "AUC"):
            assert part in shown.stdout
        assert f"heads by {STRONGEST_EFFECT}" in shown.stdout
        mean = compare_circuits(found, found.circuit).heads.chance.iou.mean
        assert f"{mean:.3f} (" in shown.stdout

    def test_json_has_all_of_it(self, run, found) -> None:
        printed = json.loads(circuits("compare", run, run, "--json").stdout)
        comparison = compare_circuits(found, found.circuit)
        assert printed["f1"] == printed["edges"]["f1"] == 1
        assert printed["reference"] is None
        assert printed["chance"]["recall"]["mean"] == comparison.heads.chance.recall.mean
        assert printed["edges"]["p_value"] == comparison.edges.p_value
        assert printed["edges"]["chance_same_heads"]["iou"].keys() == {"mean", "low", "high"}
        assert printed["edges"]["true_positives"][0] == str(min(found.circuit.edges).connection)
        assert printed["edge_ranking"]["auc"] == comparison.edge_ranking.auc
        assert printed["head_rankings"].keys() == comparison.head_rankings.keys()

    def test_takes_a_reference_by_name(self, tmp_path) -> None:
        file = tmp_path / "circuit.json"
        reference = load_reference("ioi-gpt2")
        file.write_text(reference.circuit.to_json())
        printed = json.loads(circuits("compare", file, "ioi-gpt2", "--json").stdout)
        assert printed["reference"] == "ioi-gpt2"
        assert printed["recall"] == 1

    def test_refuses_another_shape_and_an_unknown_name(self, run) -> None:
        assert "is a circuit of gpt2" in error_of("compare", run, "ioi-gpt2", code=2)
        unknown = error_of("compare", run, "ioi-gtp2", code=2)
        assert "no run or file ioi-gtp2 here, and unknown reference" in unknown
        assert "did you mean 'ioi-gpt2'" in unknown
        assert "is no saved run" in error_of("compare", run, "./ioi-gpt2", code=1)

    def test_warns_of_what_weakens_a_comparison(self, run, found, tmp_path) -> None:
        wide = replace(found, circuit=Circuit.of_heads(["0.0"], 12, 12), effects=None, scores={})
        wide.save(tmp_path / "wide")
        result = circuits("compare", tmp_path / "wide", "gendered-pronouns-gpt2")
        assert result.exit_code == 0
        warnings = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
        assert "not seen in a primary source" in warnings[0]
        assert "of task gendered-pronouns, the run is of toy" in warnings[1]
        assert "of model gpt2, the run is of" in warnings[2]

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"name": "another"}, ["is of model another, the run is of tiny-gemma3"]),
            (
                {"weight_hash": "f" * 32},
                ["is of other weights of tiny-gemma3 (ffffffffffff, float"],
            ),
            ({}, []),
        ],
    )
    def test_warns_of_another_model_of_the_same_shape(
        self, run, found, tmp_path, change, said
    ) -> None:
        source = found.provenance
        other = replace(source, model=replace(source.model, **change))
        replace(found, provenance=other).save(tmp_path / "other")
        result = circuits("compare", run, tmp_path / "other")
        assert result.exit_code == 0
        warnings = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
        assert len(warnings) == len(said)
        assert all(part in line for part, line in zip(said, warnings, strict=True))
