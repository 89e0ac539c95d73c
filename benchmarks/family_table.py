"""Which families of models are right: effects against forward hooks on transformers alone.

python -m benchmarks.family_table [--write]

Every path of a tiny random model of each family is measured by the engines `exact` and
`reference`, those to the logits by `sweep` too, and by hooks on the same model as transformers
makes it (benchmarks.plain_hooks). Families that are refused stand below with what loading says.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import typer
from jaxtyping import Float
from rich.console import Console
from torch import Tensor

from benchmarks.families import FAMILIES, REFUSED, Family
from benchmarks.machine import describe_machine
from benchmarks.plain_hooks import PlainModel
from benchmarks.publish import Write, publish
from benchmarks.tables import table
from circuits.components import Head, Receiver
from circuits.errors import UnsupportedModelError
from circuits.forward import LayeredModel, check_reproduces
from circuits.model import load_model
from circuits.patching import effect_table, path_effects
from circuits.tasks import PromptPairs

RESULTS = Path(__file__).parent / "results" / "families.json"
INTO = ("q", "k", "v", "logits")


def measure_family(
    family: Family, pairs: PromptPairs, receivers: Sequence[Receiver] | None = None
) -> dict[str, Any]:
    """The largest error of each engine into each kind of receiver, and the largest effect.

    Of all receivers, or of some; the logits are always among them.
    """
    bridge = family.bridge()
    model = LayeredModel.of(bridge)
    receivers = (Receiver.logits(), *(receivers or model.graph().receivers[:-1]))
    plain = PlainModel(family.model(), family.places, model.n_kv_heads)
    truth = plain.effects(pairs, receivers)
    found: dict[str, dict[Any, float]] = {
        engine: {
            path: effect
            for receiver in receivers
            for path, effect in _paths(
                receiver, path_effects(model, pairs, receiver, engine=engine)
            )
        }
        for engine in ("exact", "reference")
    }
    # Behind a head's output the sweep is of first order: only what the logits read is the same.
    to_logits = Receiver.logits()
    found["sweep"] = dict(_paths(to_logits, effect_table(model, pairs).effects(to_logits)))
    return {
        "family": family.name,
        "takes": family.takes,
        "check": check_reproduces(bridge),
        "largest": max(map(abs, truth.values())),
        "errors": {engine: _errors(truth, effects) for engine, effects in found.items()},
    }


def refusal(family: Family) -> str:
    """Why a family is not loaded from a checkpoint. Raises AssertionError where it is."""
    with TemporaryDirectory() as directory:
        family.model().save_pretrained(directory)
        try:
            load_model(directory)
        except UnsupportedModelError as error:
            return " ".join(str(error).replace(directory, "the model").split())
    raise AssertionError(f"{family.name} is not refused")


def _paths(
    receiver: Receiver, effects: Float[Tensor, "layer head"]
) -> Iterator[tuple[tuple[Head, Receiver], float]]:
    """Every path into a receiver with its effect."""
    for layer, index in (~effects.isnan()).nonzero().tolist():
        yield (Head(layer, index), receiver), float(effects[layer, index])


def _errors(truth: dict[Any, float], effects: dict[Any, float]) -> dict[str, float]:
    """The largest error by what is read: queries, keys, values, or the residual stream."""
    errors: dict[str, float] = {}
    for (sender, receiver), effect in effects.items():
        read = receiver.input or "logits"
        error = abs(effect - truth[sender, receiver])
        errors[read] = max(errors.get(read, 0.0), error)
    return errors


def markdown(measured: dict[str, Any]) -> str:
    """The figures as docs/numbers.md shows them."""
    rows = []
    for row in measured["families"]:
        errors = row["errors"]
        cells = [max(errors[one][read] for one in ("exact", "reference")) for read in INTO]
        cells.append(errors["sweep"]["logits"])
        shares = [f"{cell / row['largest']:.0e}" for cell in cells]
        rows.append([row["family"], row["takes"], *shares])
    titles = ["family", "what it takes", "q", "k", "v", "logits", "logits, swept"]
    refused = [[row["family"], row["reason"]] for row in measured["refused"]]
    machine = measured["machine"]
    return (
        "The largest error of `exact` and `reference` over all paths into queries, keys, values "
        "and the logits, and of `sweep` over those into the logits, in shares of the family's "
        "largest effect:\n\n"
        + table(titles, rows, n_left=2)
        + "\n\nRefused:\n\n"
        + table(["family", "reason"], refused, n_left=2)
        + f"\n\nEvery family: 3 layers x 4 heads, d_model 32, random weights, float32, "
        f"{measured['prompts']} prompts; transformers "
        f"{machine['transformers']}, TransformerLens {machine['transformer-lens']}, torch "
        f"{machine['torch']}. Measured on commit {machine['commit']}."
    )


def prompts() -> PromptPairs:
    """The prompts of the table: of several lengths, the longest behind every window."""
    from tests.circuits.prompts import ragged_pairs

    return ragged_pairs(3, width=14)


def main(out: Path = RESULTS, write: Write = False) -> None:
    """Measure every family."""
    torch.set_num_threads(1)
    pairs, say = prompts(), Console(stderr=True).print
    families = []
    for family in FAMILIES:
        say(f"{family.name} ...")
        families.append(measure_family(family, pairs))
    measured = {
        "families": families,
        "refused": [{"family": family.name, "reason": refusal(family)} for family in REFUSED],
        "prompts": len(pairs),
        "machine": describe_machine(),
    }
    publish(measured, out, markdown(measured), "family table" if write else None)


if __name__ == "__main__":
    typer.run(main)
