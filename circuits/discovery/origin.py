"""What a discovery starts from: its task, found again for a result, and its prompts."""

from __future__ import annotations

from weakref import WeakSet

import torch

from circuits.discovery.config import DiscoveryConfig
from circuits.errors import MismatchError, TaskError
from circuits.evaluation import held_out_pairs, sample_size
from circuits.forward import TransformerBridge
from circuits.model import tokenizer_of
from circuits.tasks import PromptPairs, Task, get_task

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
    """The prompts of a discovery, and the larger sample of the same task for mean outputs."""
    n = sample_size(task, config.n_prompts, config.n_mean_prompts)
    everything = task.sample(
        tokenizer_of(model), n=n, seed=config.seed, n_templates=config.n_templates
    )
    return everything[: config.n_prompts], everything


def other_pairs(
    model: TransformerBridge, task: Task, config: DiscoveryConfig, known: PromptPairs
) -> tuple[PromptPairs, PromptPairs]:
    """Prompts to choose a size by, and prompts to report on; none of them among those known.

    Both go through all templates: those to choose by are taken at even distances.

    Raises:
        TaskError: The task has too few other prompts.

    >>> validation, held_out = other_pairs(model, task, config, pairs)
    >>> len(validation), len(held_out)
    (16, 32)
    """
    n_chosen_by = config.n_validation_prompts
    n = n_chosen_by + config.n_held_out_prompts
    rest = held_out_pairs(task, tokenizer_of(model), n, config.seed + 1, known.clean_text)
    chosen_by = torch.arange(n_chosen_by) * n // n_chosen_by
    reported = torch.ones(n, dtype=torch.bool)
    reported[chosen_by] = False
    return rest[chosen_by], rest[reported]
