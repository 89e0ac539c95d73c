"""Rankings of heads, proposed on the prompts of the search."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count, takewhile

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.ablation import kept_mask, weighted_gradients
from circuits.components import Head
from circuits.discovery.session import Session
from circuits.evaluation import Evaluator, order_heads
from circuits.runtime.progress import SILENT, Progress
from circuits.scores import input_gradient_scores, mask_scores
from circuits.search.in_context import thinned

IN_CONTEXT, ONCE, INPUTS = "in-context", "mask-attribution", "eap-ig"
_SCORES = "scores"
_SMALL = 12
"""Heads: where so many do not do, circuits are large, and another ranking is worth its price."""
_WEIGHT = 0.75
"""Where slopes are taken in a circuit: near its own heads, short of where they saturate."""
_FEW = 40
"""So many heads are left out one by one; among more, slopes say what leaving each out costs."""
_RUNS = 64
"""Prompts times heads that are run in a round of those."""
_LEAST = 5
"""So many heads are not thinned further: it takes two passes, and few circuits are smaller."""
_MARGIN, _MORE = 1.1, 1.5
"""The heads to begin with: this many times those that keep so much more than is asked for."""


@dataclass(frozen=True, eq=False)
class Rankings:
    """Orders of heads, the best first, and the scores of all heads that they come from.

    Attributes:
        orders: By name; the first is the one to rely on.
        scores: What each head adds on the way from all heads ablated to all of them.

    """

    orders: dict[str, tuple[Head, ...]]
    scores: Float[Tensor, "layer head"]

    def tensors(self) -> dict[str, Tensor]:
        """The scores, and each order as places of heads among all, numbered as it comes."""
        n_heads = self.scores.shape[1]
        places = {
            f"{number} {name}": torch.tensor([head.layer * n_heads + head.index for head in order])
            for number, (name, order) in enumerate(self.orders.items())
        }
        return {_SCORES: self.scores, **places}

    @classmethod
    def of_tensors(cls, tensors: Mapping[str, Tensor]) -> Rankings:
        """What `tensors` gave."""
        scores = tensors[_SCORES]
        orders = {
            name.partition(" ")[2]: _heads(places.tolist(), scores.shape[1])
            for name, places in sorted(tensors.items())
            if name != _SCORES
        }
        return cls(orders, scores)


def rank_heads(
    session: Session, evaluator: Evaluator, keep: float | int, progress: Progress = SILENT
) -> Rankings:
    """Rank all heads once, and again in ever smaller company those that a circuit can need.

    Where the best few do not keep enough, EAP-IG ranks all heads, too. What the session's store has
    is not ranked again.

    Args:
        session: The model on the prompts of the search.
        evaluator: The same, with mean head outputs.
        keep: Percent of the metric that the circuit is to keep.
        progress: Hears of the fraction done.

    >>> session = Session.of(model, task, config)
    >>> list(rank_heads(session, session.evaluator(), keep=70).orders)
    ['in-context', 'mask-attribution']
    """
    store, key = session.store, session.problem.ranking_key
    if (known := store.ranked(key)) is not None:
        return Rankings.of_tensors(known)
    ranked = _ranked(session, evaluator, keep, progress)
    store.keep_ranked(key, ranked.tensors())
    return ranked


def _ranked(
    session: Session, evaluator: Evaluator, keep: float | int, progress: Progress
) -> Rankings:
    once, rounds = progress.parts(0.4, 0.6)
    company = _Company(session, evaluator)
    scores = mask_scores(session.activations, evaluator.means).mean
    best = tuple(order_heads(scores, "signed"))
    n_enough = _n_enough(best, evaluator, keep)
    begin = best[: round(_MORE * n_enough)]
    once(1.0)

    def scores_among(heads: tuple[Head, ...], round_number: int) -> Sequence[float]:
        rounds(1 - len(heads) / len(begin))
        return company.scores(heads, round_number)

    first = {head: float(scores[head.layer, head.index]) for head in begin}
    least = min(_LEAST, len(begin))
    orders = {IN_CONTEXT: thinned(first, scores_among, least=least), ONCE: best}
    few = frozenset(orders[IN_CONTEXT][:_SMALL])
    if n_enough > _SMALL and evaluator.performance(few) < keep:
        by_inputs = input_gradient_scores(session.activations)
        orders[INPUTS] = tuple(order_heads(by_inputs, "signed"))
    return Rankings(orders, scores)


def _heads(places: Sequence[int], n_heads: int) -> tuple[Head, ...]:
    return tuple(Head(*divmod(place, n_heads)) for place in places)


def _n_enough(best: Sequence[Head], evaluator: Evaluator, keep: float | int) -> int:
    """How many of the best keep some more than is asked for: few, half as many again, or all."""
    n_heads = len(best)
    for n in takewhile(lambda n: n < n_heads, (round(_SMALL * 1.5**step) for step in count())):
        if evaluator.performance(frozenset(best[:n])) >= _MARGIN * keep:
            return n
    return n_heads


@dataclass(frozen=True, eq=False)
class _Company:
    """What each head of a circuit adds to it."""

    session: Session
    evaluator: Evaluator

    def scores(self, heads: tuple[Head, ...], round_number: int) -> list[float]:
        many = len(heads) > _FEW
        return self._slopes(heads) if many else self._removals(heads, round_number)

    def _slopes(self, heads: tuple[Head, ...]) -> list[float]:
        model, metric = self.evaluator.model, self.session.metric
        (kept,) = kept_mask([frozenset(heads)], model.n_layers, model.n_heads)
        total = torch.zeros(kept.shape, dtype=torch.float64)
        for batch in self.session.activations.batches:
            means = self.evaluator.means
            run = weighted_gradients(model, batch.pairs, means, kept, _WEIGHT, metric)
            total += run.gradients.double().sum(0)
        return [float(total[h.layer, h.index]) / len(self.session.pairs) for h in heads]

    def _removals(self, heads: tuple[Head, ...], round_number: int) -> list[float]:
        pairs, together = self.session.pairs, frozenset(heads)
        n = min(len(pairs), max(2, _RUNS // len(heads)))
        circuits = [together, *(together - {head} for head in heads)]
        kept = self.evaluator.run(pairs.in_turn(n, round_number), circuits).cpu().double().mean(1)
        return (kept[0] - kept[1:]).tolist()


def lowest(scores: Float[Tensor, "layer head"], n: int = 8) -> tuple[Head, ...]:
    """The heads of the lowest scores below 0, worst first: they may work against the answer.

    >>> [str(head) for head in lowest(torch.tensor([[0.5, -0.1], [-0.3, 0.0]]))]
    ['1.0', '0.1']
    """
    worst = reversed(order_heads(scores, "signed")[-n:])
    return tuple(head for head in worst if float(scores[head.layer, head.index]) < 0)
