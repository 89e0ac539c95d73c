"""Reading what version 0.1 wrote: four tables of effects, where there is one matrix now."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from circuits.components import Receiver
from circuits.graph import ModelGraph
from circuits.patching import EdgeValues

_TABLES = {"query": "q", "key": "k", "value": "v", "logits": "logits"}
SWEPT_FORMAT = {"format": "by prompt"}


def edge_values(tables: Mapping[str, Tensor], graph: ModelGraph) -> EdgeValues:
    """One matrix of `[layer, unit, sender_layer, sender_head, ...]` by input, and of the logits.

    Raises KeyError where a table is missing.
    """
    inputs = {_TABLES.get(name, name): table for name, table in tables.items()}
    found = EdgeValues.unknown(graph, *inputs["logits"].shape[2:])
    for row, receiver in enumerate(graph.receivers):
        found.values[row] = _row(inputs, receiver, graph).flatten(0, 1)
    return found


def swept_tensors(old: Mapping[str, Tensor], graph: ModelGraph) -> dict[str, Tensor]:
    """A begun sweep as `EdgeSums.of_tensors` reads it. Raises KeyError as `edge_values` does."""
    found = {"progress": old["progress"]}
    for kind in ("changes", "remainders"):
        tables = {name: old[f"{kind}.{name}"] for name in ("q", "k", "v", "logits")}
        found[kind] = edge_values(tables, graph).values
    return found


def _row(inputs: Mapping[str, Tensor], receiver: Receiver, graph: ModelGraph) -> Tensor:
    if receiver.head is None:
        return inputs["logits"]
    table, head = inputs[receiver.input], receiver.head
    return table[head.layer, head.index * table.shape[1] // graph.n_heads]


def is_old(tensors: Mapping[str, Tensor]) -> bool:
    """Whether effects are in four tables."""
    return "logits" in tensors


def as_one(tensors: Mapping[str, Tensor], graph: ModelGraph) -> EdgeValues:
    """Effects as a run holds them, of this version or the older one."""
    if is_old(tensors):
        return edge_values(tensors, graph)
    return EdgeValues(graph, tensors["values"].to(torch.float32))
