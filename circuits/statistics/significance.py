"""Whether per-prompt numbers say more than chance: sign-flip tests, and many of them at once.

Knows no model. Prompts are taken as drawn independently: where several say the same, as those of
one template may, p-values are too small (`benchmarks.coverage`). Null hypothesis: on every prompt
a number is as likely as its negative. That holds exactly where the correct and the wrong answers of
each prompt are labelled by a coin, because to swap them negates a logit difference and whatever it
changes by. The observed mean is compared with the means under all patterns of signs (Fisher 1935,
The Design of Experiments, section 21; Good 2005, Permutation, Parametric and Bootstrap Tests of
Hypotheses, section 3.2), or with many random ones, of which the observed counts as one more
(Phipson and Smyth 2010, Statistical Applications in Genetics and Molecular Biology 9, article 39).

Benjamini and Hochberg (1995, Journal of the Royal Statistical Society B 57, 289-300) keep the
expected share of false ones among all that are called significant below a rate, also where tests
depend on each other positively (Benjamini and Yekutieli 2001, Annals of Statistics 29, 1165-1188).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Literal

import torch
from jaxtyping import Bool, Float
from scipy.stats import false_discovery_control
from torch import Tensor

from circuits.errors import InputError

Alternative = Literal["two-sided", "greater"]

MOST_ENUMERATED = 16
"""Prompts up to which every pattern of signs is tried."""
N_DRAWS = 2**15
"""Random patterns for more prompts than that."""
_PATTERNS_AT_ONCE = 1 << 12
_NUMBERS_AT_ONCE = 1 << 22
_ROUNDING = 1e-12
"""Sums that differ by less than this share of what they are made of are equal."""


def sign_flip_p_values(
    values: Float[Tensor, "*test prompt"], alternative: Alternative = "two-sided", seed: int = 0
) -> Float[Tensor, "*test"]:
    """The p-value of every mean over prompts, in float64; NaN where a value is NaN.

    Args:
        values: Numbers of which each might as well have had the other sign, in any unit.
        alternative: "two-sided": the mean is not 0. "greater": it is above 0.
        seed: Seed of the random patterns, for more than `MOST_ENUMERATED` prompts.

    Raises:
        InputError: There is no prompt.

    >>> effects = torch.tensor([[3.0, 2.0, 4.0, 1.0, 2.0, 3.0], [3.0, -2.0, 4.0, -1.0, -2.0, -3.0]])
    >>> sign_flip_p_values(effects).tolist()  # one sign on all 6 prompts, mixed signs
    [0.03125, 1.0]
    """
    n_prompts = values.shape[-1]
    if n_prompts < 1:
        raise InputError("a sign-flip test needs at least 1 prompt, got none")
    rows = values.detach().cpu().double().reshape(-1, n_prompts)
    parts = rows.split(max(1, _NUMBERS_AT_ONCE // _PATTERNS_AT_ONCE))
    found = [_tested(part, alternative, seed) for part in parts]
    return torch.cat(found).reshape(values.shape[:-1])


def size_p_values(
    changes: Float[Tensor, "*test prompt"], least: Float[Tensor, " prompt"], seed: int = 0
) -> Float[Tensor, "*test"]:
    """The p-value of every |mean| being above that of `least`, in float64; NaN where a value is.

    Null hypothesis: the mean lies between the mean of -`least` and that of `least`. On the side
    that it lies on, what it is above `least` by is tested for being above 0, prompt by prompt; the
    p-value is twice that, because it could have been the other side. Behind a smallest size of 0
    that is the two-sided test. Otherwise it also takes the numbers as symmetric about their mean.

    Args:
        changes: Numbers of each test, in any unit.
        least: What each prompt's would be if the |mean| were as large as it may be, same unit.
        seed: Seed of the random patterns, for more than `MOST_ENUMERATED` prompts.

    Raises:
        InputError: There is no prompt.

    >>> changes = torch.tensor([[3.0, 2.0, 4.0, 1.0, 2.0, 3.0], [1.2, 0.8, 1.1, 0.9, 1.3, 0.7]])
    >>> size_p_values(-changes, torch.ones(6)).tolist()  # both are below 0, one of them below -1
    [0.0625, 1.0]
    """
    up = torch.where(changes.sum(-1, keepdim=True) < 0, -1.0, 1.0)
    beyond = up.double() * changes.double() - least.double()
    return (2 * sign_flip_p_values(beyond, "greater", seed)).clamp(max=1.0)


def least_p_value(n_prompts: int, alternative: Alternative = "two-sided") -> float:
    """The smallest p-value that so many prompts can give."""
    if n_prompts > MOST_ENUMERATED:
        return 1 / (N_DRAWS + 1)
    return 2.0 ** -(n_prompts - 1 if alternative == "two-sided" else n_prompts)


def prompts_needed(level: float, alternative: Alternative = "two-sided") -> int | None:
    """The fewest prompts that can give a p-value of at most `level`; None where none can."""
    counts = range(1, MOST_ENUMERATED + 1)
    return next((n for n in counts if least_p_value(n, alternative) <= level), None)


def discoveries(p_values: Float[Tensor, "*test"], rate: float) -> Bool[Tensor, "*test"]:
    """The tests that are significant while at most a share `rate` of them is false, on average.

    NaN marks what was not tested: it is never significant, and does not count among the tests.
    """
    tested = ~p_values.isnan()
    found = torch.zeros_like(tested)
    if bool(tested.any()):
        adjusted = false_discovery_control(p_values[tested].double().numpy(), method="bh")
        found[tested] = torch.from_numpy(adjusted) <= rate
    return found


def _tested(
    rows: Float[Tensor, "test prompt"], alternative: Alternative, seed: int
) -> Float[Tensor, " test"]:
    """Patterns come without their negatives, whose sums are the negative sums."""
    observed, n_prompts = rows.sum(-1), rows.shape[-1]
    slack = _ROUNDING * rows.abs().sum(-1)
    is_exact = n_prompts <= MOST_ENUMERATED
    as_far, tried = torch.zeros_like(observed), 0
    for signs in _all_patterns(n_prompts) if is_exact else _random_patterns(n_prompts, seed):
        sums = signs @ rows.T
        if alternative == "two-sided":
            as_far += (sums.abs() >= observed.abs() - slack).sum(0)
            tried += len(signs)
        else:
            as_far += (sums >= observed - slack).sum(0)
            tried += len(signs)
            if is_exact:
                as_far += (-sums >= observed - slack).sum(0)
                tried += len(signs)
    p_values = as_far / tried if is_exact else (as_far + 1) / (tried + 1)
    return p_values.masked_fill(rows.isnan().any(-1), math.nan)


def _all_patterns(n_prompts: int) -> Iterator[Float[Tensor, "pattern prompt"]]:
    """Every pattern of signs that leaves the last prompt alone."""
    bits = 2 ** torch.arange(n_prompts)
    for numbers in torch.arange(2 ** (n_prompts - 1)).split(_PATTERNS_AT_ONCE):
        yield 1.0 - 2.0 * ((numbers[:, None] & bits) != 0).double()


def _random_patterns(n_prompts: int, seed: int) -> Iterator[Float[Tensor, "pattern prompt"]]:
    draw = torch.Generator().manual_seed(seed)
    for _ in range(N_DRAWS // _PATTERNS_AT_ONCE):
        coins = torch.randint(2, (_PATTERNS_AT_ONCE, n_prompts), generator=draw)
        yield 1.0 - 2.0 * coins.double()
