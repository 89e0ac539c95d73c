"""How well a model does a task, by its own forward pass, and whether that is more than chance."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from circuits.errors import NonFiniteError
from circuits.forward import TransformerBridge
from circuits.forward.finite import check_finite
from circuits.forward.passes import at_end
from circuits.forward.prompts import readable, trim
from circuits.metrics import Metric, accuracy, logit_diff, top_1
from circuits.runtime.progress import SILENT, Progress
from circuits.runtime.shrinking import Shrinking
from circuits.statistics.significance import least_p_value, prompts_needed, sign_flip_p_values
from circuits.tasks import PromptPairs

_TOGETHER = Shrinking("prompts")
LOWEST_ACCURACY = 0.6
LEVEL = 0.01
"""P-values up to this show a behaviour; two tests must."""
VerdictKind = Literal["behaviour", "no circuit", "no power", "ignored"]


class WeakTaskWarning(UserWarning):
    """The model does not do the task well, so that a circuit found on it means little.

    It carries `Behaviour.weakness` as its reason, and can be made an error.

    >>> Behaviour(16, accuracy=0.5, top_1=0.0, clean_metric=2.1, corrupted_metric=0.3).weakness
    'the model answers 50% of the prompts right (under 60%)'
    >>> import warnings
    >>> warnings.simplefilter("error", WeakTaskWarning)
    """


@dataclass(frozen=True)
class Verdict:
    """Whether there is a behaviour that a circuit could carry.

    Attributes:
        kind: "behaviour": the tests show one. "no circuit": they do not, and nothing was searched
            for. "no power": there are too few prompts for the tests. "ignored": they do not, and a
            circuit was searched for all the same.
        reason: Why, in a sentence without its full stop.

    >>> found.behaviour.verdict.kind
    'no power'
    >>> print(found.behaviour.verdict.reason)
    4 prompts cannot show that the model does the task (p is at least 0.062; 7 prompts could)
    """

    kind: VerdictKind
    reason: str

    @property
    def refuses(self) -> bool:
        """Whether there is no circuit to search for."""
        return self.kind == "no circuit"


@dataclass(frozen=True)
class Behaviour:
    """A model's answers to the prompts of a task.

    Attributes:
        n_prompts: Number of prompt pairs.
        accuracy: Share of clean prompts whose likeliest answer, of the correct and wrong ones, is
            correct.
        top_1: Share of clean prompts whose likeliest token of all is a correct answer.
        clean_metric: Mean metric on the clean prompts.
        corrupted_metric: Mean metric on the corrupted prompts.
        chance_p_value: Of a mean clean metric so far above 0, if a coin labelled each prompt's
            answers correct and wrong; None for runs saved before there was a test.
        corruption_p_value: The same of clean minus corrupted metric, pair by pair.

    Raises:
        NonFiniteError: A metric is NaN or infinite.

    >>> found.behaviour.n_prompts, found.behaviour.accuracy
    (4, 1.0)
    >>> Behaviour(16, 0.5, 0.0, clean_metric=0.2, corrupted_metric=0.2).verdict.reason
    'corrupting the prompts changes nothing (clean 0.2, corrupted 0.2)'
    """

    n_prompts: int
    accuracy: float
    top_1: float
    clean_metric: float
    corrupted_metric: float
    chance_p_value: float | None = None
    corruption_p_value: float | None = None

    def __post_init__(self) -> None:
        if not (isfinite(self.clean_metric) and isfinite(self.corrupted_metric)):
            raise NonFiniteError(
                f"no verdict can rest on a metric that is no number (clean {self.clean_metric}, "
                f"corrupted {self.corrupted_metric}): measure it again, with the model in float32 "
                "or bfloat16"
            )

    @property
    def verdict(self) -> Verdict:
        """Whether the model does the task, and does it by what the corruption takes away.

        Two sign-flip tests over prompts, both one-sided at level 0.01. The first asks whether the
        clean metric is above the corrupted one; without that, effects measure nothing. The second
        asks whether the clean metric is above 0. Chance has no fixed accuracy where the sets of
        answers differ in size, as 91 years against 2, so that a binomial test would need a rate
        that nobody knows; but swapping a prompt's correct and wrong answers negates its metric, so
        if the labels mean nothing the test is exact, for any number of answers. Both tests take
        prompts as drawn independently.
        """
        n, least = self.n_prompts, least_p_value(self.n_prompts, "greater")
        metrics = f"clean {self.clean_metric:.3g}, corrupted {self.corrupted_metric:.3g}"
        if self.clean_metric == self.corrupted_metric:
            return Verdict("no circuit", f"corrupting the prompts changes nothing ({metrics})")
        if least > LEVEL:
            needed = prompts_needed(LEVEL, "greater")
            return Verdict(
                "no power",
                f"{n} prompts cannot show that the model does the task (p is at least {least:.2g}; "
                f"{needed} prompts could)",
            )
        for p_value, claim in (
            (self.corruption_p_value, f"above that on corrupted ones ({metrics}"),
            (self.chance_p_value, f"above chance ({metrics}"),
        ):
            if p_value is None or not p_value <= LEVEL:
                shown = "untested" if p_value is None else f"p = {p_value:.2g}"
                reason = f"{n} prompts do not show the metric on clean prompts to be {claim}, "
                return Verdict("no circuit", f"{reason}{shown})")
        return Verdict("behaviour", f"{n} prompts show that the model does the task ({metrics})")

    @property
    def weakness(self) -> str | None:
        """Why a circuit found on these prompts would mean little; None where the task is done."""
        if not self.clean_metric > self.corrupted_metric:
            return (
                f"the metric on clean prompts ({self.clean_metric:.2f}) is not above that on "
                f"corrupted ones ({self.corrupted_metric:.2f})"
            )
        if self.accuracy < LOWEST_ACCURACY:
            return (
                f"the model answers {self.accuracy:.0%} of the prompts right "
                f"(under {LOWEST_ACCURACY:.0%})"
            )
        return None


def measure_behaviour(
    model: TransformerBridge,
    pairs: PromptPairs,
    metric: Metric = logit_diff,
    batch: int = 32,
    progress: Progress = SILENT,
) -> Behaviour:
    """Run both prompts of every pair through the model itself, a few pairs at a time.

    Args:
        model: A TransformerBridge.
        pairs: Clean and corrupted prompts.
        metric: From logits at the answers to one number per prompt.
        batch: How many pairs are run together.
        progress: Hears of the fraction done.

    Raises:
        TaskError: A prompt is longer than the model can read, or has a token that it does not know.
        NonFiniteError: A logit, or the metric, is NaN or infinite on some prompts.

    >>> behaviour = measure_behaviour(model, pairs)
    >>> behaviour.accuracy, behaviour.clean_metric > behaviour.corrupted_metric
    (1.0, True)
    """
    pairs = readable(model, pairs)
    parts, clean, corrupted = _TOGETHER.run(
        batch, lambda size: _answered(model, pairs, size, progress)
    )

    def measured(by: Metric, logits: list[Tensor]) -> Float[Tensor, " prompt"]:
        return torch.cat([by(*both) for both in zip(logits, parts, strict=True)]).cpu().double()

    tokens = pairs.clean, pairs.corrupted
    for what, by in (("the largest logit", _largest), ("the metric", metric)):
        both = torch.stack([measured(by, clean), measured(by, corrupted)])
        check_finite(model, what, both, tokens)
    on_clean, on_corrupted = both
    tested = torch.stack([on_clean, on_clean - on_corrupted])
    chance, corruption = sign_flip_p_values(tested, "greater").tolist()
    return Behaviour(
        n_prompts=len(pairs),
        accuracy=float(measured(accuracy, clean).mean()),
        top_1=float(measured(top_1, clean).mean()),
        clean_metric=float(on_clean.mean()),
        corrupted_metric=float(on_corrupted.mean()),
        chance_p_value=chance,
        corruption_p_value=corruption,
    )


def _answered(
    model: TransformerBridge, pairs: PromptPairs, batch: int, progress: Progress
) -> tuple[list[PromptPairs], list[Tensor], list[Tensor]]:
    """The pairs, a few at a time, and the logits at the answers of their two prompts."""
    parts = [trim(pairs[index]) for index in torch.arange(len(pairs)).split(batch)]
    clean, corrupted = [], []
    for part, report in progress.each(parts):
        clean.append(answer_logits(model, part.clean, part))
        report(0.5)
        corrupted.append(answer_logits(model, part.corrupted, part))
    return parts, clean, corrupted


def _largest(logits: Float[Tensor, "prompt vocab"], pairs: PromptPairs) -> Float[Tensor, " prompt"]:
    """NaN or infinite where a logit is, but for -inf: such a token never comes."""
    return logits.amax(-1)


def answer_logits(
    model: TransformerBridge, tokens: Int[Tensor, "prompt pos"], pairs: PromptPairs
) -> Float[Tensor, "prompt vocab"]:
    """The model's own logits at the last token of each prompt, where the answer is read.

    >>> answer_logits(model, pairs.clean, pairs).shape
    torch.Size([4, 101])
    """
    with torch.no_grad():
        return at_end(model(tokens), pairs)
