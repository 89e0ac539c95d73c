"""Effects of all heads as `[layer, head]`, and what a selector makes of them below a receiver."""

from __future__ import annotations

import torch
from hypothesis import strategies as st
from torch import Tensor

from circuits.components import Head, Node, Receiver
from circuits.graph import ModelGraph
from circuits.search import SelectionRule, ThresholdSelector

LOGITS = Receiver.logits()
NAN = float("nan")
tables = st.lists(
    st.lists(st.floats(-1, 1, width=32), min_size=3, max_size=3), min_size=4, max_size=4
).map(torch.tensor)
layers_above = st.sampled_from([LOGITS, Receiver(Head(2, 1), "q"), Receiver(Head(3, 0), "v")])


def heads(*names: str) -> set[Head]:
    return {Head.parse(name) for name in names}


def graph_of(table: Tensor) -> ModelGraph:
    """A model in which no head shares a key or value."""
    n_layers, n_heads = table.shape
    return ModelGraph(n_layers, n_heads, n_heads)


def below(table: Tensor, receiver: Receiver) -> Tensor:
    """The part of the heads that a receiver may read, in the order of the graph."""
    return table.flatten()[graph_of(table).below(receiver)]


def select(rule: SelectionRule, table: Tensor, receiver: Receiver = LOGITS) -> tuple[Node, ...]:
    return ThresholdSelector(rule, graph_of(table)).select(below(table, receiver), receiver)


def deciding(
    rule: SelectionRule, table: Tensor, errors: Tensor, receiver: Receiver = LOGITS
) -> tuple[Node, ...]:
    selector = ThresholdSelector(rule, graph_of(table))
    return selector.deciding(below(table, receiver), below(errors, receiver), receiver)
