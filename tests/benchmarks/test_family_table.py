"""Every family's effects are those of forward hooks on transformers alone, or it is refused."""

from __future__ import annotations

import pytest

from benchmarks import family_table
from benchmarks.families import FAMILIES, REFUSED, Family
from benchmarks.family_table import measure_family, refusal
from circuits.components import Receiver
from tests.circuits.prompts import ragged_pairs

RECEIVERS = tuple(map(Receiver.parse, ("1.0.q", "2.1.q", "2.2.k", "2.3.v")))


def named(family: Family) -> str:
    return family.name


@pytest.mark.parametrize("family", FAMILIES, ids=named)
def test_effects_are_those_of_hooks_on_transformers(family: Family) -> None:
    found = measure_family(family, ragged_pairs(2, width=12), RECEIVERS)
    assert found["check"] < 1e-4
    assert found["largest"] > 0.01
    assert found["errors"].keys() == {"exact", "reference", "sweep"}
    for engine, errors in found["errors"].items():
        assert list(errors) == (["logits"] if engine == "sweep" else ["logits", "q", "k", "v"])
        assert max(errors.values()) < 1e-4 * found["largest"]


REASONS = (
    "clipped",
    "logits are not read through a final norm",
    "norms stand on the residual stream itself",
    "did not declare 'q_norm'",
    "split_with_sizes",
    "adds its ALiBi twice",
    "attention sees chunks of the prompt",
    "a block adds an input made for its layer alone",
)


@pytest.mark.parametrize(
    ("family", "reason"),
    list(zip(REFUSED, REASONS, strict=True)),
    ids=[family.name for family in REFUSED],
)
def test_what_is_left_out_says_why(family: Family, reason: str) -> None:
    assert reason in refusal(family)


def test_a_family_that_is_taken_in_is_no_refusal() -> None:
    with pytest.raises(AssertionError, match="OLMo 2 is not refused"):
        refusal(FAMILIES[0])


def test_an_error_is_seen(monkeypatch) -> None:
    """The comparison itself: effects that are off by a hundredth stand in the table as that."""
    honest = family_table.path_effects
    monkeypatch.setattr(
        family_table, "path_effects", lambda *given, **more: honest(*given, **more) + 0.01
    )
    errors = measure_family(FAMILIES[0], ragged_pairs(2, width=12), RECEIVERS)["errors"]
    assert min(errors["exact"].values()) > 0.009
