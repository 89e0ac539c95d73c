"""What EAP-IG and the MIB circuit track call the nodes and edges of a graph.

Their graph is `ModelGraph` with MLPs as nodes. Nodes are `input` (the token embedding),
`a{layer}.h{head}`, `m{layer}` (MLPs) and `logits`; an edge is `a0.h1->a3.h2<q>` into a head, and
`a0.h1->m2` or `m2->logits` elsewhere. Keys and values belong to query heads, whatever the model
shares (`ungroup_grouped_query_attention`). The file is a JSON object: `cfg` (`n_layers`, `n_heads`,
`parallel_attn_mlp`, and `d_model` in the newer form), `nodes` by name, and `edges` by name, each
with `score` and `in_graph`. A node is an object with `in_graph` in the newer form, and a bare true
or false in the older one.

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

from circuits.components import MLP, Connection, Embedding, Head, Node, Receiver
from circuits.errors import FormatError

_INPUT = "input"
_NODE = re.compile(r"a(\d+)\.h(\d+)|m(\d+)|input")
_CHILD = re.compile(r"a(\d+)\.h(\d+)<([qkv])>|m(\d+)|logits")


def node_name(node: Node) -> str:
    """What they call a node.

    >>> node_name(Head(0, 1)), node_name(Embedding())
    ('a0.h1', 'input')
    """
    if isinstance(node, Head):
        return f"a{node.layer}.h{node.index}"
    return _INPUT if isinstance(node, Embedding) else str(node)


def edge_name(edge: Connection) -> str:
    """What they call an edge.

    >>> edge_name(Connection(Head(0, 1), Receiver.parse("3.2.q")))
    'a0.h1->a3.h2<q>'
    """
    head = edge.receiver.head
    reads = str(edge.receiver) if head is None else f"{node_name(head)}<{edge.receiver.input}>"
    return f"{node_name(edge.sender)}->{reads}"


def parse_node(name: str) -> Node | Receiver:
    """Read `input`, `a0.h1`, `m3` or `logits`. Raises FormatError on any other form."""
    return Receiver.logits() if name == "logits" else _parse_sender(name, name)


def parse_edge(name: str) -> Connection:
    """Read `a0.h1->a3.h2<q>`. Raises FormatError on any other form."""
    sender, _, child = name.partition("->")
    return Connection(_parse_sender(sender, name), _parse_receiver(child, name))


def _parse_sender(text: str, whole: str) -> Node:
    match = _NODE.fullmatch(text)
    if match is None:
        raise FormatError(f"{whole!r} names no node or edge, such as input, a0.h1, m3, a0.h1->m3")
    layer, index, mlp = match.groups()
    if mlp is not None:
        return MLP(int(mlp))
    return Embedding() if layer is None else Head(int(layer), int(index))


def _parse_receiver(text: str, whole: str) -> Receiver:
    match = _CHILD.fullmatch(text)
    if match is None:
        raise FormatError(
            f"{whole!r} names no edge, such as a0.h1->a3.h2<q>, input->m3, m3->logits"
        )
    layer, index, head_input, mlp = match.groups()
    if mlp is not None:
        return Receiver.mlp(int(mlp))
    return Receiver.logits() if layer is None else Receiver.parse(f"{layer}.{index}.{head_input}")
