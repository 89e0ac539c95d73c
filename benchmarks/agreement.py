"""Whether faster searches find the circuit of exact path patching, and whether bounds hold."""

from __future__ import annotations

import tempfile
from typing import Any

from circuits import Discovery, Head, discover_circuit
from circuits.model import TransformerBridge
from circuits.verification import receivers_of


def agreement(bridge: TransformerBridge, exact: Discovery) -> dict[str, Any]:
    """Dense and pruned searches, estimated and verified, against an exact dense search."""
    compared: dict[str, Any] = {"n_prompts": exact.config.n_prompts, "heads": len(exact.circuit)}
    for method in ("path-patching", "app"):
        with tempfile.TemporaryDirectory() as directory:
            for verify in (False, True):
                found = discover_circuit(
                    bridge,
                    exact.provenance.task,
                    method=method,
                    n_prompts=exact.config.n_prompts,
                    verify=verify,
                    directory=directory,
                )
                compared[f"{method} {'verified' if verify else 'swept'}"] = overlap(found, exact)
        if method == "path-patching":
            compared["bound"] = bound_check(found, exact)
    return compared


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
