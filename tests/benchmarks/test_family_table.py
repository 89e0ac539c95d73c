"""Every family's effects are those of forward hooks on transformers alone, or it is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

import circuits
from benchmarks import family_table
from benchmarks.families import FAMILIES, REFUSED, Family
from benchmarks.family_table import RESULTS, measure_family, prompts, refusal
from circuits.components import Receiver
from tests.circuits.families import RARE
from tests.circuits.prompts import ragged_pairs

RECEIVERS = tuple(map(Receiver.parse, ("1.0.q", "2.1.q", "2.2.k", "2.3.v")))


def named(family: Family) -> str:
    return family.name


@pytest.mark.parametrize("family", [one for one in FAMILIES if one.name in RARE], ids=named)
def test_effects_are_those_of_hooks_on_transformers(family: Family) -> None:
    """Of some receivers; all of them, and the other families, are in the table."""
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


TABLE = json.loads(RESULTS.read_text())


@pytest.mark.parametrize(
    ("family", "reason", "row"),
    list(zip(REFUSED, REASONS, TABLE["refused"], strict=True)),
    ids=[family.name for family in REFUSED],
)
def test_what_is_left_out_says_why(family: Family, reason: str, row: dict[str, str]) -> None:
    """Where its checkpoint is loaded, and in the table as it is said there."""
    said = refusal(family)
    assert reason in said
    assert row == {"family": family.name, "reason": said}


def test_the_table_has_every_family_and_each_is_right() -> None:
    rows = [(row["family"], row["takes"]) for row in TABLE["families"]]
    assert rows == [(family.name, family.takes) for family in FAMILIES]
    for row in TABLE["families"]:
        assert row["check"] < 1e-4
        assert row["largest"] > 0.01
        errors = [error for engine in row["errors"].values() for error in engine.values()]
        assert len(errors) == 9
        assert max(errors) < 1e-4 * row["largest"]


@pytest.mark.parametrize("name", ["OLMo 2", "GPT-OSS"])
def test_rows_are_those_of_a_fresh_computation(name: str) -> None:
    """All paths once more; errors are rounding, which every machine does a little differently."""
    ((family, row),) = [
        (family, row)
        for family, row in zip(FAMILIES, TABLE["families"], strict=True)
        if family.name == name
    ]
    fresh = measure_family(family, prompts())
    assert fresh["largest"] == pytest.approx(row["largest"], rel=1e-4)
    for engine, errors in fresh["errors"].items():
        assert errors.keys() == row["errors"][engine].keys()
        for read, error in errors.items():
            assert error < 1e-5 * fresh["largest"], (engine, read)
            assert error == pytest.approx(row["errors"][engine][read], abs=1e-5 * row["largest"])


@pytest.mark.parametrize("package", ["forward", "patching", "ablation", "scores", "evaluation"])
def test_nothing_is_computed_by_a_family_s_name(package: str) -> None:
    kinds = {family.kind.lower().rstrip("0123456789") for family in (*FAMILIES, *REFUSED)}
    name = re.compile(rf"(?<![a-z])({'|'.join(kinds)})(?![a-z])", re.IGNORECASE)
    assert name.search('model_type == "llama"')
    for file in (Path(circuits.__file__).parent / package).rglob("*.py"):
        # A key of configs, whatever the family.
        text = file.read_text().replace("llama_4_scaling_beta", "")
        assert name.search(text) is None, file


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
