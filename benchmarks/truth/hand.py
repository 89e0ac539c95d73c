"""Hand-wired circuits among distractor heads that move much and are read by nobody.

Induction as in Elhage et al. 2021 ("A Mathematical Framework for Transformer Circuits", section
"Induction heads"); indirect object identification as in Wang et al. 2022 (arXiv 2211.00593,
figure 2), with one head for each role.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import torch
from jaxtyping import Float
from torch import Tensor

from benchmarks.truth.wiring import Match, Plan, Wire, one_hot
from circuits.components import Connection, Head, Receiver
from circuits.truth.small_tasks import NAMES, START, SmallInduction, SmallIOI, SmallTask

_SURE = 16.0
"""A score that leaves other positions about a ten-millionth of the attention."""
_CONFIDENCE = 8.0


@dataclass(frozen=True)
class HandWired:
    """A plan and the circuit in it."""

    plan: Plan
    task: SmallTask
    heads: frozenset[Head]
    connections: frozenset[Connection]


def induction(n_layers: int, n_heads: int, seed: int) -> HandWired:
    """A previous-token head in the first layer, an induction head in the last one."""
    task, rng = SmallInduction(), Random(seed)
    n_positions = task.length + 2
    previous, copying = _random_heads(rng, n_heads, 0, n_layers - 1)
    wires = (
        Wire(previous, (Match(_SURE, "position", "position", 1),), "token", "previous"),
        Wire(copying, (Match(_SURE, "token", "previous"),), "token", "answer"),
    )
    spaces = {"position": n_positions, "token": len(task.words)}
    spaces |= {"previous": len(task.words), "answer": len(task.words)}
    plan = _with_distractors(spaces, {}, task, wires, (n_layers, n_heads), rng)
    links = (
        Connection(previous, Receiver(copying, "k")),
        Connection(copying, Receiver.logits()),
    )
    return HandWired(plan, task, frozenset({previous, copying}), frozenset(links))


def ioi(n_layers: int, n_heads: int, seed: int) -> HandWired:
    """A duplicate-token head, an S-inhibition head and a name mover, one layer each.

    The duplicate-token head looks for an earlier equal token, else at the start. The S-inhibition
    head looks for a token where one was found, else at the start, and so tells the end which name
    is repeated. The name mover attends to all other names.
    """
    task, rng = SmallIOI(), Random(seed)
    n_positions = len(task.example().clean.split())
    duplicate, inhibition, mover = _random_heads(rng, n_heads, 0, *range(n_layers - 2, n_layers))
    same = (Match(2 * _SURE, "token", "token"), Match(-2 * _SURE, "position", "position"))
    wires = (
        Wire(duplicate, (*same, Match(_SURE, None, "start")), "token", "repeated"),
        Wire(
            inhibition,
            (Match(2 * _SURE, None, "repeated"), Match(_SURE, None, "start")),
            "repeated",
            "inhibited",
        ),
        Wire(
            mover,
            (Match(_SURE, None, "name"), Match(-_SURE, "inhibited", "token")),
            "token",
            "answer",
        ),
    )
    spaces = {"position": n_positions, "token": len(task.words), "start": 1, "name": 1}
    spaces |= dict.fromkeys(("repeated", "inhibited", "answer"), len(task.words))
    flags = {"start": _flag(task, START), "name": _flag(task, *NAMES)}
    plan = _with_distractors(spaces, flags, task, wires, (n_layers, n_heads), rng)
    links = (
        Connection(duplicate, Receiver(inhibition, "k")),
        Connection(duplicate, Receiver(inhibition, "v")),
        Connection(inhibition, Receiver(mover, "q")),
        Connection(mover, Receiver.logits()),
    )
    return HandWired(plan, task, frozenset({duplicate, inhibition, mover}), frozenset(links))


def _random_heads(rng: Random, n_heads: int, *layers: int) -> tuple[Head, ...]:
    return tuple(Head(layer, rng.randrange(n_heads)) for layer in layers)


def _flag(task: SmallTask, *words: str) -> Float[Tensor, "token 1"]:
    return torch.tensor([[float(word in words)] for word in task.words])


def _with_distractors(
    spaces: dict[str, int],
    flags: dict[str, Tensor],
    task: SmallTask,
    wires: tuple[Wire, ...],
    sizes: tuple[int, int],
    rng: Random,
) -> Plan:
    """The circuit, and distractors in all other heads.

    They read anything, and write where nobody of the circuit reads.
    """
    taken = {wire.head for wire in wires}
    everything = {**spaces, "waste": len(task.words)}
    # Attention by meaning, by place, and spread out: what inert heads of real models do, too.
    habits = (
        (Match(_SURE, "token", "token"),),
        (Match(_SURE, "position", "position"),),
        (Match(_SURE, "position", "position", 1),),
        (Match(_SURE, "position", "position", 2),),
        (Match(_SURE, "waste", "token"),),
        (Match(0.0, None, "token"),),
    )
    readable = sorted(everything.keys() - flags.keys() - {"position"})
    free = [Head(layer, i) for layer in range(sizes[0]) for i in range(sizes[1])]
    distractors = tuple(
        Wire(head, rng.choice(habits), rng.choice(readable), "waste")
        for head in free
        if head not in taken
    )
    content = [i for i, word in enumerate(task.words) if word != START]
    tokens = {"token": one_hot(len(task.words), content), **flags}
    return Plan(everything, tokens, "position", (*wires, *distractors), "answer", _CONFIDENCE)
