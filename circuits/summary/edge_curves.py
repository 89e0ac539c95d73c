"""MIB's figures of scores of edges, in words."""

from __future__ import annotations

from circuits.evaluation import EdgeCurve, EdgeCurvePoint, EdgeCurves
from circuits.summary.content import NamedValues, Table, interval


def figures(curves: EdgeCurves) -> NamedValues:
    """Areas, each with its ranking, the smallest circuits that keep enough, and overshoot."""
    rows = {
        "CPR, by signed scores": f"{curves.cpr:.3f}; over log share {curves.signed.log_cpr:.3f}",
        "CMD, by absolute scores": f"{curves.cmd:.3f}; over log share "
        f"{curves.absolute.log_cmd:.3f}",
    }
    for curve in (curves.signed, curves.absolute):
        rows[f"smallest, by {curve.ranking} scores"] = _smallest(curve, curves)
    overshoots = [_overshoot(curve) for curve in (curves.signed, curves.absolute)]
    if any(overshoots):
        rows["overshoot"] = f"{'; '.join(filter(None, overshoots))}: edges that harm were left out"
    return rows


def table(curves: EdgeCurves) -> Table:
    """Faithfulness at every share, by signed and by absolute scores."""
    rows = (
        (f"{signed.share:.1%}", str(signed.n_ranked), *_cells(signed), *_cells(absolute))
        for signed, absolute in zip(curves.signed.points, curves.absolute.points, strict=True)
    )
    return Table(
        (">share", ">edges", ">signed", "", ">left", ">absolute", "", ">left"),
        tuple(rows),
        f"faithfulness on {curves.n_prompts} prompts of the best edges by signed and by absolute "
        f"scores ({curves.score}), all others corrupted; left: edges, and nodes, without those "
        "that lead nowhere",
    )


def _cells(point: EdgeCurvePoint) -> tuple[str, str, str]:
    kept = point.faithfulness
    left = f"{point.n_edges:,} ({point.n_nodes:,})"
    return f"{kept.value:.3f}", interval(kept, 3), left


def _smallest(curve: EdgeCurve, curves: EdgeCurves) -> str:
    point = curve.smallest
    if curves.keep is None:
        return "none was looked for"
    if point is None:
        return f"none keeps {curves.keep:g}"
    share = point.n_edges / curves.n_edges
    return (
        f"{point.n_edges:,} edges ({share:.2%}) between {point.n_nodes:,} nodes keep "
        f"{point.faithfulness:.3f}, where {curves.keep:g} was asked for"
    )


def _overshoot(curve: EdgeCurve) -> str:
    point = curve.highest
    if not point.overshoots:
        return ""
    kept = point.faithfulness
    return f"faithfulness {kept:.3f} at {point.share:.1%} by {curve.ranking} scores"
