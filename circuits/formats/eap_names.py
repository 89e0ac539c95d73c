"""The graph that EAP-IG and the MIB circuit track share: its nodes, its edges, and their names.

Nodes are `input` (the token embedding), `a{layer}.h{head}`, `m{layer}` (MLPs) and `logits`; an edge
is `a0.h1->a3.h2<q>` into a head, and `a0.h1->m2` or `m2->logits` elsewhere. Keys and values belong
to query heads, whatever the model shares (`ungroup_grouped_query_attention`). The file is a JSON
object: `cfg` (`n_layers`, `n_heads`, `parallel_attn_mlp`, and `d_model` in the newer form), `nodes`
by name, and `edges` by name, each with `score` and `in_graph`. A node is an object with `in_graph`
in the newer form, and a bare true or false in the older one.

Read from (facts only):

- github.com/hannamw/EAP-IG, src/eap/graph.py at 4fad6c678ee45c975ea6072482305a54fe423551 and
  8fd10d913f3991de824d7b4668b6918743a1f453 (newer form: `Graph.from_model`, `to_json`, `from_json`),
  eap/graph.py at 009cb68e13c26cbf2fea56b1bc191fc892000d90 (older form), graph.py at
  02ba7d361ecad100010965ae07a1cb9b7b2153a2 (older still, with `n_pos`, and graphs by position, which
  are not supported here)
- github.com/hannamw/MIB-circuit-track, graph.py at 7fb28f37018376ca691e2311244c7106ec5aa909, which
  writes the newer form
- github.com/mttk/MIB-circuit-track-autoeval, MIB_circuit_track/circuit_loading.py at
  9c50625dc208e9fa0dfd908183a7226546606f97: edges may come without scores
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import takewhile

from circuits.components import HEAD_INPUTS, Head, Receiver

_NODE = re.compile(r"a(\d+)\.h(\d+)|m(\d+)|input")
_CHILD = re.compile(r"a(\d+)\.h(\d+)<([qkv])>|m(\d+)|logits")


@dataclass(frozen=True)
class Embedding:
    """The token embedding."""

    def __str__(self) -> str:
        return "input"


@dataclass(frozen=True)
class Mlp:
    """One layer's MLP."""

    layer: int

    def __str__(self) -> str:
        return f"m{self.layer}"


Sender = Head | Mlp | Embedding
EMBEDDING = Embedding()


@dataclass(frozen=True)
class GraphEdge:
    """An edge of their graph; prints as they name it."""

    sender: Sender
    receiver: Receiver | Mlp

    def __str__(self) -> str:
        if isinstance(self.receiver, Mlp) or self.receiver.head is None:
            return f"{node_name(self.sender)}->{self.receiver}"
        return f"{node_name(self.sender)}->{node_name(self.receiver.head)}<{self.receiver.input}>"

    @classmethod
    def parse(cls, name: str) -> GraphEdge:
        """Read `a0.h1->a3.h2<q>`. Raises ValueError on any other form."""
        sender, _, child = name.partition("->")
        return cls(_parse_sender(sender, name), _parse_receiver(child, name))


@dataclass(frozen=True)
class GraphShape:
    """What of a model decides its graph.

    Attributes:
        n_layers: Layers.
        n_heads: Query heads in each.
        n_kv_heads: Key/value heads in each; query heads share them in groups.
        d_model: Width of the residual stream; 0 where it is not known.
        parallel_mlp: Whether a layer's MLP reads what its heads read, and not what they write.

    Raises:
        ValueError: A number is out of range, or the heads cannot be shared out.

    """

    n_layers: int
    n_heads: int
    n_kv_heads: int
    d_model: int = 0
    parallel_mlp: bool = False

    def __post_init__(self) -> None:
        for name, least in (("n_layers", 1), ("n_heads", 1), ("n_kv_heads", 1), ("d_model", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be at least {least}, got {getattr(self, name)}")
        if self.n_heads % self.n_kv_heads:
            raise ValueError(
                f"{self.n_heads} heads cannot share {self.n_kv_heads} key/value heads equally"
            )

    @cached_property
    def nodes(self) -> tuple[Sender, ...]:
        """Every node that sends: the embedding, then the heads and the MLP of each layer."""
        layers = range(self.n_layers)
        return (EMBEDDING, *(node for layer in layers for node in (*self.heads(layer), Mlp(layer))))

    @property
    def edges(self) -> Iterator[GraphEdge]:
        """Every edge of the graph."""
        for layer in range(self.n_layers):
            for head in self.heads(layer):
                for name in HEAD_INPUTS:
                    yield from self._edges_into(Receiver(head, name))
            yield from self._edges_into(Mlp(layer))
        yield from self._edges_into(Receiver.logits())

    def heads(self, layer: int) -> tuple[Head, ...]:
        """The heads of a layer."""
        return tuple(Head(layer, index) for index in range(self.n_heads))

    def _edges_into(self, receiver: Receiver | Mlp) -> Iterator[GraphEdge]:
        # Nodes are in the order in which they write.
        below = takewhile(lambda sender: self.reads(receiver, sender), self.nodes)
        return (GraphEdge(sender, receiver) for sender in below)

    def reads(self, receiver: Receiver | Mlp, sender: Sender) -> bool:
        """Whether a receiver stands above a sender."""
        if isinstance(sender, Embedding):
            return True
        layer = self.reading_layer(receiver)
        reads_own_heads = isinstance(receiver, Mlp) and not self.parallel_mlp
        if isinstance(sender, Head) and reads_own_heads:
            return sender.layer <= layer
        return sender.layer < layer

    def reading_layer(self, receiver: Receiver | Mlp) -> int:
        """The layer of a receiver; for the logits, one above the last."""
        if isinstance(receiver, Mlp):
            return receiver.layer
        return self.n_layers if receiver.head is None else receiver.head.layer

    def first_mlp_above(self, head: Head) -> int:
        """The layer of the lowest MLP that reads a head."""
        return head.layer + self.parallel_mlp

    def sharing(self, receiver: Receiver) -> tuple[Receiver, ...]:
        """The receiver, and for a key or value those of all query heads that share it."""
        if receiver.head is None or receiver.input == "q":
            return (receiver,)
        head, name = receiver.on_head()
        group = self.n_heads // self.n_kv_heads
        first = head.index // group * group
        members = (Head(head.layer, index) for index in range(first, first + group))
        return tuple(Receiver(member, name) for member in members)

    def contains(self, node: Sender | Receiver) -> bool:
        """Whether a node is one of this model's."""
        if isinstance(node, Receiver):
            return node.head is None or self.contains(node.head)
        if isinstance(node, Embedding):
            return True
        inside = node.layer < self.n_layers
        return inside and (isinstance(node, Mlp) or node.index < self.n_heads)


def node_name(node: Sender) -> str:
    """What they call a node."""
    return f"a{node.layer}.h{node.index}" if isinstance(node, Head) else str(node)


def parse_node(name: str) -> Sender | Receiver:
    """Read `input`, `a0.h1`, `m3` or `logits`. Raises ValueError on any other form."""
    return Receiver.logits() if name == "logits" else _parse_sender(name, name)


def _parse_sender(text: str, whole: str) -> Sender:
    match = _NODE.fullmatch(text)
    if match is None:
        raise ValueError(f"{whole!r} names no node or edge, such as input, a0.h1, m3, a0.h1->m3")
    layer, index, mlp = match.groups()
    if mlp is not None:
        return Mlp(int(mlp))
    return EMBEDDING if layer is None else Head(int(layer), int(index))


def _parse_receiver(text: str, whole: str) -> Receiver | Mlp:
    match = _CHILD.fullmatch(text)
    if match is None:
        raise ValueError(f"{whole!r} names no edge, such as a0.h1->a3.h2<q>, input->m3, m3->logits")
    layer, index, head_input, mlp = match.groups()
    if mlp is not None:
        return Mlp(int(mlp))
    return Receiver.logits() if layer is None else Receiver.parse(f"{layer}.{index}.{head_input}")
