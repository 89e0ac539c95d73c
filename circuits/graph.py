"""The graph of a model: its nodes, what each may read, and which inputs are shared.

The only place that knows these three things. With `mlps="path"` heads are the nodes, and MLPs
belong to the paths between them (Wang et al. 2022, arXiv 2211.00593, appendix B). With
`mlps="nodes"` MLPs and the token embedding are nodes, too, and every query head has keys and values
of its own: the graph of EAP-IG and of the MIB circuit track (Hanna et al. 2024, arXiv 2403.17806).
With `spans` every receiver of that graph is one for each span of token positions: an edge is then
one at these positions alone (compare PEAP: Haklay et al. 2025, arXiv 2502.04577).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

from circuits.components import (
    HEAD_INPUTS,
    MLP,
    Connection,
    Embedding,
    Head,
    Node,
    Receiver,
    all_heads,
)
from circuits.errors import InputError, MismatchError, SettingError
from circuits.runtime.sizes import check_sizes
from circuits.tasks import Spans
from circuits.tasks.spans import END

Mlps = Literal["path", "nodes"]
Positions = Literal["all", "spans"]
"""Whether an edge acts at all token positions, or there is one for each span of them."""
Depth = tuple[int, bool]


def depth(node: Node) -> Depth:
    """How far up a node writes: its layer, and whether it is the MLP, behind the layer's heads.

    >>> depth(Embedding()) < depth(Head(0, 7)) < depth(MLP(0)) < depth(Head(1, 0))
    True
    """
    return node.layer, isinstance(node, MLP)


def has_span(receiver: Receiver, spans: Spans | None) -> bool:
    """Whether a receiver is at one of some spans; at all positions where there are none.

    >>> has_span(Receiver.parse("m0"), None), has_span(Receiver.parse("m0@end"), None)
    (True, False)
    """
    if spans is None:
        return receiver.span is None
    return receiver.span == END if receiver.is_logits else receiver.span in spans.names


@dataclass(frozen=True)
class ModelGraph:
    """Nodes and receivers of a model, and the edges between them.

    Attributes:
        n_layers: Layers.
        n_heads: Query heads in each.
        n_kv_heads: Key/value heads in each; query heads share them in groups.
        parallel_mlp: Whether a layer's MLP reads what its heads read, and not what they write.
        mlps: Whether MLPs belong to the "path"s between heads, or are "nodes".
        spans: The spans of token positions that edges are told apart by; None: by none.

    Raises:
        SettingError: A number is out of range, the heads cannot be shared out, `mlps` is unknown,
            or there are spans where MLPs are no nodes.

    >>> graph = ModelGraph(n_layers=12, n_heads=12, n_kv_heads=12, mlps="nodes")
    >>> graph.n_edges
    32491
    >>> [str(node) for node in graph.senders[graph.below(Receiver.parse("m0"))]][-3:]
    ['0.9', '0.10', '0.11']
    """

    n_layers: int
    n_heads: int
    n_kv_heads: int
    parallel_mlp: bool = False
    mlps: Mlps = "path"
    spans: Spans | None = None

    def __post_init__(self) -> None:
        for name in ("n_layers", "n_heads", "n_kv_heads"):
            if getattr(self, name) < 1:
                raise SettingError(f"{name} must be at least 1, got {getattr(self, name)}")
        try:
            check_sizes(self.n_layers, self.n_heads)
        except InputError as error:
            raise SettingError(str(error)) from error
        if self.n_heads % self.n_kv_heads:
            raise SettingError(
                f"{self.n_heads} heads cannot share {self.n_kv_heads} key/value heads equally"
            )
        if self.mlps not in get_args(Mlps):
            raise SettingError(f"mlps must be one of {get_args(Mlps)}, got {self.mlps!r}")
        if self.spans is not None and not self.has_mlps:
            raise SettingError(
                "paths through MLPs act at all positions: spans of edges need mlps='nodes'"
            )

    @property
    def has_mlps(self) -> bool:
        """Whether MLPs and the embedding are nodes."""
        return self.mlps == "nodes"

    @cached_property
    def heads(self) -> tuple[Head, ...]:
        """Every head, in order."""
        return all_heads(self.n_layers, self.n_heads)

    @cached_property
    def senders(self) -> tuple[Node, ...]:
        """Every node, in the order in which they write."""
        if not self.has_mlps:
            return self.heads
        return tuple(sorted([Embedding(), *self.heads, *map(MLP, range(self.n_layers))]))

    @cached_property
    def receivers(self) -> tuple[Receiver, ...]:
        """Everything that reads, from the lowest layer up; a shared key or value once."""
        by_layer = (r for layer in range(self.n_layers) for r in self._of_layer(layer))
        return (*by_layer, *self.at_spans(Receiver.logits()))

    def _of_layer(self, layer: int) -> Iterator[Receiver]:
        heads = self.heads[layer * self.n_heads : (layer + 1) * self.n_heads]
        every = (Receiver(head, name) for name in HEAD_INPUTS for head in heads)
        units = [receiver for receiver in every if self.unit(receiver) == receiver]
        for receiver in [*units, *([Receiver.mlp(layer)] if self.has_mlps else [])]:
            yield from self.at_spans(receiver)

    def at_spans(self, receiver: Receiver) -> tuple[Receiver, ...]:
        """What a receiver at all positions is here: itself, or one for each span.

        The logits read the last span, "end", alone.
        """
        if self.spans is None:
            return (receiver,)
        names = (END,) if receiver.is_logits else self.spans.names
        return tuple(receiver.at(name) for name in names)

    @property
    def n_spans(self) -> int:
        """How many spans edges are told apart by; 1 where by none."""
        return 1 if self.spans is None else len(self.spans.names)

    def span_of(self, receiver: Receiver) -> int:
        """The place of a receiver's span; 0 where edges are not told apart by spans."""
        self.check(receiver)
        return 0 if self.spans is None else self.spans.names.index(str(receiver.span))

    def writes_at(self, receiver: Receiver) -> tuple[int, ...]:
        """Places of the spans at which its node's output depends on what is read there.

        A query and an MLP act where they are read; keys and values at and behind that.
        """
        own = self.span_of(receiver)
        if self.spans is None or receiver.input not in ("k", "v"):
            return (own,)
        return self.spans.reached[own]

    def below(self, receiver: Receiver) -> slice:
        """Which of the senders a receiver may read: always the first so many."""
        self.check(receiver)
        if receiver.node is None:
            return slice(len(self.senders))
        layer = receiver.node.layer
        reads_own_heads = isinstance(receiver.node, MLP) and not self.parallel_mlp
        per_layer = self.n_heads + self.has_mlps
        return slice(self.has_mlps + layer * per_layer + reads_own_heads * self.n_heads)

    def senders_below(self, receiver: Receiver) -> tuple[Node, ...]:
        """The senders that a receiver may read, in order."""
        return self.senders[self.below(receiver)]

    def with_others(self, heads: Iterable[Head]) -> tuple[Node, ...]:
        """Some heads, and the MLPs and the embedding where these are nodes, in order."""
        chosen = frozenset(heads)
        return tuple(n for n in self.senders if not isinstance(n, Head) or n in chosen)

    def reads(self, receiver: Receiver, sender: Node) -> bool:
        """Whether there is an edge."""
        return self.column(sender) < self.below(receiver).stop

    def read_by(self, receiver: Receiver, senders: Iterable[Node]) -> tuple[Node, ...]:
        """Some senders, in order. Raises MismatchError for one that the receiver does not read."""
        chosen = sorted(set(senders))
        for sender in chosen:
            if not self.reads(receiver, sender):
                raise MismatchError(f"{receiver} does not read {sender}, which writes later")
        return tuple(chosen)

    def inputs(self, node: Node) -> tuple[Receiver, ...]:
        """What a node reads, where there is anything to read."""
        if isinstance(node, Embedding):
            return ()
        self.check(node)
        if isinstance(node, MLP):
            return self.at_spans(Receiver.mlp(node.layer))
        every = (self.at_spans(Receiver(node, name)) for name in HEAD_INPUTS)
        return tuple(one for receivers in every for one in receivers if self.below(one).stop)

    def sharing(self, receiver: Receiver) -> tuple[Receiver, ...]:
        """The receiver, and for a key or value those of all query heads that share it."""
        if receiver.head is None or receiver.input == "q":
            return (receiver,)
        group = self.n_heads // self.n_kv_heads
        first = receiver.head.index // group * group
        members = (Head(receiver.head.layer, index) for index in range(first, first + group))
        return tuple(Receiver(member, receiver.input, receiver.span) for member in members)

    def unit(self, receiver: Receiver) -> Receiver:
        """The receiver itself; for a shared key or value the first head's of those that share it.

        Where MLPs are nodes nothing is shared.
        """
        return self.members(receiver)[0]

    def members(self, receiver: Receiver) -> tuple[Receiver, ...]:
        """The receivers that are one in this graph, whichever of them is named."""
        return (receiver,) if self.has_mlps else self.sharing(receiver)

    def readers(self, receiver: Receiver) -> tuple[Head | MLP, ...]:
        """The nodes that read here: of a shared key or value, all that share it; none: logits."""
        return tuple(one.node for one in self.members(receiver) if one.node is not None)

    def row(self, receiver: Receiver) -> int:
        """The place of a receiver, or of the one that it shares, among the receivers."""
        self.check(receiver)
        return self._rows[self.unit(receiver)]

    def column(self, sender: Node) -> int:
        """The place of a node among the senders."""
        self.check(sender)
        return self._columns[sender]

    @cached_property
    def _rows(self) -> dict[Receiver, int]:
        return {receiver: row for row, receiver in enumerate(self.receivers)}

    @cached_property
    def _columns(self) -> dict[Node, int]:
        return {sender: column for column, sender in enumerate(self.senders)}

    @property
    def n_edges(self) -> int:
        """How many edges there are; those into a shared key or value count once."""
        return sum(self.below(receiver).stop for receiver in self.receivers)

    @property
    def edges(self) -> Iterator[Connection]:
        """Every edge, receiver by receiver."""
        for receiver in self.receivers:
            yield from (Connection(sender, receiver) for sender in self.senders_below(receiver))

    def n_distinct(self, edges: Iterable[Connection]) -> int:
        """How many edges some are: those into a shared key or value are one."""
        return len({(edge.sender, self.unit(edge.receiver)) for edge in edges})

    def __contains__(self, part: Node | Receiver) -> bool:
        """Whether a node or receiver is one of this graph's."""
        if isinstance(part, Receiver):
            return has_span(part, self.spans) and (part.node is None or part.node in self)
        if isinstance(part, Head):
            return part.layer < self.n_layers and part.index < self.n_heads
        return self.has_mlps and part.layer < self.n_layers

    def check(self, part: Node | Receiver) -> None:
        """Raise MismatchError for a node or receiver that the graph has not."""
        if part not in self:
            kind = "receiver" if isinstance(part, Receiver) else "node"
            raise MismatchError(f"no {kind} {part} in {self.shape}")

    def known_heads(self, heads: Iterable[Head | str] | None) -> tuple[Head, ...]:
        """The heads, or those of these names, in order; all without.

        Raises:
            MismatchError: The model lacks one of them.
            InputError: One is no head.

        """
        if heads is None:
            return self.heads
        chosen = {Head.parse(head) for head in heads}
        if unknown := sorted(head for head in chosen if head not in self):
            names = ", ".join(map(str, unknown))
            raise MismatchError(f"heads {names} are not in the model, which is {self.shape}")
        return tuple(sorted(chosen))

    @property
    def shape(self) -> str:
        """The model's size in words."""
        spans = "" if self.spans is None else f" with the spans {', '.join(self.spans.names)}"
        return f"a model of {self.n_layers} layers x {self.n_heads} heads{spans}"
