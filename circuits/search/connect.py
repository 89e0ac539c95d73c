"""The paths by which a set of heads acts: all that count, and each head's strongest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from circuits.circuit import Circuit
from circuits.components import Edge, Node, Receiver
from circuits.graph import ModelGraph
from circuits.runtime.progress import Progress
from circuits.search.at_rest import verified
from circuits.search.grow import EffectsOf, Selector, chosen, inputs_of
from circuits.search.rules import SelectionRule
from circuits.search.source import EdgeSource, Grown
from circuits.search.threshold import known_effects

_MOST_SAMPLED = 0.05
"""Share of the paths among few heads that is run at random: most are run as they are kept."""


class _Connect:
    """Every head that was given, with the paths between them and to the logits.

    A path is kept where its |effect| is above `min_effect`, and where it is the strongest of its
    sender. Where effects are verified, every path that is kept or could be is run exactly.
    """

    name = "connect"
    description = "every head that pruning left, with its paths above --min-effect"

    def find(
        self, source: EdgeSource, rules: Sequence[SelectionRule], progress: Progress
    ) -> list[Grown]:
        """The circuit of each rule, of which nothing but `min_effect` counts."""
        selectors = [AboveLeast(rule.min_effect, source.graph) for rule in rules]
        part, rest = progress.parts(0.7, 0.3)
        if source.is_exact:
            circuits = [_connected(source, selector, source.measured) for selector in selectors]
            progress(1.0)
            return [Grown(circuit, source.known()) for circuit in circuits]
        estimates = source.estimates(part)
        if not source.settings.verify:
            effects = estimates.effects
            circuits = [_connected(source, selector, effects.into) for selector in selectors]
            return [Grown(circuit, effects) for circuit in circuits]
        most = int(_MOST_SAMPLED * estimates.effects.n_known)
        verifier = source.verifying(estimates, min(most, source.settings.n_sampled_paths))

        def find(selector: Selector) -> Circuit:
            def effects_of(receiver: Receiver) -> Float[Tensor, " sender"]:
                return verifier.effects(receiver, selector)

            return _connected(source, selector, effects_of)

        found = verified(verifier, selectors, find)
        rest(1.0)
        effects = verifier.values()
        return [Grown(circuit, effects, seen) for circuit, seen in found]


CONNECT = _Connect()


@dataclass(frozen=True)
class AboveLeast:
    """Keep senders of a |effect| that counts.

    >>> effects = torch.tensor([-0.5, 0.0, 0.02, -0.005])
    >>> [str(head) for head in AboveLeast(0.01, graph).select(effects, Receiver.parse("1.0.v"))]
    ['0.0', '0.2']
    """

    min_effect: float
    graph: ModelGraph

    def select(self, effects: Float[Tensor, " sender"], receiver: Receiver) -> tuple[Node, ...]:
        """The senders kept for one receiver."""
        return chosen(known_effects(effects).abs() > self.min_effect, self.graph)

    def deciding(
        self,
        effects: Float[Tensor, " sender"],
        errors: Float[Tensor, " sender"],
        receiver: Receiver,
    ) -> tuple[Node, ...]:
        """All that are kept or could be, and are estimated alone: what is reported is exact."""
        known, error = known_effects(effects), known_effects(errors)
        return chosen((error > 0) & (known.abs() + error > self.min_effect), self.graph)


def _connected(source: EdgeSource, selector: Selector, effects_of: EffectsOf) -> Circuit:
    graph, nodes = source.graph, source.graph.with_others(source.heads)
    edges: list[Edge] = []
    strongest: dict[Node, Edge] = {}
    for receiver in inputs_of(nodes, graph):
        effects = effects_of(receiver)
        kept = set(selector.select(effects, receiver))
        for sender in nodes:
            if not graph.reads(receiver, sender):
                continue
            edge = Edge(sender, receiver, float(effects[graph.column(sender)]))
            if sender in kept:
                edges.append(edge)
            if sender not in strongest or abs(edge.effect) > abs(strongest[sender].effect):
                strongest[sender] = edge
    connected = {edge.sender for edge in edges}
    for sender, edge in strongest.items():
        if sender not in connected:
            exact = source.measured(edge.receiver, [sender])[graph.column(sender)]
            edges.append(Edge(sender, edge.receiver, float(exact)))
    heads = frozenset(source.heads)
    return Circuit(heads, frozenset(edges), graph.n_layers, graph.n_heads, graph.mlps)
