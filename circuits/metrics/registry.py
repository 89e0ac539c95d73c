"""Metrics by name. One is a function from logits at the answers to one number per prompt."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from circuits.errors import SettingError
from circuits.runtime.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor

    from circuits.tasks import PromptPairs

Metric = Callable[["Tensor", "PromptPairs"], "Tensor"]
"""From `[*batch, prompt, vocab]` logits where the answer is read, and the pairs, to one number for
each prompt: `[*batch, prompt]`. It must pass on gradients."""


def _flaw(entry: Any) -> str | None:
    return None if callable(entry) else "it must be a function of logits and prompt pairs"


METRICS: Registry[Metric] = Registry(
    "metric",
    {
        "logit_diff": "circuits.metrics.answers:logit_diff",
        "prob_diff": "circuits.metrics.answers:prob_diff",
    },
    _flaw,
)
"""Every metric."""


def get_metric(name: str | Metric) -> Metric:
    """Look a metric up by name; a function is one.

    Raises:
        UnknownNameError: Nothing goes by this name.

    >>> get_metric("logit_diff").__name__
    'logit_diff'
    """
    return METRICS.get(name) if isinstance(name, str) else name


def metric_name(metric: str | Metric) -> str:
    """The name of a metric; a function of one's own is registered under its own name.

    Raises:
        SettingError: It is a function without a name, such as a lambda.
        UnknownNameError: Another metric has that name.

    >>> metric_name(get_metric("prob_diff"))
    'prob_diff'
    """
    if isinstance(metric, str):
        return metric
    name = getattr(metric, "__name__", "")
    if not name.isidentifier():
        raise SettingError(
            "a metric of one's own needs a name for the saved run: define it with `def`, or give "
            f"it a __name__; got {metric!r}"
        )
    METRICS.register(metric)
    return name
