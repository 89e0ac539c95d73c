"""Every head with the paths that count: against exact effects of all edges on a tiny model."""

from __future__ import annotations

from dataclasses import replace

import pytest

from circuits import SelectionRule
from circuits.components import Head, Receiver
from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.patcher import EdgePatcher
from circuits.discovery.session import Session
from circuits.patching import path_effects
from circuits.runtime.progress import SILENT
from circuits.search import SEARCHES

HEADS = frozenset({Head(0, 1), Head(0, 2), Head(1, 0), Head(1, 2), Head(2, 3)})
RULE = SelectionRule(min_effect=0.02)
CONFIG = DiscoveryConfig(
    method="path-patching", n_prompts=3, n_mean_prompts=4, search="connect", n_sampled_paths=0
)


def session_of(toy, **settings) -> Session:
    return Session.of(*toy, replace(CONFIG, **settings))


@pytest.fixture(scope="module")
def exact(toy):
    """The exact effect of every edge between the heads, and from them to the logits."""
    session = session_of(toy)
    receivers = [Receiver.logits(), *(r for h in sorted(HEADS) for r in session.graph.inputs(h))]
    found = {}
    for receiver in receivers:
        effects = path_effects(session.model, session.pairs, receiver)
        for head in HEADS:
            if session.graph.reads(receiver, head):
                found[head, receiver] = float(effects[head.layer, head.index])
    return found


def connected(session: Session, candidates=HEADS):
    (grown,) = EdgePatcher(session, candidates).find([RULE], SILENT)
    return grown


@pytest.mark.parametrize("settings", [{}, {"engine": "exact"}, {"n_sampled_paths": 100}])
def test_every_head_and_the_paths_that_count(toy, exact, settings) -> None:
    circuit = connected(session_of(toy, **settings)).circuit
    assert circuit.heads == HEADS
    found = {(edge.sender, edge.receiver): edge.effect for edge in circuit.edges}
    large = {ends for ends, effect in exact.items() if abs(effect) > RULE.min_effect}
    assert large <= found.keys()
    assert large != exact.keys(), "some are small"
    for ends, effect in found.items():
        assert effect == pytest.approx(exact[ends], abs=1e-5)
    for ends in found.keys() - large:
        assert not any(sender == ends[0] for sender, _ in large), "the only path of its head"


def test_each_head_has_a_path(toy, exact) -> None:
    """Its strongest, where none counts."""
    rule = SelectionRule(min_effect=10.0)
    (grown,) = EdgePatcher(session_of(toy), HEADS).find([rule], SILENT)
    assert len(grown.circuit.edges) == len(HEADS)
    assert {edge.sender for edge in grown.circuit.edges} == HEADS


def test_estimates_alone_where_nothing_is_verified(toy) -> None:
    session = session_of(toy, verify=False)
    patcher = EdgePatcher(session, HEADS)
    (grown,) = patcher.find([RULE], SILENT)
    assert grown.verification is None
    effects = patcher.estimates().effects
    for edge in grown.circuit.edges:
        if abs(edge.effect) > RULE.min_effect:
            assert edge.effect == effects.of(edge.sender, edge.receiver)


def test_what_was_verified_is_reported(toy) -> None:
    grown = connected(session_of(toy))
    assert grown.verification is not None
    assert 0 < grown.verification.verified <= grown.verification.estimated


def test_it_can_be_asked_for_by_name() -> None:
    assert "connect" in SEARCHES.names()
