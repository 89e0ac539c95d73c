"""How many prompts to sample, and prompts that a circuit was not discovered on."""

from __future__ import annotations

import warnings
from collections.abc import Collection

import torch

from circuits.errors import TaskError
from circuits.tasks import PromptPairs, Spans, Task
from circuits.tasks.tokenization import Tokenizer

_FEWEST = 2
"""Prompts over which there is an interval."""
_ON_THE_SAME = "evaluate on the prompts of the discovery (--prompts discovery)"


class FewPromptsWarning(UserWarning):
    """A figure rests on so few prompts that others may give another; it says how many would do.

    >>> import warnings
    >>> warnings.simplefilter("ignore", FewPromptsWarning)
    """


def evaluation_size(task: Task, wanted: int, n_used: int = 0) -> int:
    """How many prompts to evaluate on: as many as wanted, or all that are left of a small task.

    Args:
        task: The task.
        wanted: How many are asked for.
        n_used: How many of the task's prompts are taken already.

    Raises:
        TaskError: So few are left that nothing can be estimated.

    Warns:
        FewPromptsWarning: There are fewer than wanted.

    >>> evaluation_size(task, wanted=64)
    64
    """
    if task.n_pairs is None or wanted <= task.n_pairs - n_used:
        return wanted
    left = max(0, task.n_pairs - n_used)
    what = f"task {task.name!r} has {task.n_pairs} prompts"
    if left < _FEWEST:
        raise TaskError(
            f"{what}, of which the discovery took {n_used}: an evaluation needs at least "
            f"{_FEWEST} others; {_ON_THE_SAME}"
            if n_used
            else f"{what}, and an evaluation needs at least {_FEWEST}: add rows"
        )
    warnings.warn(
        f"{what}: {left} are left to evaluate on, where {wanted} were asked for; "
        f"{wanted - left} more would give as many",
        FewPromptsWarning,
        stacklevel=3,
    )
    return left


def sample_size(task: Task, n_prompts: int, n_mean_prompts: int, n_used: int = 0) -> int:
    """How many prompts to sample; of a task that has fewer than the means want, all the rest.

    Args:
        task: The task.
        n_prompts: How many prompts the circuit is measured on.
        n_mean_prompts: How many prompts mean head outputs are to be taken over.
        n_used: How many of the task's prompts are taken already.

    >>> sample_size(task, n_prompts=16, n_mean_prompts=64)
    64
    """
    if task.n_pairs is not None:
        n_mean_prompts = min(n_mean_prompts, task.n_pairs - n_used)
    return max(n_prompts, n_mean_prompts)


def held_out_pairs(
    task: Task,
    tokenizer: Tokenizer,
    n: int,
    seed: int,
    known: Collection[str],
    templates: Collection[int] | None = None,
    otherwise: str = _ON_THE_SAME,
    spans: Spans | None = None,
) -> PromptPairs:
    """Sample `n` pairs whose clean prompts are none of the `known` ones, of all templates or some.

    With spans, tokens are told apart by these. Corrupted prompts may recur: a task has few of some
    (greater-than has one for each century).

    Raises:
        TaskError: The task has too few other prompts, or they have other spans.

    >>> fresh = held_out_pairs(task, tokenizer, n=4, seed=0, known=pairs.clean_text)
    >>> len(fresh), set(fresh.clean_text).isdisjoint(pairs.clean_text)
    (4, True)
    """
    known = frozenset(known)
    wanted = n
    while True:
        try:
            drawn = task.sample(tokenizer, n=wanted, seed=seed)
        except TaskError as error:
            raise TaskError(
                f"{n} prompts that the circuit was not discovered on were asked for, and {error}; "
                f"or {otherwise}"
            ) from error
        rows = zip(drawn.clean_text, drawn.template.tolist(), strict=True)
        fresh = [
            row
            for row, (text, template) in enumerate(rows)
            if text not in known and (templates is None or template in templates)
        ]
        if len(fresh) >= n:
            found = drawn[torch.tensor(fresh[:n])]
            return found if spans is None else found.with_spans(tokenizer, spans)
        # Of few templates, or of words, many more may be needed: then not one by one.
        wanted += max(n - len(fresh), wanted // 2 if templates and task.n_pairs is None else 0)
