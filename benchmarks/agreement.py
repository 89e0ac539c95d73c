"""Whether faster searches find the circuit of exact path patching, and whether bounds hold."""

from __future__ import annotations

from typing import Any

from benchmarks.searches import Searches
from circuits import Discovery, Head
from circuits.search.verification import receivers_of


def agreement(dense: Searches, app: Searches, exact: Discovery) -> dict[str, Any]:
    """Dense and pruned searches, estimated and verified, against an exact dense search."""
    found = {
        "dense swept": dense.swept,
        "dense verified": dense.verified,
        "app swept": app.swept,
        "app verified": app.verified,
    }
    return {
        "n_prompts": exact.config.n_prompts,
        "heads": len(exact.circuit),
        "edges": len(exact.circuit.edges),
        "performance": exact.performance,
        **{name: overlap(discovery, exact) for name, discovery in found.items()},
        "bound": bound_check(dense, exact),
    }


def overlap(found: Discovery, exact: Discovery) -> dict[str, float]:
    """How the heads and the edges of two circuits agree."""
    heads, mine, theirs = found.circuit.compare(exact.circuit), *map(paths, (found, exact))
    return {
        "heads": len(found.circuit),
        "jaccard": heads.iou,
        "precision": heads.precision,
        "recall": heads.recall,
        "edge_jaccard": len(mine & theirs) / len(mine | theirs),
    }


def paths(found: Discovery) -> set[tuple[Any, Any]]:
    """A circuit's edges without their effects."""
    return {(edge.sender, edge.receiver) for edge in found.circuit.edges}


def bound_check(searches: Searches, exact: Discovery) -> dict[str, Any]:
    """The stated bound against the exact effects of all paths left out unverified.

    A path was not verified where a verified search still has the sweep's own estimate.
    """
    found, swept = searches.verified, searches.swept
    if found.verification is None or not (found.effects and swept.effects and exact.effects):
        raise ValueError("a bound is checked on a verified search against an exact one")
    bound, kept = found.verification.missed_effect, paths(found)
    left_out: list[float] = []
    for receiver in receivers_of(found.circuit)[1:]:
        effects = exact.effects.effects(receiver)
        estimated = found.effects.effects(receiver) == swept.effects.effects(receiver)
        for layer, index in (estimated & ~effects.isnan()).nonzero().tolist():
            if (Head(layer, index), receiver) not in kept:
                left_out.append(abs(float(effects[layer, index])))
    missed = [
        abs(edge.effect) for edge in exact.circuit.edges if (edge.sender, edge.receiver) not in kept
    ]
    within = sum(effect <= bound for effect in left_out)
    return {
        "bound": bound,
        "coverage": found.verification.coverage,
        "paths_left_out": len(left_out),
        "largest_effect_left_out": max(left_out, default=0.0),
        "share_within": within / len(left_out) if left_out else 1.0,
        "missed_paths": len(missed),
        "largest_missed_effect": max(missed, default=0.0),
    }
