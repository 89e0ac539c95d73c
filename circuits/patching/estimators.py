"""How the effects of edges are measured or estimated, and what does so by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from circuits.runtime.registry import Registry

if TYPE_CHECKING:
    from jaxtyping import Float
    from torch import Tensor

    from circuits.components import Head, Node, Receiver
    from circuits.forward.activations import Batch
    from circuits.graph import Mlps
    from circuits.patching.sums import EdgeSums
    from circuits.runtime.progress import Progress

ChangesInto = Callable[["Receiver", tuple["Node", ...]], 'Float[Tensor, "sender prompt"]']
"""Metric minus clean metric for each of some senders, all below the receiver, by prompt."""


@runtime_checkable
class EdgeEstimator(Protocol):
    """Finds the effects of every edge at once.

    Attributes:
        name: What `--engine` calls it; it is part of the key under which effects are kept.
        description: What it computes, in a few words.
        is_exact: Whether its effects are the definition's, but for rounding. Those of others are
            verified by an exact one.
        has_remainders: Whether it says how much each estimate leaves out.

    >>> {name: ESTIMATORS.get(name).is_exact for name in ("reference", "exact", "sweep")}
    {'reference': True, 'exact': True, 'sweep': False}
    """

    name: str
    description: str
    is_exact: bool
    has_remainders: bool

    def add(
        self,
        batch: Batch,
        heads: tuple[Head, ...],
        sums: EdgeSums,
        max_rows: int,
        progress: Progress,
    ) -> None:
        """Add the metric changes of a batch of prompts to `sums`; `heads` send and receive.

        Args:
            batch: Activations of some prompts.
            heads: The heads whose edges are wanted; where MLPs and the embedding are nodes, theirs
                are wanted, too.
            sums: Takes changes by prompt (`EdgeSums.add`).
            max_rows: How many (sender, token) rows may pass through an MLP at once.
            progress: Hears of the fraction done.

        """
        ...


@runtime_checkable
class ReceiverEstimator(EdgeEstimator, Protocol):
    """Finds the effects on one receiver alone, so that a search measures just those it reaches.

    >>> exact = ESTIMATORS.get("exact")
    >>> isinstance(exact, ReceiverEstimator), isinstance(ESTIMATORS.get("sweep"), ReceiverEstimator)
    (True, False)
    >>> changes = exact.open(activations.batches[0], max_rows=4096, kept_bytes=0)
    >>> changes(Receiver.parse("2.0.q"), (Head(0, 1), Head(1, 2))).shape  # sender, prompt
    torch.Size([2, 4])
    """

    def open(self, batch: Batch, max_rows: int, kept_bytes: int) -> ChangesInto:
        """A function from a receiver and senders to changes on a batch of prompts.

        `kept_bytes` is how much it may keep of what could be asked for again.
        """
        ...


def _flaw(entry: Any) -> str | None:
    if isinstance(entry, EdgeEstimator):
        return None
    return "it must have a description, is_exact, has_remainders and a method add (EdgeEstimator)"


ESTIMATORS: Registry[EdgeEstimator] = Registry(
    "engine",
    {
        "reference": "circuits.patching.reference:REFERENCE",
        "exact": "circuits.patching.exact:EXACT",
        "sweep": "circuits.patching.sweep:SWEEP",
    },
    _flaw,
)
"""Every way of finding the effects of paths between heads, with the MLPs in them."""

DIRECT_ESTIMATORS: Registry[EdgeEstimator] = Registry(
    "engine of direct edges",
    {
        "reference": "circuits.patching.direct_reference:REFERENCE",
        "exact": "circuits.patching.direct_exact:EXACT",
        "sweep": "circuits.patching.direct_sweep:SWEEP",
    },
    _flaw,
)
"""Every way of finding the effects of direct edges, where MLPs and the embedding are nodes."""


def engine_names() -> tuple[str, ...]:
    """The engines of both graphs."""
    return tuple(dict.fromkeys((*ESTIMATORS.names(), *DIRECT_ESTIMATORS.names())))


def estimators_of(mlps: Mlps) -> Registry[EdgeEstimator]:
    """The engines of a graph.

    >>> estimators_of("nodes").names()
    ('reference', 'exact', 'sweep')
    """
    return DIRECT_ESTIMATORS if mlps == "nodes" else ESTIMATORS
