"""What a piece of work costs, as torch counts it."""

from __future__ import annotations

from collections.abc import Callable

from torch.utils.flop_counter import FlopCounterMode

from circuits import Discovery


def flops(work: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def flops_of_search(found: Discovery) -> int:
    """Of pruning and patching together: a run that goes on takes again in one of them what the
    other of a whole run has taken for both."""
    return sum(found.cost.of(stage).flops for stage in ("pruning", "patching"))
