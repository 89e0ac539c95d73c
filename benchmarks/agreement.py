"""Whether faster searches find the circuit of exact path patching, and whether bounds hold."""

from __future__ import annotations

from typing import Any

from benchmarks.searches import Searches
from circuits import Discovery, Overlap
from circuits.components import Connection
from circuits.search.grow import chosen, receivers_of


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
    heads = found.circuit.compare(exact.circuit)
    edges = Overlap.of(found.circuit.connections, exact.circuit.connections)
    return {
        "heads": len(found.circuit),
        "jaccard": heads.iou,
        "precision": heads.precision,
        "recall": heads.recall,
        "edge_jaccard": edges.iou,
    }


def bound_check(searches: Searches, exact: Discovery) -> dict[str, Any]:
    """The stated bound against the exact effects of all paths left out unverified.

    A path was not verified where a verified search still has the sweep's own estimate.
    """
    found, swept = searches.verified, searches.swept
    if found.verification is None or not (found.effects and swept.effects and exact.effects):
        raise ValueError("a bound is checked on a verified search against an exact one")
    bound, kept = found.verification.missed_effect, found.circuit.connections
    graph = exact.effects.graph
    left_out: list[float] = []
    for receiver in receivers_of(found.circuit, graph)[1:]:
        effects = exact.effects.into(receiver)
        estimated = found.effects.into(receiver) == swept.effects.into(receiver)
        for sender in chosen(estimated & ~effects.isnan(), graph):
            if Connection(sender, receiver) not in kept:
                left_out.append(abs(exact.effects.of(sender, receiver)))
    missed = [abs(edge.effect) for edge in exact.circuit.edges if edge.connection not in kept]
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
