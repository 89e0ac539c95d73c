"""All paths that a model has, and how strong each is."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from circuits import Head, Receiver
from circuits.comparison import count_connections, distinct_connections, effect_strengths
from circuits.components import Connection
from circuits.graph import ModelGraph
from circuits.patching import EdgeValues
from tests.circuits.comparison.paths import HEADS, every_path

SHARING = ModelGraph(n_layers=3, n_heads=4, n_kv_heads=2)


@pytest.fixture
def effects() -> EdgeValues:
    """Grouped queries: four heads share two key/value heads."""
    draw = torch.Generator().manual_seed(0)
    effects = EdgeValues.unknown(SHARING)
    for receiver in SHARING.receivers:
        senders = SHARING.senders_below(receiver)
        effects.put(receiver, senders, torch.randn(len(senders), generator=draw).tolist())
    effects.put(Receiver.logits(), [Head(0, 0)], [torch.nan])
    return effects


@given(st.frozensets(st.sampled_from(HEADS)))
def test_number_of_connections(heads) -> None:
    assert count_connections(heads) == len(every_path(heads))


@given(st.frozensets(st.sampled_from(HEADS)))
def test_number_of_connections_where_heads_share_keys_and_values(heads) -> None:
    units = {(path.sender, SHARING.unit(path.receiver)) for path in every_path(heads)}
    assert count_connections(heads, SHARING) == len(units)
    assert count_connections(SHARING.heads, SHARING) == SHARING.n_edges


@given(*[st.frozensets(st.sampled_from(sorted(every_path(HEADS))))] * 2)
def test_copies_are_one_whoever_names_them(mine, theirs) -> None:
    units = [
        {(path.sender, SHARING.unit(path.receiver)) for path in paths} for paths in (mine, theirs)
    ]
    named = distinct_connections(mine, theirs, SHARING)
    assert [len(paths) for paths in named] == [len(paths) for paths in units]
    assert len(named[0] & named[1]) == len(units[0] & units[1])
    assert named[0] <= mine
    assert named[1] <= mine | theirs


def test_strengths_cover_every_path_once(effects: EdgeValues) -> None:
    reference = frozenset(sorted(every_path(HEADS))[::5])
    strengths, positive = effect_strengths(effects, reference)
    assert len(strengths) == count_connections(HEADS)
    expected = {path: abs(effects.of(path.sender, path.receiver)) for path in every_path(HEADS)}
    expected[Connection(Head(0, 0), Receiver.logits())] = 0.0
    assert sorted(strengths) == pytest.approx(sorted(expected.values()))
    assert sorted(strengths[positive]) == pytest.approx(sorted(expected[p] for p in reference))
