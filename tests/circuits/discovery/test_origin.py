"""How the rows of a table are shared out among search, choice and report."""

from __future__ import annotations

import warnings

import pytest

from circuits.discovery import DiscoveryConfig, FewPromptsWarning, Session
from circuits.discovery.origin import other_counts, other_pairs
from circuits.errors import TaskError
from circuits.model import tokenizer_of
from circuits.tasks import task_from_dataset


def rows(toy, n: int):
    bridge, task = toy
    return task_from_dataset(task.to_dataset(tokenizer_of(bridge), n=n), "mine")


@pytest.mark.parametrize(
    ("n_rows", "counts"), [(100, (16, 32)), (64, (16, 32)), (63, (15, 32)), (28, (6, 6))]
)
def test_what_the_search_leaves_is_shared_out(toy, n_rows, counts) -> None:
    assert other_counts(rows(toy, n_rows), DiscoveryConfig()) == counts


def test_words_are_never_short(toy) -> None:
    assert other_counts(toy[1], DiscoveryConfig()) == (16, 32)


def test_too_few_are_refused_with_what_to_do(toy) -> None:
    message = r"27 prompts; with 16 to search on, at least 12 others .* add 1 rows, search on fewer"
    with pytest.raises(TaskError, match=message):
        other_counts(rows(toy, 27), DiscoveryConfig())


@pytest.mark.parametrize("n_rows", [30, 64, 90])
def test_no_row_is_used_twice(toy, n_rows) -> None:
    task, config = rows(toy, n_rows), DiscoveryConfig()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FewPromptsWarning)
        session = Session.of(toy[0], task, config)
        sets = session.mean_pairs, *session.other_pairs
    texts = [text for pairs in sets for text in pairs.clean_text]
    assert len(texts) == len(set(texts)) <= n_rows
    assert tuple(map(len, sets[1:])) == other_counts(task, config)
    assert [str(one.message).split("; ")[-1] for one in caught] == (
        ["34 more would give as many as were asked for"] if n_rows == 30 else []
    )


def test_other_prompts_are_of_the_templates_that_means_are_taken_over(toy) -> None:
    bridge, task = toy
    config = DiscoveryConfig(n_templates=1, n_prompts=4, n_mean_prompts=6)
    session = Session.of(bridge, task, config)
    known = set(session.mean_pairs.template.tolist())
    assert len(known) == 1
    for pairs in other_pairs(bridge, task, config, session.mean_pairs):
        assert set(pairs.template.tolist()) == known
