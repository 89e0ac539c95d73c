from __future__ import annotations

import re

import pytest
import torch

from circuits.behaviour import Behaviour, measure_behaviour
from circuits.metrics import accuracy, logit_diff, prob_diff, top_1
from circuits.statistics.significance import sign_flip_p_values
from tests.circuits.conftest import shared_model
from tests.circuits.prompts import ragged_pairs


@pytest.mark.parametrize("family", ["gpt2", "gemma3"])
@pytest.mark.parametrize("metric", [logit_diff, prob_diff])
@pytest.mark.parametrize("batch", [2, 32])
def test_equals_one_prompt_at_a_time(family: str, metric, batch: int) -> None:
    bridge, pairs = shared_model(family), ragged_pairs(5)
    rows = []
    for row in range(5):
        one = pairs[row : row + 1]
        length = int(one.end) + 1
        with torch.no_grad():
            clean, corrupted = (
                bridge(tokens[:, :length])[:, -1] for tokens in (one.clean, one.corrupted)
            )
        rows.append(
            [
                float(accuracy(clean, one)),
                float(top_1(clean, one)),
                float(metric(clean, one)),
                float(metric(corrupted, one)),
            ]
        )
    expected = torch.tensor(rows).mean(0).tolist()
    found = measure_behaviour(bridge, pairs, metric, batch)
    assert found.n_prompts == 5
    figures = [found.accuracy, found.top_1, found.clean_metric, found.corrupted_metric]
    assert figures == pytest.approx(expected, abs=1e-5)
    clean, corrupted = torch.tensor(rows).T[2:]
    assert found.chance_p_value == float(sign_flip_p_values(clean, "greater"))
    assert found.corruption_p_value == float(sign_flip_p_values(clean - corrupted, "greater"))


@pytest.mark.parametrize(
    ("n", "metrics", "p_values", "kind", "reason"),
    [
        (7, (2.0, -1.0), (0.008, 0.01), "behaviour", r"7 prompts show .*clean 2, corrupted -1"),
        (6, (2.0, -1.0), (0.016, 0.016), "no power", r"at least 0.016; 7 prompts could"),
        (6, (2.0, 2.0), (0.016, 1.0), "no circuit", "corrupting the prompts changes nothing"),
        (20, (2.0, 1.9), (1e-4, 0.011), "no circuit", r"above that on corrupted .*p = 0.011"),
        (20, (0.1, -2.0), (0.3, 1e-4), "no circuit", r"above chance .*p = 0.3"),
        (20, (2.0, 1.0), (None, None), "no circuit", "untested"),
    ],
)
def test_verdict(n, metrics, p_values, kind, reason) -> None:
    found = Behaviour(n, 1.0, 1.0, *metrics, *p_values).verdict
    assert found.kind == kind
    assert re.search(reason, found.reason)
    assert found.refuses == (kind == "no circuit")


@pytest.mark.parametrize(
    ("accuracy", "clean", "corrupted", "weakness"),
    [
        (1.0, 2.0, -1.0, None),
        (0.6, 2.0, 1.9, None),
        (0.59, 2.0, -1.0, r"answers 59% of the prompts right \(under 60%\)"),
        (1.0, 2.0, 2.0, r"clean prompts \(2.00\) is not above that on corrupted ones \(2.00\)"),
        (1.0, -1.0, 2.0, "not above"),
    ],
)
def test_weakness(accuracy, clean, corrupted, weakness: str | None) -> None:
    found = Behaviour(10, accuracy, 0.0, clean, corrupted).weakness
    if weakness is None:
        assert found is None
    else:
        assert found is not None
        assert re.search(weakness, found)
