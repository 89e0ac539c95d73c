"""Attention patterns, drawn."""

from __future__ import annotations

import pytest
import torch

from circuits import Head
from circuits.figures import attention_figure
from circuits.model import AttentionPattern
from tests.circuits.figures.reading import heading, survives_json

WEIGHTS = torch.tensor([[1.0, 0.0, 0.0], [0.25, 0.75, 0.0], [0.5, 0.125, 0.375]])
PATTERN = AttentionPattern(Head(9, 6), ("The", " cat\n", " cat\n"), WEIGHTS)


def test_rows_look_at_what_is_before_them():
    figure = attention_figure(PATTERN)
    (heat,) = figure.data
    assert [list(row) for row in heat.z] == [
        [1.0, None, None],
        [0.25, 0.75, None],
        [0.5, 0.125, 0.375],
    ]
    assert heat.text[2][0] == "·cat⏎ → The"
    assert figure.layout.yaxis.autorange == "reversed"
    assert heading(figure) == "Attention of head 9.6"
    assert survives_json(figure)


def test_equal_tokens_have_places_of_their_own():
    axis = attention_figure(PATTERN).layout.xaxis
    assert list(axis.tickvals) == [0, 1, 2]
    assert list(axis.ticktext) == ["The", "·cat⏎", "·cat⏎"]


def test_a_lower_precision_and_a_long_prompt():
    n = 200
    weights = torch.tril(torch.ones(n, n)).div(torch.arange(1, n + 1)[:, None]).bfloat16()
    figure = attention_figure(AttentionPattern(Head(0, 0), ("x",) * n, weights))
    assert figure.layout.height <= 1000


@pytest.mark.parametrize(("n", "every"), [(10, 1), (60, 1), (300, 3)])
def test_names_of_a_long_prompt_do_not_overlap(n, every):
    figure = attention_figure(AttentionPattern(Head(0, 0), ("x",) * n, torch.eye(n)))
    axis = figure.layout.yaxis
    assert list(axis.tickvals) == list(range(0, n, every))
    assert len(axis.ticktext) == len(axis.tickvals)
    cell = (figure.layout.height - 190) / n
    assert 7 <= axis.tickfont.size <= every * cell
