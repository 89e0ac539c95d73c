"""Shipped references, and what makes one."""

from __future__ import annotations

import json
import re
from importlib import resources

import pytest
from pydantic import TypeAdapter

from circuits import (
    Circuit,
    Edge,
    Head,
    Receiver,
    compare_circuits,
    list_references,
    load_reference,
)
from circuits.circuit import edge_mask, without_dead_ends
from circuits.components import MLP, Connection, Embedding
from circuits.discovery.config import DiscoveryConfig
from circuits.errors import FormatError, MismatchError, UnknownNameError
from circuits.graph import ModelGraph
from circuits.model import list_models
from circuits.references import Reference, check_same_shape
from circuits.tasks import list_tasks
from tests.circuits.cli.command_line import circuits, error_of

MINE = {
    "name": "mine",
    "task": "ioi",
    "model": "gpt2",
    "n_layers": 3,
    "n_heads": 2,
    "roles": {"early": ["0.1"], "late": ["2.0", "2.1"]},
    "citation": "Someone",
    "read_from": ["somewhere"],
    "verified": True,
    "edges": [
        {"sender": "0.1", "receiver": "2.0.q", "effect": -0.5},
        {"sender": "2.0", "receiver": "logits"},
    ],
}
LATER = {
    "mlps",
    "positions",
    "search",
    "n_edges",
    "keep",
    "n_validation_prompts",
    "n_held_out_prompts",
}
LATER |= {"start", "divergence_threshold", "most_passes"}
"""Settings that there were none of when references were made: one search, no choice of a size."""
SHAPES = {entry.name: (entry.n_layers, entry.n_heads) for entry in list_models()}
SHAPES["attn-only-4l"] = (4, 8)


def reference(**changes) -> Reference:
    return Reference.from_json(json.dumps(MINE | changes))


@pytest.mark.parametrize("name", list_references())
class TestShipped:
    def test_belongs_to_its_file_a_task_and_a_model(self, name: str) -> None:
        found = load_reference(name)
        assert found.name == name
        assert found.task in list_tasks()
        assert name.startswith(f"{found.task}-{found.model}")
        assert (found.n_layers, found.n_heads) == SHAPES[found.model]

    def test_says_where_it_is_from(self, name: str) -> None:
        found = load_reference(name)
        assert found.heads
        assert all(len(place) > 20 for place in (found.citation, *found.read_from))
        assert found.verified or "UNCORROBORATED" in found.note
        text = found.to_json()
        assert "/work" not in text
        assert "REFERENCES" not in text

    def test_what_others_published_is_pinned_to_a_commit(self, name: str) -> None:
        found = load_reference(name)
        for place in () if found.is_ours else found.read_from:
            assert re.search(r"https://github.com/[^/]+/[^/]+/blob/[0-9a-f]{40}/", place)

    def test_file_is_what_would_be_written(self, name: str) -> None:
        text = resources.files("circuits.references").joinpath(f"{name}.json").read_text()
        assert load_reference(name).to_json() == text

    def test_ours_have_settings_and_effects(self, name: str) -> None:
        found = load_reference(name)
        assert found.is_ours == ("smollm2" in name)
        if found.made_with is not None:
            settings = found.made_with["config"]
            assert settings.keys() == vars(DiscoveryConfig()).keys() - LATER
            read = TypeAdapter(DiscoveryConfig).validate_python(settings)
            assert (read.engine, read.search) == ("exact", "grow")
            assert found.circuit.connections == found.connections != frozenset()


class TestPublishedLists:
    """Figures that the papers state of their own circuits."""

    def test_ioi(self) -> None:
        found = load_reference("ioi-gpt2")
        assert len(found.heads) == 26
        assert len(found.roles) == 7
        assert found.roles["name mover"] == {Head(9, 9), Head(10, 0), Head(9, 6)}
        senders = {path.sender for path in found.connections if path.receiver.head is None}
        movers = [role for role in found.roles if "name mover" in role]
        assert senders == frozenset().union(*(found.roles[role] for role in movers))

    def test_docstring(self) -> None:
        found = load_reference("docstring-attn-only-4l")
        assert {path.sender for path in found.connections} == found.heads
        assert len(found.connections) == 16

    def test_two_readings_of_greater_than_differ(self) -> None:
        by_hanna, by_acdc = map(load_reference, ("greater-than-gpt2", "greater-than-gpt2-acdc"))
        overlap = by_hanna.circuit.compare(by_acdc.circuit)
        assert overlap.false_positives == {Head(5, 1), Head(8, 8)}
        assert overlap.false_negatives == {Head(6, 1)}

    def test_greater_than_has_its_mlps(self) -> None:
        """Its edges between heads, and to the logits, are those of the reference of heads alone."""
        heads_alone, whole = map(
            load_reference, ("greater-than-gpt2-acdc", "greater-than-gpt2-acdc-mlps")
        )
        between_heads = {
            edge for edge in whole.connections if all(isinstance(end, Head) for end in edge.ends)
        }
        assert between_heads == heads_alone.connections
        assert whole.heads == heads_alone.heads
        assert whole.nodes == {*whole.heads, Embedding(), *map(MLP, range(12))}
        assert (len(whole.edges), whole.circuit.mlps) == (235, "nodes")
        graph = ModelGraph(12, 12, 12, mlps="nodes")
        edges = frozenset(Edge(edge.sender, edge.receiver, 0.0) for edge in whole.edges)
        circuit = Circuit(whole.heads, edges, 12, 12, "nodes")
        found = edge_mask(circuit, graph)
        assert without_dead_ends(graph, found).equal(found), "each of them leads somewhere"
        names = "embed -> m0", "0.1 -> m0", "m3 -> 5.5.v", "m7 -> 8.11.q", "9.1 -> m9"
        assert whole.connections >= set(map(Connection.parse, names))
        assert Connection.parse("m7 -> 8.11.v") not in whole.connections
        comparison = compare_circuits(circuit, whole)
        assert comparison.nodes is not None
        assert comparison.edges is not None
        assert comparison.nodes.overlap.f1 == comparison.edges.overlap.f1 == 1

    def test_only_the_gendered_pronouns_of_gpt2_are_unverified(self) -> None:
        unverified = [name for name in list_references() if not load_reference(name).verified]
        assert unverified == ["gendered-pronouns-gpt2"]


class TestReference:
    def test_gives_a_circuit_with_the_edges_whose_effect_is_known(self) -> None:
        found = reference()
        edge = Edge(Head(0, 1), Receiver.parse("2.0.q"), -0.5)
        assert found.circuit == Circuit(found.heads, frozenset({edge}), 3, 2)
        assert {str(path) for path in found.connections} == {"0.1 -> 2.0.q", "2.0 -> logits"}

    def test_round_trip(self) -> None:
        assert Reference.from_json(reference().to_json()) == reference()

    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"roles": {"all": ["3.0"]}, "edges": []}, "3.0 is outside a model of 3 layers"),
            ({"roles": {"a": ["0.1"], "b": ["0.1"]}, "edges": []}, "heads with two roles: 0.1"),
            ({"roles": {"all": ["x"]}}, "roles.all.*layer.index"),
            ({"roles": {"all": ["0.1"]}}, "leaves the circuit of 1 heads"),
            ({"edges": 2 * MINE["edges"]}, "4 edges are only 2 paths"),
            ({"edges": [{"sender": "2.0", "receiver": "2.1.q"}]}, "does not lead to a higher"),
            ({"edges": [{"sender": "0.1", "receiver": "2.0"}]}, "edges.0.receiver.*9.6.q"),
            ({"mlps": [3]}, "not all within 3 layers"),
            ({"name": "Not a name"}, "lower-case"),
            ({"verified": None}, "verified"),
            ({"unknown": 1}, "unknown"),
        ],
    )
    def test_nonsense_is_refused(self, changes: dict, message: str) -> None:
        with pytest.raises(FormatError, match=message):
            reference(**changes)

    def test_what_is_missing_is_named(self) -> None:
        with pytest.raises(FormatError, match="malformed: citation: "):
            Reference.from_json(json.dumps({k: v for k, v in MINE.items() if k != "citation"}))


def test_an_unknown_name_suggests_a_known_one() -> None:
    with pytest.raises(
        UnknownNameError, match=r"'ioi-gtp2'; did you mean 'ioi-gpt2'.*docstring-attn"
    ):
        load_reference("ioi-gtp2")
    with pytest.raises(UnknownNameError, match="'zzz'; known references: docstring"):
        load_reference("zzz")


def test_another_shape_is_refused_and_fitting_references_named() -> None:
    found = load_reference("ioi-gpt2")
    check_same_shape(found, Circuit.of_heads([], 12, 12))
    message = r"gpt2 \(12 layers x 12 heads\), .* 30 layers x 9 heads; .*: docstring-smollm2-135m, "
    with pytest.raises(MismatchError, match=message):
        check_same_shape(found, Circuit.of_heads([], 30, 9))
    with pytest.raises(MismatchError, match="7 layers x 7 heads; no reference fits it"):
        check_same_shape(found, Circuit.of_heads([], 7, 7))


class TestCommand:
    def test_lists_all(self) -> None:
        shown = circuits("references")
        assert shown.exit_code == 0
        assert all(name in shown.stdout for name in list_references())
        assert shown.stdout.count("unverified") == 1
        listed = json.loads(circuits("references", "--json").stdout)
        assert [entry["name"] for entry in listed] == list(list_references())
        assert listed[0]["read_from"]

    def test_shows_one_with_roles_and_source(self) -> None:
        shown = "".join(circuits("references", "ioi-gpt2").stdout.split())
        assert "arXiv:2211.00593" in shown
        assert "S-inhibition7.37.98.68.10" in shown
        assert "ioi_circuit_extraction.py" in shown
        printed = json.loads(circuits("references", "ioi-gpt2", "--json").stdout)
        assert printed == load_reference("ioi-gpt2").to_dict()

    def test_says_what_is_not_corroborated_and_how_ours_were_made(self) -> None:
        assert "UNCORROBORATED" in circuits("references", "gendered-pronouns-gpt2").stdout
        shown = circuits("references", "greater-than-smollm2-135m").stdout
        assert "path-patching, exact" in shown
        assert "55.8 %" in shown

    def test_refuses_an_unknown_one(self) -> None:
        assert "did you mean 'ioi-gpt2'" in error_of("references", "ioi-gtp2", code=2)
