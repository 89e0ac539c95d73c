"""Metrics by name, and functions of one's own."""

from __future__ import annotations

import pytest

from circuits.errors import InputError, SettingError, UnknownNameError
from circuits.metrics import METRICS, get_metric, logit_diff, metric_name, prob_diff


def twice(logits, pairs):
    return 2 * logit_diff(logits, pairs)


@pytest.fixture(autouse=True)
def as_before():
    """What a test registers is gone afterwards."""
    with METRICS.with_entry(twice):
        yield


def test_by_name() -> None:
    assert get_metric("logit_diff") is logit_diff
    assert get_metric("prob_diff") is prob_diff
    assert METRICS.names()[:2] == ("logit_diff", "prob_diff")


def test_a_function_is_a_metric() -> None:
    assert get_metric(twice) is twice
    assert metric_name("logit_diff") == "logit_diff"
    assert metric_name(logit_diff) == "logit_diff"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("kl_loss", r"unknown metric 'kl_loss'; known metrics: logit_diff, prob_diff"),
        ("logit_dif", r"unknown metric 'logit_dif'; did you mean 'logit_diff'\?"),
    ],
)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        get_metric(name)


def test_ones_own_goes_by_its_name_from_then_on() -> None:
    def mine(logits, pairs):
        return logits[..., 0]

    assert metric_name(mine) == "mine"
    assert get_metric("mine") is mine


def test_a_metric_without_a_name_is_refused() -> None:
    with pytest.raises(SettingError, match="a metric of one's own needs a name"):
        metric_name(lambda logits, pairs: logits[..., 0])


def test_a_name_that_is_taken_is_refused() -> None:
    def logit_diff(logits, pairs):
        return logits[..., 0]

    with pytest.raises(InputError, match=r"the metric name 'logit_diff' .* is taken"):
        metric_name(logit_diff)
    assert get_metric("logit_diff") is not logit_diff
