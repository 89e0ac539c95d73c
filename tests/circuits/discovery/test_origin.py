"""How the rows of a table are shared out among search, choice and report."""

from __future__ import annotations

import warnings
from collections import Counter

import pytest

from circuits.discovery import DiscoveryConfig, Session
from circuits.discovery.origin import other_counts, other_pairs
from circuits.errors import TaskError
from circuits.evaluation import FewPromptsWarning
from circuits.model import load_tokenizer, tokenizer_of
from circuits.model.tokenizers import remember_tokenizer
from circuits.tasks import get_task, task_from_dataset
from tests.circuits.prompts import word_tokenizer


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


@pytest.mark.parametrize("n_held_out", [32, 64])
@pytest.mark.parametrize("name", ["ioi", "greater-than", "induction", "docstring"])
def test_every_template_has_its_share_of_both(toy, name, n_held_out) -> None:
    """Counts, of which some would be missed where every third row is taken of nine templates."""
    bridge, task = toy[0], get_task(name)
    remember_tokenizer(bridge, load_tokenizer("smollm2-135m"))
    try:
        config = DiscoveryConfig(n_held_out_prompts=n_held_out)
        known = task.sample(tokenizer_of(bridge), n=64, seed=0)
        for pairs in other_pairs(bridge, task, config, known):
            counts = Counter(pairs.template.tolist()).values()
            assert len(counts) == task.n_variants
            assert max(counts) - min(counts) <= 1 + len(pairs) // 16
    finally:
        remember_tokenizer(bridge, word_tokenizer())


def test_other_prompts_are_of_the_templates_that_means_are_taken_over(toy) -> None:
    bridge, task = toy
    config = DiscoveryConfig(n_templates=1, n_prompts=4, n_mean_prompts=6)
    session = Session.of(bridge, task, config)
    known = set(session.mean_pairs.template.tolist())
    assert len(known) == 1
    for pairs in other_pairs(bridge, task, config, session.mean_pairs):
        assert set(pairs.template.tolist()) == known
