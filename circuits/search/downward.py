"""Growing circuits from the logits downward, on measured, verified or plain estimated effects."""

from __future__ import annotations

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from circuits.components import Receiver
from circuits.runtime.progress import Progress
from circuits.search.at_rest import Visit, verified_growth
from circuits.search.grow import Selector, grow
from circuits.search.rules import SelectionRule
from circuits.search.significant import selector_of
from circuits.search.source import EdgeSource, Grown

_ESTIMATING = 0.7
"""Share of the work, where something follows the estimates: for the progress alone."""


class _GrowDownward:
    """The published search, with a choice of how sure the effects are."""

    name = "grow"
    description = "from the logits downward, senders that are kept become receivers"

    def find(
        self, source: EdgeSource, rules: Sequence[SelectionRule], progress: Progress
    ) -> list[Grown]:
        """Measure what the search reaches; or estimate all, and verify where it was asked for."""
        selectors = [selector_of(rule, source.graph, source.p_values) for rule in rules]
        if source.is_exact:
            tests = any(rule.tests_significance for rule in rules)
            return _on_measured(source, selectors, progress, estimate=tests)
        if source.settings.verify:
            return _on_verified(source, selectors, progress)
        effects = source.estimates(progress).effects
        return [Grown(grow(effects.into, one, source.graph), effects) for one in selectors]


GROW = _GrowDownward()


def _on_measured(
    source: EdgeSource, selectors: Sequence[Selector], progress: Progress, *, estimate: bool
) -> list[Grown]:
    """By exact effects; p-values are those of estimates, prompt by prompt."""
    rest = progress
    if estimate:
        source.estimates(progress.within(0, _ESTIMATING))
        rest = progress.within(_ESTIMATING, 1)
    visit = _visits(source, rest)

    def effects_of(receiver: Receiver) -> Float[Tensor, " sender"]:
        visit(receiver)
        return source.measured(receiver)

    circuits = [grow(effects_of, selector, source.graph) for selector in selectors]
    effects = source.known().among(source.graph.with_others(source.heads))
    return [Grown(circuit, effects) for circuit in circuits]


def _on_verified(
    source: EdgeSource, selectors: Sequence[Selector], progress: Progress
) -> list[Grown]:
    """By estimates, exact wherever a selection rests on them."""
    estimates = source.estimates(progress.within(0, _ESTIMATING))
    verifier = source.verifying(estimates, source.settings.n_sampled_paths)
    visit = _visits(source, progress.within(_ESTIMATING, 1))
    found = verified_growth(verifier, selectors, visit)
    effects = verifier.values()
    return [Grown(circuit, effects, seen) for circuit, seen in found]


def _visits(source: EdgeSource, progress: Progress) -> Visit:
    """Reports how far down the model a search has come."""
    deepest, n_layers = [0.0], source.graph.n_layers

    def visit(receiver: Receiver) -> None:
        layer = n_layers if receiver.node is None else receiver.node.layer
        deepest[0] = max(deepest[0], 1 - layer / n_layers)
        progress(deepest[0])

    return visit
