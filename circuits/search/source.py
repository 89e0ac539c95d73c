"""What a search may ask of a model: estimates of every edge, and exact effects of some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from circuits.runtime.registry import Registry

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from circuits.circuit import Circuit
    from circuits.components import Head, Node, Receiver
    from circuits.graph import ModelGraph
    from circuits.patching import EdgeEstimates, EdgeValues
    from circuits.runtime.progress import Progress
    from circuits.search.rules import SelectionRule
    from circuits.search.verification import Verification
    from circuits.search.verifier import Verifier


@dataclass(frozen=True)
class SearchSettings:
    """What a search needs of a discovery's settings.

    Attributes:
        verify: Whether estimates on which a selection rests are replaced by exact effects.
        n_sampled_paths: How many other edges are run exactly, drawn at random: so many each time
            that a search has come to rest.
        n_edges: How many edges the search "top-n" keeps.
        seed: Seed of that draw.

    >>> DiscoveryConfig("app", search="top-n", n_edges=20, verify=False).search_settings
    SearchSettings(verify=False, n_sampled_paths=32, n_edges=20, seed=0)
    """

    verify: bool = True
    n_sampled_paths: int = 32
    n_edges: int = 100
    seed: int = 0


@runtime_checkable
class EdgeSource(Protocol):
    """Effects of the edges among some heads, normalised as in `EdgeValues`.

    Attributes:
        graph: The model's.
        heads: Which send and receive; where MLPs and the embedding are nodes, these do, too.
        settings: How the search is to be run.

    >>> from circuits.discovery.patcher import EdgePatcher
    >>> from circuits.discovery.session import Session
    >>> source = EdgePatcher(Session.of(model, task, config), candidates=None)
    >>> source.measured(Receiver.parse("1.0.v")).shape  # of the four heads of layer 0
    torch.Size([4])
    """

    graph: ModelGraph
    heads: tuple[Head, ...]
    settings: SearchSettings

    @property
    def is_exact(self) -> bool:
        """Whether every effect is measured when it is asked for, and none is estimated."""
        ...

    def estimates(self, progress: Progress) -> EdgeEstimates:
        """The estimated effect of every edge; made once."""
        ...

    def measured(
        self, receiver: Receiver, senders: Sequence[Node] | None = None
    ) -> Float[Tensor, " sender"]:
        """Exact effects of some senders (without: of all heads) on a receiver; NaN: not asked."""
        ...

    def p_values(self, receiver: Receiver, min_effect: float) -> Float[Tensor, " sender"]:
        """How likely estimates so large are by chance where no |effect| is above `min_effect`.

        NaN: not tested.
        """
        ...

    def known(self) -> EdgeValues:
        """Every exact effect that was measured."""
        ...

    def verifying(self, estimates: EdgeEstimates, n_sampled: int) -> Verifier:
        """What verifies them, and runs so many of the decided edges at random."""
        ...


@dataclass(frozen=True)
class Grown:
    """A circuit, what it was grown from, and what was verified.

    Attributes:
        circuit: The circuit.
        effects: Of all edges that the search looked at; None where no path was patched.
        verification: What was run exactly; None where nothing was verified.

    >>> Grown(circuit, effects).verification is None
    True
    """

    circuit: Circuit
    effects: EdgeValues | None
    verification: Verification | None = None


@runtime_checkable
class Search(Protocol):
    """From effects to circuits.

    Attributes:
        name: What `--search` calls it.
        description: What it does, in a few words.

    >>> class IntoLogits:
    ...     name, description = "into-logits", "heads whose path to the logits is above min_effect"
    ...     def find(self, source, rules, progress):
    ...         direct = source.estimates(progress).effects.effects(Receiver.logits()).abs()
    ...         found = [(direct > rule.min_effect).nonzero().tolist() for rule in rules]
    ...         heads = [[Head(*place) for place in places] for places in found]
    ...         return [Grown(Circuit.of_heads(some, *direct.shape), None) for some in heads]
    >>> with SEARCHES.with_entry(IntoLogits()):
    ...     DiscoveryConfig("app", search="into-logits").search
    'into-logits'
    """

    name: str
    description: str

    def find(
        self, source: EdgeSource, rules: Sequence[SelectionRule], progress: Progress
    ) -> list[Grown]:
        """The circuit of each of several selection rules, which share every effect."""
        ...


def _flaw(entry: Any) -> str | None:
    has_all = isinstance(entry, Search)
    return None if has_all else "it must have a description and a method find (Search)"


SEARCHES: Registry[Search] = Registry(
    "search",
    {
        "grow": "circuits.search.downward:GROW",
        "top-n": "circuits.search.top_n:TOP_N",
        "connect": "circuits.search.connect:CONNECT",
    },
    _flaw,
)
"""Every way from effects to a circuit."""
