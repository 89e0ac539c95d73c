"""A circuit whose size was chosen, in words: what it keeps where, and what its heads are worth."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, isfinite

from circuits.components import Connection
from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.result import Discovery
from circuits.edge_search import MOST_LEFT_OUT
from circuits.evaluation.contributions import Contributions
from circuits.evaluation.sizes import HALF_SURE, SizeCurve
from circuits.statistics import Estimate
from circuits.summary.content import Table, interval, measured

_WIDE, _ENOUGH = 10.0, 5.0
"""Points: an interval that is wider than ± the one is said to be; the other is aimed at."""


def rows(found: Discovery, sizes: SizeCurve) -> dict[str, str]:
    """What the circuit keeps on each set of prompts, and why it is the one."""
    config, point = found.config, sizes.point
    held_out = "not run" if point.held_out is None else f"{point.held_out:.1f}%"
    told = {
        "performance": f"{held_out} of {whole(config)} on {sizes.n_held_out} prompts that neither "
        "search nor choice has seen",
        "elsewhere": f"{point.search:.1f}% on {config.n_prompts} prompts of the search, "
        f"{point.validation:.1f}% on {sizes.n_validation} others that the size was chosen by",
        "chosen": _reason(found, sizes),
    }
    if sizes.margin == HALF_SURE:
        told["less sure"] = (
            f"twice as many errors to spare would take more than twice as many {point.unit}"
        )
    if found.performance > 100:
        told["above 100%"] = f"{point.unit} that work against the answer are left out"
    if needed := more_prompts(point.held_out, sizes.n_held_out):
        told["few prompts"] = f"for an interval of ±5 points, report on {needed}"
    if found.config.chooses_edges:
        return told | _worth_of_edges(found.edge_worth)
    return told | (_worth(found.contributions) if found.contributions else {})


def _reason(found: Discovery, sizes: SizeCurve) -> str:
    """Why the circuit is the one."""
    if (threshold := found.config.divergence_threshold) is not None:
        return f"what ACDC leaves at a threshold of {threshold:g} nats, whatever it keeps"
    n, spare = len(sizes.points), sizes.point.spare * sizes.margin
    reason = (
        f"the smallest of {n} circuits that keeps {sizes.keep:g}%"
        if sizes.reaches
        else f"none of {n} circuits keeps {sizes.keep:g}%: the one that keeps most"
    )
    return f"{reason} of these, with {spare:.1f} standard errors to spare"


def whole(config: DiscoveryConfig) -> str:
    """What performance is a share of."""
    if config.has_mlps:
        return f"the {config.metric} that corrupting every edge takes away"
    return f"the model's {config.metric}"


def _worth_of_edges(worth: Mapping[Connection, Estimate] | None) -> dict[str, str]:
    """Of how many edges it is shown that they are needed."""
    if worth is None:
        few = f"more than {MOST_LEFT_OUT} edges are not left out one by one"
        return {"single edges": f"{few}: their effects are estimated, by slopes in the circuit"}
    shown = sum(lost.low > 0 for lost in worth.values())
    harm = sum(lost.high < 0 for lost in worth.values())
    told = f"{shown} of {len(worth)} edges are each shown to be needed where the size was chosen"
    return {"single edges": told + (f", {harm} to do harm" if harm else "")}


def _worth(worth: Contributions) -> dict[str, str]:
    """Which heads oppose the answer, and of which it is not shown that they are needed."""
    opposing = [f"{head} (-{lost.value:.0f} points)" for head, lost in worth.opposing.items()]
    named = {
        "work against it": opposing,
        "not shown to be needed": [str(head) for head in worth.not_shown],
    }
    return {name: " ".join(heads) for name, heads in named.items() if heads}


def more_prompts(kept: Estimate | None, n_prompts: int) -> int | None:
    """How many prompts an interval of ±5 points takes; None where it is less than ±10 wide.

    >>> more_prompts(Estimate(90.0, 75.0, 105.0), n_prompts=32)
    288
    """
    if kept is None or not isfinite(kept.high - kept.low):
        return None
    half = (kept.high - kept.low) / 2
    return None if half <= _WIDE else ceil(n_prompts * (half / _ENOUGH) ** 2)


def sizes(of: SizeCurve) -> Table:
    """The best circuit of each size, where the size was chosen and on other prompts."""
    cells = tuple(
        (
            str(len(point)),
            point.ranking,
            f"{point.search.value:.1f}",
            f"{point.validation.value:.1f}",
            *measured(point.held_out, 1),
            "chosen" if point is of.point else "",
        )
        for point in of.points
        if point in of.front or point is of.point
    )
    unit = of.point.unit
    all_of_it = "what corrupting every edge takes away" if unit == "edges" else "the model's metric"
    legend = (
        f"% of {all_of_it}, with a 95 % interval on {of.n_held_out} held-out prompts, taken as "
        "independent"
    )
    return Table(
        (f">{unit}", "ranked", ">search", ">validation", ">held out", "", ""), cells, legend
    )


def contributions(worth: Contributions) -> Table:
    """What leaving out a head of the circuit costs, and adding one that opposes it."""
    ranked = sorted(worth.kept.items(), key=lambda item: -item[1].value)
    changes = [(head, "left out", lost) for head, lost in ranked]
    changes += [(head, "added", lost) for head, lost in worth.opposing.items()]
    cells = [(str(h), how, f"{lost.value:.1f}", interval(lost, 1)) for h, how, lost in changes]
    legend = (
        f"points of performance, on {worth.n_prompts} prompts that the size was chosen by (and "
        "those of the search, where these leave it open)"
    )
    return Table(("head", "", ">points lost", ""), tuple(cells), legend)
