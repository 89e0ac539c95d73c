"""`circuits grid`, and what `discover` says about its estimates."""

import json

import pytest

from circuits import Discovery
from circuits.search.verification import Verification
from circuits.summary import certainty
from tests.circuits.cli.command_line import FEW, circuits, error_of

RULES = ("--thresholds", "0.4,0.8", "--min-effects", "0,0.5", "--logits-threshold", "0.4")


@pytest.fixture
def command(tiny):
    return ("grid", "ioi", "--model", tiny, *FEW, *RULES)


def test_every_circuit_is_shown_and_then_the_chosen_one(command):
    result = circuits(*command, "--keep", "1")
    assert result.exit_code == 0
    assert "Grid of 4" in result.stdout
    assert result.stdout.count("◀ chosen") == 1
    assert result.stdout.count("◆") >= 2, "one in the legend"
    assert "1.00" in result.stdout
    assert result.stdout.index("◀ chosen") < result.stdout.index("Heads by layer")
    assert "Not saved; --out DIRECTORY keeps a run" in result.stdout


def test_a_saved_grid_goes_with_its_run(command, tmp_path):
    run = tmp_path / "run"
    printed = json.loads(circuits(*command, "--keep", "1", "--out", run, "--json").stdout)
    saved, found = json.loads((run / "grid.json").read_text()), Discovery.load(run)
    assert printed["points"] == saved["points"]
    assert printed["found"]["saved_to"] == str(run)
    assert [p["rule"]["threshold"] for p in saved["points"]] == [0.4, 0.4, 0.8, 0.8]
    (chosen,) = [point for point in saved["points"] if point["chosen"]]
    assert chosen["heads"] == [str(head) for head in sorted(found.circuit.heads)]
    assert chosen["n_edges"] == len(found.circuit.edges)
    assert chosen["performance"] == found.performance
    assert chosen["rule"]["threshold"] == found.config.selection.threshold
    assert any(point["pareto"] for point in saved["points"])
    assert saved["keep"] == 1
    assert {"provenance", "config", "cost"} <= saved.keys()
    assert circuits("discover", "ioi", *command[2:8], "--out", run).exit_code == 0
    assert not (run / "grid.json").exists(), "it belonged to the run before"


def test_a_grid_whose_run_cannot_be_saved_leaves_no_grid(command, tmp_path, monkeypatch):
    def fail(files):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("circuits.discovery.record.write_atomically", fail)
    result = circuits(*command, "--out", tmp_path / "run")
    assert result.exit_code == 1
    assert "run is full: free some space" in " ".join(result.stderr.split())
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["work"]


def test_where_no_circuit_keeps_enough_the_best_is_shown(command, monkeypatch):
    monkeypatch.setattr(
        "circuits.discovery.pipeline.Pipeline.evaluate", lambda self, found: [30.0, 20.0, 10.0, 5.0]
    )
    result = circuits(*command)
    assert "No circuit keeps 75% of performance: the best one, shown below," in result.stdout
    assert "keeps 30.0%." in " ".join(result.stdout.split())
    printed = json.loads(circuits(*command, "--json").stdout)
    assert not printed["keeps_enough"]
    assert [point["chosen"] for point in printed["points"]] == [True, False, False, False]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--thresholds", "1,many"), "--thresholds must be numbers separated by commas"),
        (("--min-effects", ","), "--min-effects must be numbers separated by commas"),
        (("--thresholds", "1,-1"), "threshold must be above 0"),
        (("--keep", "0"), "keep must be a percentage above 0"),
        (("--method", "flap"), "patches no paths"),
        (("--threshold", "1"), "no such option: --threshold"),
    ],
)
def test_bad_input_is_refused_before_a_model_is_loaded(no_model, arguments, message):
    assert message in error_of("grid", "ioi", *arguments, code=2)


def test_what_was_verified_is_in_the_table_and_in_json(command):
    discover = ("discover", *command[1:8])
    shown = " ".join(circuits(*discover).stdout.split())
    assert "sampled)" in shown
    assert "no path left out unverified has an effect above" in shown
    seen = json.loads(circuits(*discover, "--json").stdout)["verification"]
    assert seen["estimated"] >= seen["verified"]
    assert seen["bound"].startswith("no path")
    unverified = circuits(*discover, "--no-verify")
    assert "none verified (--no-verify)" in unverified.stdout
    printed = json.loads(circuits(*discover, "--no-verify", "--json").stdout)
    assert printed["verification"] is None
    assert "none estimated" in circuits(*discover, "--engine", "exact").stdout
    assert "Verification" not in circuits(*discover, "--method", "flap").stdout


def test_lower_precision_is_verified_in_float32(command):
    result = circuits("discover", *command[1:8], "--dtype", "bfloat16")
    assert result.exit_code == 0
    assert "(against float32)" in " ".join(result.stdout.split())
    assert "Changing model dtype" not in result.output


def verification(**fields):
    known = {"estimated": 1200, "verified": 90, "sampled": 25, "flipped": 3, "curvature": 1.0}
    errors = {"largest_error": 0.0123, "mean_error": 0.001, "missed_effect": 0.0271}
    return Verification(**{**known, **errors, "coverage": 0.8871, **fields})


def test_the_bound_in_words():
    assert certainty.bound(verification()) == (
        "no path left out unverified has an effect above 0.028 "
        "(95 % confidence that this holds for at least 88 % of them)"
    )
    assert "above 0.03 " in certainty.bound(verification(missed_effect=0.03))
    assert "above 0 " in certainty.bound(verification(missed_effect=0.0))
    whole = certainty.bound(verification(coverage=1.0, missed_effect=0.0))
    assert whole == "no path was left out unverified"
    unsampled = certainty.bound(verification(sampled=0, mean_error=None, coverage=0.0))
    assert "no sample checks it" in unsampled
    assert "confidence" not in unsampled
