"""Discoveries whose edges are at spans of token positions: found, saved, evaluated, compared."""

from __future__ import annotations

from collections import Counter

import jsonschema
import pytest

from circuits import Circuit, DiscoveryConfig, EvaluationConfig, discover_circuit
from circuits.circuit import edge_mask
from circuits.comparison import compare_circuits
from circuits.discovery import Session
from circuits.discovery.result import Discovery
from circuits.errors import FormatError, InputError, MismatchError, SettingError, TaskError
from circuits.evaluation import EdgeEvaluator
from circuits.figures import circuit_figure
from circuits.formats import circuit_schema, export_circuit, import_circuit, importances
from circuits.metrics import logit_diff
from circuits.model.tokenizers import remember_tokenizer
from circuits.studies import consensus_circuit
from tests.circuits.families import tiny_model
from tests.circuits.prompts import NamedTask, ToyTask, word_tokenizer

SETTINGS = {
    "mlps": "nodes",
    "positions": "spans",
    "method": "eap-ig",
    "keep": 30.0,
    "n_prompts": 4,
    "n_validation_prompts": 4,
    "n_held_out_prompts": 4,
}
SPANS = ("changed", "kept", "changed 2", "other", "end")


@pytest.fixture(scope="module", name="named")
def named_task():
    bridge = tiny_model("gemma3")
    remember_tokenizer(bridge, word_tokenizer())
    return bridge, NamedTask(bridge)


@pytest.fixture(scope="module", name="chosen")
def chosen_edges_of(named) -> Discovery:
    return discover_circuit(*named, **SETTINGS)


def test_it_keeps_what_was_asked_for_where_it_was_chosen(named, chosen) -> None:
    assert chosen.circuit.spans.names == SPANS
    assert {edge.receiver.span for edge in chosen.circuit.edges} <= set(SPANS)
    assert {r.span for e in chosen.circuit.edges if (r := e.receiver).is_logits} == {"end"}
    pairs, _ = Session.of(*named, DiscoveryConfig(**SETTINGS)).other_pairs
    on = EdgeEvaluator(named[0], pairs, logit_diff)
    (kept,) = on.faithfulness(edge_mask(chosen.circuit, on.graph)[None])
    assert 100 * kept.value == pytest.approx(chosen.sizes.point.validation.value, abs=0.1)
    assert chosen.sizes.point.keeps(30)
    assert chosen.edge_worth.keys() == chosen.circuit.connections


def test_what_is_saved_is_loaded(chosen, tmp_path) -> None:
    chosen.save(tmp_path)
    loaded = Discovery.load(tmp_path)
    assert loaded == chosen
    for name, ranking in loaded.rankings.items():
        assert ranking.graph == chosen.rankings[name].graph
    again = loaded.at(edges=len(loaded.sizes.point)).circuit
    assert again.spans == chosen.circuit.spans
    text = chosen.circuit.to_json().replace('"name": "kept"', '"nam": "kept"')
    with pytest.raises(FormatError, match="spans of a circuit is malformed"):
        Circuit.from_json(text)


def test_it_is_evaluated_on_other_prompts(named, chosen) -> None:
    for prompts in ("discovery", "held-out"):
        config = EvaluationConfig(prompts=prompts, n_prompts=8, n_resamples=20)
        evaluation = chosen.evaluate(*named, config)
        assert evaluation.edge_level is not None
        graph = chosen.rankings["eap-ig"].graph
        share = 1 - len(chosen.circuit.edges) / graph.n_edges
        assert evaluation.edge_sparsity == pytest.approx(share)


@pytest.mark.parametrize("method", ["in-context", "swept"])
def test_other_methods_find_edges_with_spans(named, method) -> None:
    found = discover_circuit(*named, **{**SETTINGS, "method": method})
    assert found.circuit.spans.names == SPANS
    assert found.sizes.point.keeps(30)


def test_runs_with_and_without_spans_are_not_mixed_up(named) -> None:
    spans, plain = (
        Session.of(*named, DiscoveryConfig(**{**SETTINGS, "positions": positions})).problem
        for positions in ("spans", "all")
    )
    assert spans.key["positions"] == "spans"
    assert "positions" not in plain.key
    assert spans.prompts != plain.prompts
    _, task = named
    without = ToyTask(named[0])
    without.name = task.name
    again = Session.of(named[0], without, DiscoveryConfig(**{**SETTINGS, "positions": "all"}))
    assert again.problem.key == plain.key  # Pieces alone change nothing.


def test_circuits_are_compared_edge_by_edge(chosen) -> None:
    compared = compare_circuits(chosen, chosen.circuit)
    assert compared.edges.overlap.iou == 1
    graph = chosen.rankings["eap-ig"].graph
    assert consensus_circuit([chosen.circuit] * 2, graph) == chosen.circuit
    plain = Circuit(frozenset(), frozenset(), 3, 4, "nodes")
    with pytest.raises(MismatchError, match="here by changed, kept, changed 2, other, end, there"):
        compare_circuits(chosen, plain)


def test_a_task_without_names_is_refused(toy) -> None:
    with pytest.raises(TaskError, match="task 'toy' names no pieces of its prompts"):
        discover_circuit(*toy, **SETTINGS)


def test_paths_have_no_spans(without_type_checks) -> None:
    with pytest.raises(SettingError) as raised:
        DiscoveryConfig(positions="spans")
    assert str(raised.value) == (
        "method 'in-context' has no use for positions (got spans): leave it out, or give mlps "
        "'nodes'"
    )
    with pytest.raises(SettingError, match="unknown positions 'some'; known positions: all, spans"):
        DiscoveryConfig(mlps="nodes", positions="some")


def test_other_formats_take_the_circuit_without_its_spans(chosen) -> None:
    circuit, plain = chosen.circuit, chosen.circuit.without_spans()
    assert import_circuit(export_circuit(circuit).text).circuit == circuit
    jsonschema.validate(circuit.to_dict(), circuit_schema())
    for name in ("dot", "csv", "networkx", "eap-ig"):
        with pytest.raises(InputError, match="does not tell edges apart by spans of positions"):
            export_circuit(circuit, name)
    assert import_circuit(export_circuit(plain, "csv").text).circuit == plain
    assert sum(e.effect for e in plain.edges) == pytest.approx(sum(e.effect for e in circuit.edges))
    with pytest.raises(InputError, match="knows edges at all positions alone"):
        importances(circuit, chosen.rankings["eap-ig"], 32)


def test_edges_of_one_pair_are_drawn_side_by_side(chosen) -> None:
    names = Counter((edge.sender, edge.receiver.at(None)) for edge in chosen.circuit.edges)
    (sender, receiver), n = names.most_common(1)[0]
    assert n > 1
    drawn = [
        trace
        for trace in circuit_figure(chosen.circuit, strongest=None).data
        if (trace.name or "").startswith(f"{sender} → {receiver}@")
    ]
    places = {trace.name.partition("@")[2]: trace.x[0] for trace in drawn}
    assert len(places) == n
    rising = [name for name in SPANS if name in places]
    assert sorted(places, key=places.get) == rising
