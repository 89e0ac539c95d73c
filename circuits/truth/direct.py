"""The true circuit where MLPs and the embedding are nodes, as far as a construction fixes it.

Models that are wired by hand or compiled read the residual stream as it is. What a receiver's
weights make of a sender's is then nothing, or an edge. Of the edges between the nodes of the true
circuit those are true that do something on the prompts: a word that the corruption leaves as it is
reaches its readers by edges that no prompt shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from einops import einsum
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.circuit import circuit_of_edges, edges_among, every_edge, without_dead_ends
from circuits.circuit.circuit import Circuit
from circuits.components import MLP, Embedding, Head, Node, Receiver
from circuits.edge_search import lost_without
from circuits.evaluation import EdgeEvaluator
from circuits.graph import ModelGraph
from circuits.truth.ground import GroundTruth

EdgeSet = Bool[Tensor, "receiver sender"]
Scores = Float[Tensor, "receiver sender"]
_NOTHING, _NO_EFFECT = 1e-4, 0.01
"""Of the product of both matrices' sizes; of what corrupting every edge takes away."""


@dataclass(frozen=True, eq=False)
class DirectTruth:
    """What is true of a model's nodes and direct edges.

    Attributes:
        truth: The model, and what is known of it.
        on: The test of edges on some prompts.

    >>> from circuits.model import tokenizer_of
    >>> from circuits.truth import DirectTruth, load_truth
    >>> truth = load_truth("hand-induction")
    >>> pairs = truth.task.sample(tokenizer_of(truth.model), n=8)
    >>> direct = DirectTruth(truth, EdgeEvaluator(truth.model, pairs))
    >>> sorted(map(str, direct.circuit.connections))
    ['0.6 -> 1.6.k', '1.6 -> logits', 'embed -> 0.6.v']
    """

    truth: GroundTruth
    on: EdgeEvaluator

    @property
    def graph(self) -> ModelGraph:
        """The model's."""
        return self.on.graph

    @cached_property
    def edges(self) -> EdgeSet | None:
        """The true edges; None where the construction does not fix them."""
        if self.truth.connections is None:
            return None
        some = without_dead_ends(self.graph, wired_edges(self.truth, self.graph) & self._among)
        lost = lost_without(self.on, some).mean(-1)
        span = float((self.on.baselines[1] - self.on.baselines[0]).mean())
        shown = some.clone()
        shown[some] = lost.abs() > _NO_EFFECT * abs(span)
        return without_dead_ends(self.graph, shown)

    @property
    def circuit(self) -> Circuit:
        """The true edges; without, all between the nodes that may take part."""
        edges = self._among if self.edges is None else self.edges
        return circuit_of_edges(self.graph, without_dead_ends(self.graph, edges))

    @property
    def nodes(self) -> frozenset[Node]:
        """The true nodes, without those of which nothing is known."""
        if self.edges is not None:
            return self.circuit.nodes
        return frozenset({*self.truth.heads, Embedding()})

    @cached_property
    def unknown(self) -> frozenset[Node]:
        """MLPs that were free to take part in a trained model, and those that a model has not."""
        record = self.truth.record
        if record.shape.d_mlp is None:
            return frozenset(map(MLP, range(record.shape.n_layers)))
        return frozenset(map(MLP, record.mlps if self.edges is None else ()))

    @property
    def _among(self) -> EdgeSet:
        edges, record = edges_among(self.graph, self.truth.heads), self.truth.record
        if self.truth.connections is None:
            for layer in set(range(record.shape.n_layers)) - set(record.mlps):
                edges[self.graph.row(Receiver.mlp(layer))] = False
                edges[:, self.graph.column(MLP(layer))] = False
        return edges


def wired_edges(truth: GroundTruth, graph: ModelGraph) -> Bool[Tensor, "receiver sender"]:
    """The edges by which a receiver's weights make something of what a sender writes.

    Of a model that reads its residual stream as it is.
    """
    writes = {node: matrix for node, matrix in _writes(truth, graph) if matrix is not None}
    edges = torch.zeros_like(every_edge(graph))
    for row, receiver in enumerate(graph.receivers):
        reads = _reads(truth, receiver)
        for sender in graph.senders_below(receiver):
            if reads is not None and sender in writes:
                written = writes[sender]
                read = einsum(reads, written, "read d_model, written d_model -> read written")
                least = _NOTHING * reads.norm() * written.norm()
                edges[row, graph.column(sender)] = bool(read.norm() > least)
    return edges


def _writes(truth: GroundTruth, graph: ModelGraph) -> Iterator[tuple[Node, Tensor | None]]:
    """What each node can write, as rows of the residual stream."""
    for node in graph.senders:
        if isinstance(node, Embedding):
            yield node, truth.weights["tok_embed.weight"]
        elif isinstance(node, MLP):
            written = truth.weights.get(f"layers.{node.layer}.mlp.fc_out.weight")
            yield node, None if written is None else written.T
        else:
            output = truth.weights[f"layers.{node.layer}.attn.o.weight"]
            yield node, output[:, _own(truth, node)].T


def _reads(truth: GroundTruth, receiver: Receiver) -> Tensor | None:
    """What a receiver looks at of the residual stream, a direction in each row."""
    if receiver.node is None:
        return truth.weights["head.weight"]
    if receiver.head is None:
        return truth.weights.get(f"layers.{receiver.node.layer}.mlp.fc_in.weight")
    head, name = receiver.on_head()
    return truth.weights[f"layers.{head.layer}.attn.{name}.weight"][_own(truth, head)]


def _own(truth: GroundTruth, head: Head) -> slice:
    width = truth.record.shape.d_head
    return slice(head.index * width, (head.index + 1) * width)
