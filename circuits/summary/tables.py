"""Figures of results in words, as rows that a terminal and a page can both show."""

from __future__ import annotations

from math import isfinite

from rich.filesize import decimal

from circuits.behaviour import VerdictKind
from circuits.circuit import Circuit
from circuits.comparison import Agreement
from circuits.components import Head
from circuits.discovery.result import Discovery
from circuits.evaluation import Curve, Evaluation, Gap, Kept
from circuits.evaluation.config import Prompts
from circuits.runtime.cost import Cost
from circuits.statistics import Chance
from circuits.summary import choice
from circuits.summary.content import Answer, NamedValues, Table, interval
from circuits.summary.ranking import strongest
from circuits.summary.size import counts

_FLOP_UNITS = ((10**15, "P"), (10**12, "T"), (10**9, "G"), (10**6, "M"), (1, ""))
_REPLACED_BY = {
    "mean": "means over corrupted prompts",
    "resample": "outputs on the corrupted prompt",
    "zero": "zeros",
}
_PROMPTS: dict[Prompts, str] = {
    "held-out": "held-out prompts",
    "discovery": "prompts of the discovery",
}
_VERDICTS: dict[VerdictKind, tuple[str, tuple[str, ...]]] = {
    "behaviour": ("Yes", ()),
    "no circuit": ("Not shown", ("So no circuit was searched for.",)),
    "no power": ("Not tested", ()),
    "ignored": ("Not shown", ("A circuit was searched for all the same.",)),
}
_NOT_SHOWN = {"no power": "not tested", "ignored": "ignored"}
_AGREEMENT = {"precision": "precision", "recall": "recall", "f1": "F1", "iou": "IoU"}


def does_the_task(found: Discovery) -> Answer:
    """Whether the prompts show that the model does the task, and what follows for a circuit."""
    verdict, weakness = found.verdict, found.behaviour.weakness
    if verdict is None:
        parts = ["Not tested: the run is older than the test."]
    else:
        before, after = _VERDICTS[verdict.kind]
        parts = [f"{before}: {verdict.reason}.", *after]
    if weakness and not found.refusal:
        parts.append(f"A circuit found on such prompts means little: {weakness}.")
    is_shown = verdict is not None and verdict.kind == "behaviour"
    return Answer(" ".join(parts), not is_shown or weakness is not None)


def behaviour(found: Discovery) -> NamedValues:
    """How well the model does the task, and whether that was shown."""
    measured, verdict = found.behaviour, found.verdict
    metrics = f"{measured.clean_metric:.2f} clean, {measured.corrupted_metric:.2f} corrupted"
    rows = {
        "model answers": f"{measured.accuracy:.0%} right, {measured.top_1:.0%} top-1",
        found.config.metric: metrics,
    }
    if verdict is not None and verdict.kind in _NOT_SHOWN:
        rows[_NOT_SHOWN[verdict.kind]] = verdict.reason
    return rows


def circuit(found: Discovery) -> NamedValues:
    """Size, performance, and what it was chosen from."""
    found_circuit = found.circuit
    every = found_circuit.n_layers * found_circuit.n_heads
    nodes = (f"{n} of {most} {name}" for name, (n, most) in counts(found_circuit).items())
    prunings = ", ".join(f"{name} {len(p.candidates)}" for name, p in found.prunings.items())
    kept = f"{len(found.candidates)} heads left by pruning ({prunings})"
    performance = f"{found.performance:.1f}% of {choice.whole(found.config)}"
    rows: dict[str, str] = {
        "size": ", ".join((*nodes, f"{len(found_circuit.edges)} edges")),
        "sparsity": sparsity(found_circuit),
    }
    if found.sizes is not None:
        return rows | choice.rows(found, found.sizes)
    candidates = kept if prunings else f"all {every} heads (nothing pruned)"
    if found.config.has_mlps:
        candidates += ", all MLPs and the embedding"
    return rows | {"performance": performance, "candidates": candidates}


def sparsity(of: Circuit) -> str:
    """How much of the model is outside."""
    return f"{of.sparsity:.1%} of the model's heads are outside"


def cost(spent: Cost) -> Table:
    """What each stage cost, and all of them."""
    rows = [(s.stage, s.flops, s.seconds, s.peak_memory_bytes) for s in spent.stages]
    if spent.earlier:
        memory = max(stage.peak_memory_bytes for stage in spent.earlier)
        flops, seconds = (sum(getattr(s, n) for s in spent.earlier) for n in ("flops", "seconds"))
        rows.append(("before it went on", flops, seconds, memory))
    rows.append(("total", spent.flops, spent.seconds, spent.peak_memory_bytes))
    return Table(
        ("stage", ">FLOPs", ">forward passes", ">seconds", ">peak memory"),
        tuple(
            (
                name,
                _flops(flops),
                f"{flops / spent.forward_pass_flops:,.1f}",
                f"{seconds:.1f}",
                decimal(memory),
            )
            for name, flops, seconds, memory in rows
        ),
        _on_other_prompts(spent),
        has_total=True,
    )


def _on_other_prompts(spent: Cost) -> str:
    """What of it was spent on the search's own prompts, where a size was chosen on others."""
    if all(stage.stage != "validation" for stage in spent.stages):
        return ""
    on_others = ("validation", "evaluation")
    others = sum(stage.flops for stage in spent.whole if stage.stage in on_others)
    on_search = (spent.flops - others) / spent.forward_pass_flops
    return f"{on_search:,.1f} of the forward passes are the search's, the others test circuits"


def evaluated_on(evaluation: Evaluation, prompts: Prompts | None) -> str:
    """Which prompts, and what the intervals are.

    Args:
        evaluation: Any.
        prompts: Its own, or None where nothing is known of the discovery's.

    """
    kind = "prompts" if prompts is None else _PROMPTS[prompts]
    return (
        f"{evaluation.n_prompts} {kind}, seed {evaluation.seed}, "
        f"{evaluation.confidence:.0%} intervals over prompts, taken as independent"
    )


def kept(evaluation: Evaluation, metric: str) -> Table:
    """What is left of the metric when all else is replaced or corrupted."""
    rows = [
        (f"heads give {_REPLACED_BY[ablation]}", *_kept_row(found))
        for ablation, found in evaluation.node_level.items()
    ]
    if evaluation.edge_level is not None:
        rows.append(("every path is corrupted", *_kept_row(evaluation.edge_level)))
    scale = f"the model's {metric}, {evaluation.full_metric:.2f}"
    return Table(
        ("outside the circuit", ">performance", "", ">faithfulness", ""),
        tuple(rows),
        f"performance: % of {scale}; faithfulness: 0 where nothing is kept, 1 the model",
    )


def evaluated(evaluation: Evaluation, of: Circuit) -> NamedValues:
    """Completeness, sparsity, and the gap to the discovery's prompts."""
    kind, own = ("edges", "edges") if of.mlps == "nodes" else ("paths", "heads")
    rows = {
        "completeness": f"{evaluation.completeness:.1f} % left without its {own} (0 is complete)",
        "sparsity": sparsity(of),
    }
    if evaluation.edge_sparsity is not None:
        rows[f"of {kind}"] = f"{evaluation.edge_sparsity:.2%} of the model's {kind} are outside"
    gaps = (("gap", evaluation.gap), (f"gap of {kind}", evaluation.edge_gap))
    return rows | {name: _gap(gap) for name, gap in gaps if gap is not None}


def curve_title(curve: Curve) -> str:
    """How the heads of a curve are ranked."""
    return f"Faithfulness against size, {curve.ranking} ranking by {curve.score}"


def curve(curve: Curve) -> Table:
    """Faithfulness at every size."""
    rows: dict[int, tuple[str, ...]] = {}
    for point in curve.points:
        value = point.faithfulness
        cells = (str(point.n_heads), f"{point.share:.1%}", f"{value.value:.3f}", interval(value, 3))
        rows.setdefault(point.n_heads, cells)
    return Table(
        (">heads", ">share", ">faithfulness", ""),
        tuple(rows.values()),
        f"the other heads give {_REPLACED_BY[curve.ablation]}; areas as MIB takes them: "
        f"CPR {curve.cpr:.3f}, CMD {curve.cmd:.3f}",
    )


def minimality(evaluation: Evaluation) -> Table:
    """What each node's removal costs, the largest loss first."""
    costs = sorted(evaluation.minimality.items(), key=lambda item: -item[1].value)
    rows = tuple((str(node), f"{lost.value:.2f}", interval(lost, 2)) for node, lost in costs)
    is_head = all(isinstance(node, Head) for node in evaluation.minimality)
    return Table(("head" if is_head else "node", ">points lost", ""), rows)


def agreement(found: Agreement, by_heads: Chance | None = None) -> Table:
    """Each figure of two sets, and what random sets of equal size would reach."""
    chances = {"by chance, 95 %": found.chance}
    if by_heads is not None:
        chances["by chance, same heads"] = by_heads
    rows = []
    for key, label in _AGREEMENT.items():
        spreads = [getattr(chance, key) for chance in chances.values()]
        cells = [f"{spread.mean:.3f} ({spread.low:.2f} to {spread.high:.2f})" for spread in spreads]
        rows.append((label, f"{getattr(found.overlap, key):.3f}", *cells))
    shared = len(found.overlap.true_positives)
    values = [f"p = {chance.p_value(shared):.2g}" for chance in chances.values()]
    rows.append(("in both", str(shared), *values))
    return Table(("", ">found", *(f">{label}" for label in chances)), tuple(rows))


def edges(of: Circuit, most: int | None = None) -> Table:
    """Edges by the size of their effects, the strongest first."""
    ranked = strongest(of.edges, most)
    rows = tuple((str(e.sender), f"→ {e.receiver}", f"{e.effect:+.3f}") for e in ranked)
    legend = "effect of corrupting it: -1 undoes the task; above 0 the path hurts the answer"
    return Table(("sender", "receiver", ">effect"), rows, legend)


def percent(value: float, digits: int = 0) -> str:
    """A percentage; a dash where there is no number."""
    return f"{value:.{digits}f} %" if isfinite(value) else "–"


def _kept_row(found: Kept) -> tuple[str, str, str, str]:
    performance, faithfulness = found.performance, found.faithfulness
    return (
        f"{performance.value:.1f}%",
        interval(performance, 1),
        f"{faithfulness.value:.3f}",
        interval(faithfulness, 3),
    )


def _gap(gap: Gap) -> str:
    return (
        f"{gap.difference:+.1f} points against the discovery's prompts "
        f"({gap.discovery.value:.1f}% there)"
    )


def _flops(count: int) -> str:
    scale, prefix = next((u for u in _FLOP_UNITS if count >= u[0]), _FLOP_UNITS[-1])
    return f"{count / scale:.3g} {prefix}".rstrip()
