"""The figures of a page, each in two themes."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import plotly.graph_objects as go

from circuits.components import Receiver
from circuits.discovery.result import Discovery
from circuits.figures import (
    Theme,
    circuit_figure,
    cost_figure,
    faithfulness_figure,
    head_scores_figure,
    inclusion_figure,
    pareto_figure,
    receiver_effects_figure,
    sizes_figure,
    sparsity_curve_figure,
)
from circuits.pruning import PruningRule
from circuits.report.saved_run import SavedRun
from circuits.summary.ranking import strongest
from circuits.summary.settings import pruning_rule
from circuits.summary.size import size

Draw = Callable[[Theme], go.Figure]
_PAGE_THEMES: tuple[Theme, ...] = ("light", "dark")
_SHOWN_RECEIVERS = 3


@dataclass(frozen=True)
class Drawing:
    """A figure for a page.

    Attributes:
        name: Unique on the page.
        caption: What to see.
        alternative: The same for those who cannot see it.
        themes: By "light" and "dark", the figure as plain data.
        height: In pixels.

    """

    name: str
    caption: str
    alternative: str
    themes: dict[str, Any]
    height: int

    @classmethod
    def of(cls, name: str, draw: Draw, caption: str, alternative: str = "") -> Drawing:
        """Draw in both themes."""
        themes = {theme: draw(theme) for theme in _PAGE_THEMES}
        layout: Any = themes["light"].layout
        plain = {theme: json.loads(str(figure.to_json())) for theme, figure in themes.items()}
        return cls(name, caption, alternative or caption, plain, int(layout.height))


def drawings(run: SavedRun) -> dict[str, tuple[Drawing, ...]]:
    """Every figure of a run, by the section that shows it."""
    found = run.found
    seeds = tuple(_seeds(run))
    if found.refusal:
        nothing = dict.fromkeys(("circuit", "pruning", "effects", "evaluation", "search"), ())
        return {**nothing, "seeds": seeds, "cost": (_cost(found),)}
    by_section: dict[str, Iterable[Drawing]] = {
        "circuit": [_circuit(found)],
        "pruning": _pruning(found),
        "effects": _effects(found),
        "evaluation": _evaluation(run),
        "search": _search(run),
        "seeds": seeds,
        "cost": [_cost(found)],
    }
    return {section: tuple(drawn) for section, drawn in by_section.items()}


def named(drawn: Drawing, prefix: str) -> Drawing:
    """The same figure under a name that is unique on a page of several runs."""
    return replace(drawn, name=f"{prefix}-{drawn.name}")


def _circuit(found: Discovery) -> Drawing:
    circuit = found.circuit
    names = "; ".join(map(str, strongest(circuit.edges, 5)))
    return Drawing.of(
        "circuit",
        lambda theme: circuit_figure(circuit, theme=theme),
        "Heads by layer, the logits on top. Point at a head or an edge for its numbers; click on "
        "an input in the legend to hide the edges into it. Pale heads have no edge among those "
        "drawn.",
        f"Graph of {size(circuit)}. Strongest: {names}. All are in the tables below.",
    )


def _pruning(found: Discovery) -> Iterable[Drawing]:
    kept = _kept_by(pruning_rule(found))
    if any(len(pruning.sparsities) > 1 for pruning in found.prunings.values()):
        yield Drawing.of(
            "sweep",
            lambda theme: sparsity_curve_figure(found.prunings, theme=theme),
            "Heads are removed from the lowest score upward; a ring marks the cut. Kept are "
            f"{kept}.",
        )
    for number, (name, scores) in enumerate(sorted(found.scores.items())):
        pruning = found.prunings.get(name)
        yield Drawing.of(
            f"scores-{number}",
            lambda theme, name=name, scores=scores, pruning=pruning: head_scores_figure(
                scores,
                pruning.candidates if pruning else found.circuit.heads,
                f"Scores of {name}",
                theme=theme,
            ),
            f"Scores by {name}; framed heads are kept by it: {kept}."
            if pruning
            else f"Scores by {name}; framed are the heads of the circuit.",
        )


def _kept_by(rule: PruningRule | None) -> str:
    """Which heads a rule keeps."""
    if rule is None:
        return "those that a method or score chose which is not installed here"
    if rule.cliff == "share":
        return f"the best, which hold {100 * rule.score_share:.3g} % of the scores above 0"
    if rule.cliff == "fixed":
        return f"the best {100 * (1 - rule.fixed_sparsity):.3g} % of the model's"
    return "those left just before performance drops, or at the end where it never does"


def _effects(found: Discovery) -> Iterable[Drawing]:
    if found.effects is None:
        return
    effects = found.effects
    ranked = [edge.receiver for edge in strongest(found.circuit.edges)]
    receivers = list(dict.fromkeys([Receiver.logits(), *ranked]))[:_SHOWN_RECEIVERS]
    for number, receiver in enumerate(receivers):
        yield Drawing.of(
            f"effects-{number}",
            lambda theme, receiver=receiver: receiver_effects_figure(
                effects, receiver, found.circuit, theme=theme
            ),
            f"What corrupting each head's path to {receiver} does. Blue: the path helps the "
            "answer; red: it hurts it. Framed paths are edges of the circuit.",
        )


def _evaluation(run: SavedRun) -> Iterable[Drawing]:
    curves = run.evaluation.evaluation.curves if run.evaluation else {}
    if curves:
        named_curves = {str(name): curve for name, curve in curves.items()}
        yield Drawing.of(
            "faithfulness",
            lambda theme: faithfulness_figure(named_curves, theme=theme),
            "Faithfulness of ever more of the best heads, bands are intervals over prompts.",
        )


def _search(run: SavedRun) -> Iterable[Drawing]:
    search, sizes = run.search, run.found.sizes
    if sizes is not None:
        yield Drawing.of(
            "sizes",
            lambda theme: sizes_figure(sizes, theme=theme),
            "Every circuit that was tried, by size: what it keeps on the prompts that sizes are "
            "chosen by, and what the best ones keep on prompts that neither search nor choice has "
            "seen.",
        )
    if search is not None:
        yield Drawing.of(
            "search",
            lambda theme: pareto_figure(search, theme=theme),
            "Every circuit of the search by size and performance; on the front, no other circuit "
            "is both smaller and better.",
        )


def _seeds(run: SavedRun) -> Iterable[Drawing]:
    seeds = run.seeds
    if seeds is None or not seeds.nodes.rows:
        return
    every = [("nodes", True), *([] if seeds.edges is None else [("edges", False)])]
    for name, nodes in every:
        yield Drawing.of(
            f"seeds-{name}",
            lambda theme, nodes=nodes: inclusion_figure(seeds, nodes=nodes, theme=theme),
            "In how many of the circuits of all seeds each is, with the interval of that share; "
            "the dotted line is where core begins. The study's inclusion.csv has all.",
        )


def _cost(found: Discovery) -> Drawing:
    return Drawing.of(
        "cost",
        lambda theme: cost_figure(found.cost, theme=theme),
        "Floating-point operations of each stage, in forward passes over the same prompts, and "
        "seconds on the machine it ran on.",
    )
