"""What a discovery starts from: its task, found again for a result, and its prompts."""

from __future__ import annotations

import warnings
from weakref import WeakSet

import torch

from circuits.discovery.config import DiscoveryConfig
from circuits.errors import MismatchError, TaskError
from circuits.evaluation import FewPromptsWarning, held_out_pairs, sample_size
from circuits.forward import TransformerBridge
from circuits.model import tokenizer_of
from circuits.tasks import PromptPairs, Task, get_task

_OTHERWISE = (
    "choose and report on fewer (--validation-prompts, --held-out-prompts), or go by a threshold "
    "(--method app)"
)
_FEWEST = 6
"""Prompts on which a choice, or a report, can rest at all."""


_alive: WeakSet[Task] = WeakSet()


def remember_task(task: Task) -> None:
    """Let `task_of` find a task that has no name that `get_task` knows."""
    _alive.add(task)


def task_of(name: str, digest: str | None) -> Task:
    """The task of a result.

    Raises:
        TaskError: There is no such task any more.
        MismatchError: It has other rows now.

    """
    for known in list(_alive):
        if (known.spec or known.name, known.digest) == (name, digest):
            return known
    try:
        task = get_task(name)
    except TaskError as error:
        raise TaskError(f"{error}; or pass the task itself") from error
    check_rows(task, name, digest)
    return task


def check_rows(task: Task, name: str, digest: str | None) -> None:
    """Raise MismatchError unless a task has the rows that a circuit was discovered on."""
    if task.digest != digest:
        raise MismatchError(
            f"the circuit was discovered on {name}, and {task.spec or task.name} has other rows "
            "than that had; give the same rows, or discover anew"
        )


def sample_pairs(
    model: TransformerBridge, task: Task, config: DiscoveryConfig
) -> tuple[PromptPairs, PromptPairs]:
    """The prompts of a discovery, and the larger sample of the same task for mean outputs.

    With spans those that occur in the larger one, if the settings tell edges apart by them.
    """
    n_others = sum(other_counts(task, config)) if config.recipe.chooses else 0
    n = sample_size(task, config.n_prompts, config.n_mean_prompts, n_others)
    tokenizer = tokenizer_of(model)
    everything = task.sample(tokenizer, n=n, seed=config.seed, n_templates=config.n_templates)
    if config.positions == "spans":
        everything = everything.with_spans(tokenizer)
    return everything[: config.n_prompts], everything


def other_counts(task: Task, config: DiscoveryConfig) -> tuple[int, int]:
    """How many prompts there are to choose a size by, and to report on.

    As many as the settings ask for; of a task that has fewer, all that the search leaves, in the
    same proportion.

    Raises:
        TaskError: So few are left that no choice could rest on them.

    >>> other_counts(task, DiscoveryConfig())
    (16, 32)
    """
    wanted = config.n_validation_prompts, config.n_held_out_prompts
    left = sum(wanted) if task.n_pairs is None else task.n_pairs - config.n_prompts
    if left >= sum(wanted):
        return wanted
    n_chosen_by = max(_FEWEST, left * wanted[0] // sum(wanted))
    if left - n_chosen_by < _FEWEST:
        raise TaskError(
            f"task {task.name!r} has {task.n_pairs} prompts; with {config.n_prompts} to search on, "
            f"at least {2 * _FEWEST} others are needed to choose a circuit that keeps "
            f"{config.keep:g} % and to report on it: add {2 * _FEWEST - left} rows, search on "
            "fewer (n_prompts, --n-prompts), or go by a threshold instead (method app)"
        )
    return n_chosen_by, left - n_chosen_by


def other_pairs(
    model: TransformerBridge, task: Task, config: DiscoveryConfig, known: PromptPairs
) -> tuple[PromptPairs, PromptPairs]:
    """Prompts to choose a size by, and prompts to report on; none of them among those known.

    Each template gives its share to both: those to choose by are taken at even distances from all,
    sorted by template.

    Raises:
        TaskError: The task has too few other prompts.

    >>> validation, held_out = other_pairs(model, task, config, pairs)
    >>> len(validation), len(held_out)
    (16, 32)
    """
    n_chosen_by, n_reported = other_counts(task, config)
    wanted = config.n_validation_prompts + config.n_held_out_prompts
    if n_chosen_by + n_reported < wanted:
        warnings.warn(
            f"task {task.name!r} has {task.n_pairs} prompts: {config.n_prompts} to search on leave "
            f"{n_chosen_by} to choose by and {n_reported} to report on; "
            f"{wanted - n_chosen_by - n_reported} more would give as many as were asked for",
            FewPromptsWarning,
            stacklevel=4,
        )
    n, templates = n_chosen_by + n_reported, frozenset(known.template.tolist())
    tokenizer, texts = tokenizer_of(model), known.clean_text
    rest = held_out_pairs(
        task, tokenizer, n, config.seed + 1, texts, templates, _OTHERWISE, known.spans
    )
    chosen_by = rest.template.argsort(stable=True)[torch.arange(n_chosen_by) * n // n_chosen_by]
    reported = torch.ones(n, dtype=torch.bool)
    reported[chosen_by] = False
    return rest[chosen_by.sort().values], rest[reported]


def seen_texts(model: TransformerBridge, task: Task, config: DiscoveryConfig) -> frozenset[str]:
    """The clean prompts that a discovery takes: for search and means, choice and report.

    Raises:
        TaskError: The task cannot give so many.

    >>> seen_texts(model, task, found.config) >= set(pairs.clean_text)
    True
    """
    _, everything = sample_pairs(model, task, config)
    texts = frozenset(everything.clean_text)
    if not config.recipe.chooses:
        return texts
    with warnings.catch_warnings():
        # The discovery itself has said how many there are.
        warnings.simplefilter("ignore", FewPromptsWarning)
        others = other_pairs(model, task, config, everything)
    return texts.union(*(pairs.clean_text for pairs in others))
