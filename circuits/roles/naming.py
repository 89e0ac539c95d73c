"""Names for heads, by what was measured of them.

The names are those that Wang et al. 2022 (arXiv 2211.00593) gave the heads of IOI; Merullo et al.
2024 (arXiv 2310.08744) found the same kinds at work in another task, and dropped "name" and "S".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, get_args

from jaxtyping import Bool
from torch import Tensor

from circuits.circuit import Circuit
from circuits.components import Head
from circuits.errors import MismatchError
from circuits.roles.head_reading import HeadReading
from circuits.roles.rule import RoleRule

Role = Literal[
    "previous-token",
    "duplicate-token",
    "induction",
    "mover",
    "negative mover",
    "suppressor",
    "inhibition",
]
ROLES: tuple[Role, ...] = get_args(Role)
_ANSWERING: frozenset[Role] = frozenset({"mover", "negative mover", "suppressor"})


def name_heads(
    reading: HeadReading, circuit: Circuit, rule: RoleRule | None = None
) -> Mapping[Head, tuple[Role, ...]]:
    """Name each head of a circuit: none, one or several names, in the order of `ROLES`.

    - "previous-token", "duplicate-token", "induction": it looks there in repeated random tokens.
    - "mover": from the last token it looks at the correct answer, and writes for it.
    - "negative mover": it looks at the correct answer, and writes against it.
    - "suppressor": it looks at the wrong answer, and what it writes favours the correct one.
    - "inhibition": it looks at the wrong answer, and writes nothing by itself; the circuit has a
      path from it to the query of a head that does one of these three.

    Args:
        reading: What `read_heads` measured.
        circuit: Whose heads to name.
        rule: From which shares on a head gets a name; `RoleRule()` without.

    Raises:
        MismatchError: The circuit and the reading are of models of different shape.

    >>> from circuits.truth import load_truth
    >>> from circuits.model import tokenizer_of
    >>> from circuits.roles import read_heads
    >>> truth = load_truth("hand-induction")
    >>> pairs = truth.task.sample(tokenizer_of(truth.model), n=16)
    >>> for head, names in name_heads(read_heads(truth.model, pairs), truth.circuit).items():
    ...     print(head, *names)
    0.6 previous-token
    1.6 induction mover
    """
    if reading.shape != (circuit.n_layers, circuit.n_heads):
        raise MismatchError(
            f"the circuit is of a model of {circuit.n_layers} x {circuit.n_heads} heads, and "
            f"the reading of one of {reading.shape[0]} x {reading.shape[1]}; read that model's"
        )
    rule = rule or RoleRule()
    holds = _own_names(reading, rule)
    names = {
        head: frozenset(role for role in ROLES[:-1] if holds[role][head.layer, head.index])
        for head in circuit.heads
    }
    silent = _looks_at_wrong_and_writes_nothing(reading, rule)
    for edge in circuit.edges:
        reader, sender = edge.receiver.head, edge.sender
        steers = edge.receiver.input == "q" and reader and names[reader] & _ANSWERING
        if steers and isinstance(sender, Head) and silent[sender.layer, sender.index]:
            names[sender] |= {"inhibition"}
    return {head: tuple(role for role in ROLES if role in names[head]) for head in sorted(names)}


def _own_names(reading: HeadReading, rule: RoleRule) -> dict[Role, Bool[Tensor, "layer head"]]:
    """The heads of each name that needs no other head. No comparison holds for NaN."""
    repeats, direct = reading.repeats, reading.direct_share()
    to_correct = reading.attention.correct >= rule.attention
    to_wrong = reading.attention.wrong >= rule.attention
    return {
        "previous-token": repeats.previous_token >= rule.attention,
        "duplicate-token": repeats.duplicate_token >= rule.attention,
        "induction": repeats.induction >= rule.attention,
        "mover": to_correct & (direct >= rule.direct),
        "negative mover": to_correct & (direct <= -rule.direct),
        "suppressor": to_wrong & (direct >= rule.direct),
    }


def _looks_at_wrong_and_writes_nothing(
    reading: HeadReading, rule: RoleRule
) -> Bool[Tensor, "layer head"]:
    looks = reading.attention.wrong >= rule.attention
    return looks & (reading.direct_share().abs() < rule.direct)
