"""All figures of a finished discovery's circuit, on its own prompts or on others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from circuits.discovery.kept import Kept
from circuits.discovery.origin import other_pairs, sample_pairs
from circuits.evaluation import (
    Evaluation,
    EvaluationConfig,
    Evaluator,
    choose_scores,
    evaluate_circuit,
    evaluation_size,
    held_out_pairs,
    sample_size,
)
from circuits.evaluation.shared import SharedMetrics
from circuits.forward import TransformerBridge
from circuits.metrics import get_metric
from circuits.model import identify, tokenizer_of
from circuits.runtime.lock import only_user
from circuits.runtime.progress import Progress
from circuits.runtime.sharing import Sharing, shared
from circuits.runtime.workers import Workers, check_workers
from circuits.tasks import PromptPairs, Task

if TYPE_CHECKING:
    from circuits.discovery.result import Discovery


@dataclass(frozen=True, eq=False)
class Evaluating:
    """An evaluation under way.

    Attributes:
        found: Whose circuit.
        bridge: The model.
        task: The task.
        config: Which prompts, which curves, how wide the intervals.
        sharing: Workers that take part; None: this process does all.

    """

    found: Discovery
    bridge: TransformerBridge
    task: Task
    config: EvaluationConfig
    sharing: Sharing | None

    def evaluation(self, progress: Progress) -> Evaluation:
        """All figures. Raises InputError and TaskError as `Discovery.evaluate` does."""
        found, config = self.found, self.config
        scores = choose_scores(found.effects, found.scores, config.score)
        own = self._evaluator(*sample_pairs(self.bridge, self.task, found.config))
        if config.prompts == "discovery":
            return evaluate_circuit(found.circuit, own, None, scores, config, progress)
        other = self._held_out(own)
        return evaluate_circuit(found.circuit, other, own, scores, config, progress)

    def _evaluator(self, pairs: PromptPairs, mean_pairs: PromptPairs) -> Evaluator:
        name, elsewhere = self.found.config.metric, None
        if self.sharing is not None:
            elsewhere = SharedMetrics(identify(self.bridge), mean_pairs, name, self.sharing)
        return Evaluator(self.bridge, pairs, mean_pairs, get_metric(name), elsewhere=elsewhere)

    def _held_out(self, own: Evaluator) -> Evaluator:
        """The model on prompts that are none of the discovery's, with means over such."""
        settings, config, task = self.found.config, self.config, self.task
        seed = settings.seed + 1 if config.seed is None else config.seed
        known = own.pairs.clean_text
        if settings.recipe.chooses:
            _, means = sample_pairs(self.bridge, task, settings)
            chosen_by, _ = other_pairs(self.bridge, task, settings, means)
            known = [*known, *chosen_by.clean_text]
        n_prompts = evaluation_size(task, config.n_prompts, len(known))
        n = sample_size(task, n_prompts, settings.n_mean_prompts, len(known))
        tokenizer, spans = tokenizer_of(self.bridge), own.pairs.spans
        everything = held_out_pairs(task, tokenizer, n, seed, known, spans=spans)
        return self._evaluator(everything[:n_prompts], everything)


@contextmanager
def taking_part(workers: Workers | None, directory: str | Path | None) -> Iterator[Sharing | None]:
    """Workers for an evaluation, which keep what they find in a run's directory.

    Raises SettingError, ExecutorError and BusyError.
    """
    check_workers(workers, directory)
    if workers is None:
        yield None
        return
    kept = Kept(directory)
    with only_user(kept.directory), shared(workers, kept.work) as sharing:
        yield sharing
