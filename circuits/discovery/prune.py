"""The first long stage: scores of heads, and how far each prunes."""

from __future__ import annotations

from circuits.discovery.session import Session
from circuits.discovery.store import Pruned
from circuits.evaluation import Evaluator
from circuits.pruning import Pruning, prune
from circuits.runtime.progress import Progress
from circuits.scores.registry import SCORERS
from circuits.scores.scorer import finite_scores


def prune_heads(session: Session, evaluator: Evaluator, progress: Progress) -> Pruned:
    """Every pruning of the method, and the scores behind it."""
    config = session.config
    if not config.scorers:
        return {}, {}
    key = session.problem.pruning_key
    if (known := session.store.pruned(key)) is not None:
        return known
    settings = config.score_settings
    scores = {
        name: finite_scores(name, scorer.score(session.activations, session.graph, settings))
        for name, scorer in ((name, SCORERS.get(name)) for name in config.scorers)
    }
    prunings: dict[str, Pruning] = {}
    for name, part in progress.each(config.scorers):
        rule = config.pruning_rule
        prunings[name] = prune(scores[name], rule, evaluator.performances, part)
    session.store.keep_pruned(key, (prunings, scores))
    return prunings, scores
