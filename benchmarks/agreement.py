"""Whether faster searches find the circuit of exact path patching, and whether bounds hold."""

from __future__ import annotations

from typing import Any

from benchmarks.searches import Searches
from circuits import Discovery, Head
from circuits.verification import receivers_of


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
        "bound": bound_check(dense.verified, exact),
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


def bound_check(found: Discovery, exact: Discovery) -> dict[str, Any]:
    """The stated bound against every exact effect that is known of the receivers reached."""
    if found.verification is None or exact.effects is None:
        raise ValueError("a bound is checked on a verified search against an exact one")
    bound, known = found.verification.missed_effect, exact.effects
    kept = paths(found)
    left_out: list[float] = []
    for receiver in receivers_of(found.circuit)[1:]:
        effects = known.effects(receiver)
        for layer, index in (~effects.isnan()).nonzero().tolist():
            if (Head(layer, index), receiver) not in kept:
                left_out.append(abs(float(effects[layer, index])))
    missed = [
        abs(edge.effect) for edge in exact.circuit.edges if (edge.sender, edge.receiver) not in kept
    ]
    return {
        "bound": bound,
        "coverage": found.verification.coverage,
        "paths_left_out": len(left_out),
        "largest_effect_left_out": max(left_out),
        "share_within": sum(effect <= bound for effect in left_out) / len(left_out),
        "missed_paths": len(missed),
        "largest_missed_effect": max(missed, default=0.0),
    }
