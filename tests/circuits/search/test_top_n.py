"""The strongest edges, with a dictionary in the place of a model, and on a tiny model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
import torch

from circuits import SelectionRule, discover_circuit
from circuits.components import HEAD_INPUTS, Connection, Head, Node, Receiver
from circuits.errors import SettingError
from circuits.graph import ModelGraph
from circuits.model import tokenizer_of
from circuits.patching import EdgeEstimates, EdgeValues, effect_table, path_effects
from circuits.runtime.progress import SILENT, Progress
from circuits.search import SEARCHES, EdgeSource, Grown, SearchSettings, Verifier
from circuits.search.top_n import TOP_N, strongest
from tests.circuits.search.effects import NAN, heads

GRAPH = ModelGraph(n_layers=3, n_heads=4, n_kv_heads=2)
RULES = [SelectionRule(), SelectionRule(threshold=0.1)]


def values_of(effects: dict[str, float]) -> EdgeValues:
    """Effects by the edges' names; 0 on all others."""
    values = EdgeValues.unknown(GRAPH)
    for receiver in GRAPH.receivers:
        values.into(receiver)[:] = 0.0
    for name, effect in effects.items():
        edge = Connection.parse(name)
        values.put(edge.receiver, [edge.sender], [effect])
    return values


@dataclass
class Source:
    """Estimates and exact effects that are given."""

    estimated: dict[str, float]
    settings: SearchSettings
    exact: dict[str, float] = field(default_factory=dict)
    is_exact: bool = False
    graph: ModelGraph = GRAPH
    heads: tuple[Head, ...] = GRAPH.heads
    asked: list[tuple[Receiver, tuple[Node, ...]]] = field(default_factory=list)

    def estimates(self, progress: Progress) -> EdgeEstimates:
        return EdgeEstimates(values_of(self.estimated), None)

    def measured(self, receiver: Receiver, senders: Sequence[Node] | None = None) -> torch.Tensor:
        assert senders is not None
        self.asked.append((receiver, tuple(senders)))
        known = values_of(self.exact).into(receiver)
        chosen = torch.tensor([s in senders for s in GRAPH.senders_below(receiver)])
        return known.where(chosen, NAN)

    def p_values(self, receiver: Receiver, min_effect: float) -> torch.Tensor:
        raise AssertionError("nothing is tested")

    def known(self) -> EdgeValues:
        raise AssertionError("nothing else is looked at")

    def verifying(self, estimates: EdgeEstimates, n_sampled: int) -> Verifier:
        raise AssertionError("nothing else is verified")


def found_in(source: EdgeSource) -> Grown:
    found = TOP_N.find(source, RULES, SILENT)
    assert len(found) == len(RULES)
    assert found[0].circuit == found[1].circuit, "no rule has a say"
    return found[0]


ESTIMATED = {
    "2.1 -> logits": -0.9,
    "1.2 -> logits": 0.3,
    "0.0 -> 2.1.q": 0.5,
    "0.3 -> 1.2.v": -0.4,
    "0.1 -> 2.3.q": 0.8,
    "1.0 -> 2.3.q": 0.7,
    "0.2 -> 1.0.k": -0.6,
}


def test_it_is_one_of_the_searches() -> None:
    assert SEARCHES.get("top-n") is TOP_N
    assert isinstance(Source({}, SearchSettings()), EdgeSource)


@pytest.mark.parametrize("n_edges", range(1, 8))
def test_the_strongest_edges_of_all_but_dead_ends(n_edges: int) -> None:
    """2.3 sends nowhere, so that nothing into it, or into what leads to it alone, is kept."""
    source = Source(ESTIMATED, SearchSettings(verify=False, n_edges=n_edges))
    found = found_in(source)
    by_size = sorted(ESTIMATED, key=lambda name: -abs(ESTIMATED[name]))[:n_edges]
    alive = {name for name in by_size if "2.3" not in name and "1.0" not in name}
    if "1.2 -> logits" not in by_size:
        alive -= {"0.3 -> 1.2.v"}
    assert {str(edge.connection) for edge in found.circuit.edges} == alive
    assert found.circuit.heads == {node for name in alive for node in Connection.parse(name).ends}
    for edge in found.circuit.edges:
        assert edge.effect == pytest.approx(ESTIMATED[str(edge.connection)])
    assert source.asked == []
    assert found.verification is None


def test_kept_effects_are_measured_and_all_others_stay_estimates() -> None:
    exact = {name: 2 * effect for name, effect in ESTIMATED.items()}
    for settings in ({"settings": SearchSettings(n_edges=3)}, {"is_exact": True}):
        options = {"settings": SearchSettings(verify=False, n_edges=3), **settings}
        source = Source(ESTIMATED, exact=exact, **options)
        found = found_in(source)
        chosen = {"2.1 -> logits", "0.1 -> 2.3.q", "1.0 -> 2.3.q"}
        asked = {str(Connection(s, receiver)) for receiver, some in source.asked for s in some}
        assert asked == chosen
        assert len(source.asked) == 2, "all of a receiver's together"
        (edge,) = found.circuit.edges
        assert edge.effect == pytest.approx(-1.8)
        expected = values_of({n: e if n in chosen else ESTIMATED[n] for n, e in exact.items()})
        torch.testing.assert_close(found.effects.values, expected.values, equal_nan=True)


def test_an_edge_into_a_shared_key_reaches_every_head_that_reads_it() -> None:
    """2.0 and 2.1 share theirs; only what sends on is in the circuit."""
    effects = {"0.0 -> 2.0.k": 0.9, "2.1 -> logits": 0.8}
    found = found_in(Source(effects, SearchSettings(verify=False, n_edges=2)))
    assert found.circuit.heads == heads("0.0", "2.1")
    assert {str(c) for c in found.circuit.connections} == {"0.0 -> 2.1.k", "2.1 -> logits"}
    both = {**effects, "2.0 -> logits": 0.7}
    found = found_in(Source(both, SearchSettings(verify=False, n_edges=3)))
    assert {str(c) for c in found.circuit.connections} == {
        "0.0 -> 2.0.k",
        "0.0 -> 2.1.k",
        "2.0 -> logits",
        "2.1 -> logits",
    }
    assert GRAPH.n_distinct(found.circuit.connections) == 3


def test_edges_that_are_not_known_are_never_among_the_strongest() -> None:
    values = values_of({"2.1 -> logits": 0.5})
    among = values.among([Head(2, 1), Head(0, 0)])
    edges = strongest(among, 1000)
    assert str(edges[0].connection) == "2.1 -> logits"
    assert {edge.sender for edge in edges} == heads("2.1", "0.0")
    # Both send to the logits, and 0.0 to the inputs of 2.1 as well.
    assert len(edges) == 2 + 3
    assert strongest(values, 0) == []


@pytest.fixture(scope="module")
def settings() -> dict[str, object]:
    return {
        "method": "path-patching",
        "search": "top-n",
        "n_edges": 9,
        "n_prompts": 4,
        "n_mean_prompts": 10,
    }


@pytest.fixture(scope="module")
def top(toy, settings):
    return discover_circuit(*toy, **settings)


def test_on_a_model_kept_effects_are_exactly_those_of_their_paths(toy, top) -> None:
    bridge, task = toy
    pairs = task.sample(tokenizer_of(bridge), n=10, seed=0)[:4]
    assert top.circuit.edges
    assert {edge.sender for edge in top.circuit.edges} == top.circuit.heads
    for edge in top.circuit.edges:
        senders = [edge.sender]
        exact = path_effects(bridge, pairs, edge.receiver, senders)
        assert edge.effect == float(exact[edge.sender.layer, edge.sender.index])


def test_on_a_model_the_strongest_estimates_decide(toy, top) -> None:
    bridge, task = toy
    pairs = task.sample(tokenizer_of(bridge), n=10, seed=0)[:4]
    estimates = effect_table(bridge, pairs)
    graph = estimates.graph
    by_size = sorted(graph.edges, key=lambda path: -abs(estimates.of(path.sender, path.receiver)))
    chosen = {(path.sender, path.receiver) for path in by_size[:9]}
    kept = {(edge.sender, graph.unit(edge.receiver)) for edge in top.circuit.edges}
    assert kept <= chosen
    for _, receiver in chosen - kept:
        readers = graph.readers(receiver)
        assert readers
        assert top.circuit.heads.isdisjoint(readers)


def test_no_rule_and_no_verification_changes_which_edges_are_kept(toy, top, settings) -> None:
    other = discover_circuit(*toy, **settings, selection=SelectionRule(threshold=0.3))
    assert other.circuit == top.circuit
    rough = discover_circuit(*toy, **settings, verify=False)
    assert rough.circuit.connections == top.circuit.connections
    assert rough.circuit != top.circuit
    exact = discover_circuit(*toy, **settings, engine="exact")
    assert exact.circuit == top.circuit


def test_more_edges_than_there_are_keep_all_that_lead_to_the_logits(toy, settings) -> None:
    every = discover_circuit(*toy, **{**settings, "n_edges": 10**6, "verify": False})
    assert len(every.circuit) == 12
    into_heads = sum(4 * len(HEAD_INPUTS) * 4 * layer for layer in range(3))
    assert len(every.circuit.edges) == 12 + into_heads


def test_a_number_of_edges_below_1_is_refused(toy, settings) -> None:
    with pytest.raises(SettingError, match="n_edges must be at least 1, got 0"):
        discover_circuit(*toy, **{**settings, "n_edges": 0})
