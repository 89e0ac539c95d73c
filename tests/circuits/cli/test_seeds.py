"""`circuits seeds`: one study in the terminal and as JSON, and what it refuses."""

import json
from dataclasses import replace

import pytest

from circuits import Circuit, Discovery
from circuits.circuit import Overlap
from circuits.cli.tables import seeds as tables
from circuits.cli.terminal import out
from circuits.components import Head
from circuits.statistics import Distribution
from circuits.studies import SeedRun, SeedStudy
from circuits.studies.repeated import Repeated
from tests.circuits.cli.command_line import FEW, circuits, error_of


def interrupt(*_, **__):
    raise KeyboardInterrupt


def test_a_study_goes_on_and_is_told_in_both_forms(tiny, tmp_path, monkeypatch):
    """Cut off after its first seed, gone on with, and shown from what is saved."""
    study = ("seeds", "ioi", "--model", tiny, *FEW, "--seeds", "2", "--seed", "3")
    methods = ("--method", "flap", "--against", "contrastive-flap")
    search = (*study, *methods, "--templates", "2", "--out", tmp_path / "run")
    run = Repeated.in_session

    def cut_off(self, session, progress):
        return interrupt() if session.config.seed == 4 else run(self, session, progress)

    with monkeypatch.context() as patch:
        patch.setattr(Repeated, "in_session", cut_off)
        stopped = circuits(*search)
    assert stopped.exit_code == 130
    assert "the same command again goes on from there" in stopped.stderr
    assert [path.name for path in (tmp_path / "run").iterdir()] == ["seed-3"]
    printed = json.loads(circuits(*search, "--resume", "--json").stdout)
    assert printed["seeds"] == [3, 4]
    assert printed["saved_to"] == str(tmp_path / "run")
    saved = json.loads((tmp_path / "run" / "seeds.json").read_text())
    assert saved["figures"] == printed["figures"]
    runs = [Discovery.load(tmp_path / "run" / f"seed-{seed}") for seed in (3, 4)]
    assert [len(run.circuit) for run in runs] == [len(row["heads"]) for row in printed["runs"]]
    assert runs[0].config.n_templates == 2
    monkeypatch.setattr(
        "circuits.discovery.pipeline.Pipeline.discover", lambda _: pytest.fail("ran again")
    )
    shown = circuits(*search)
    assert shown.exit_code == 0, shown.stderr
    text = " ".join(shown.stdout.split())
    assert "Figures over 2 seeds, against contrastive-flap" in text
    recall = printed["figures"]["head recall"]
    assert f"head recall {recall['mean']:.2f} ± {recall['sd']:.2f}" in text
    assert "2 of 2" in text
    assert f"Saved to {tmp_path / 'run'}" in shown.stdout.replace("\n", "")


@pytest.mark.filterwarnings("ignore::circuits.behaviour.WeakTaskWarning")
def test_workers_find_the_same(tiny, tmp_path):
    study = ("seeds", "ioi", "--model", tiny, *FEW, "--seeds", 1, "--method", "flap")
    here = circuits(*study, "--json", "--threads", 1)
    there = circuits(*study, "--json", "--workers", 1, "--out", tmp_path / "run")
    assert (here.exit_code, there.exit_code) == (0, 0), there.stderr
    assert json.loads(there.stdout)["figures"] == json.loads(here.stdout)["figures"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--workers", 2), "workers save what they find: give a directory (--out), got none"),
        (("--executor", "rai", "--out", "x"), "unknown executor 'rai'; did you mean 'ray'?"),
        (("--workers", 0, "--out", "x"), "count must be at least 1, got 0"),
    ],
)
def test_workers_that_cannot_be(no_model, options, words):
    assert words in error_of("seeds", "ioi", *options, code=2)


@pytest.fixture
def lucky(found):
    """Ten seeds whose first is far ahead of all others."""
    runs = []
    for seed in range(10):
        circuit = Circuit.of_heads(["2.1", *(["0.3"] if seed % 2 else [])], 3, 4)
        run = replace(
            found,
            config=replace(found.config, seed=seed),
            circuit=circuit,
            performance=95.0 if seed == 0 else 50.0 + seed % 3,
        )
        runs.append(SeedRun(run, heads=Overlap.of(circuit.heads, frozenset({Head(2, 1)}))))
    return SeedStudy(tuple(runs), reported=0, against="ioi-small")


def test_a_lucky_seed_is_marked_and_heads_are_counted(lucky, capsys):
    out.print(tables.seeds(lucky), width=200)
    text = " ".join(capsys.readouterr().out.split())
    assert "performance 55.4% ± 13.9% 95.0% 50.0% 95.0% * 50 █" in text, "in 80 columns"
    assert text.count("*") == 1
    assert "10 of 10 2.1 5 of 10 0.3" in text
    assert "against ioi-small" in text


def test_a_histogram_fits_a_line():
    assert tables.compact(Distribution({})) == ""
    assert tables.compact(Distribution({0: 5.0})) == "4.5 █ 5.5"
    values = dict(enumerate([0.0] * 8 + [7.0] + [10.0] * 3))
    line = tables.compact(Distribution(values))
    assert line.startswith("0 █")
    assert line.endswith(" 10")
    assert " " in line[3:-3], "an empty bin is empty"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seeds", "0"), "seeds must be at least 1"),
        (("--against", "in-context"), "cannot be compared with itself"),
        (("--against", "magic"), "methods to compare with: in-context, app, path-patching"),
        (("--against", "no/such/run"), "no/such/run"),
        (("--resume",), "add --out DIRECTORY"),
        (("--templates", "0"), "n_templates must be at least 1"),
    ],
)
def test_bad_input_is_refused_before_a_model_is_loaded(no_model, arguments, message):
    code = 1 if "no/such/run" in arguments else 2
    assert message in error_of("seeds", "ioi", *arguments, code=code)


def test_resume_needs_a_begun_study(no_model, tmp_path):
    refused = error_of("seeds", "ioi", "--resume", "--out", tmp_path, code=2)
    assert f"{tmp_path}, which holds none" in refused


def test_a_reference_of_another_shape_is_one_line(tiny):
    search = ("seeds", "ioi", "--model", tiny, *FEW, "--seeds", "1", "--against", "ioi-gpt2")
    assert "12 layers x 12 heads" in error_of(*search, code=1)


def test_what_is_of_another_task_is_told_behind_the_result(tiny, shared_run):
    search = (
        "seeds",
        "induction",
        "--model",
        tiny,
        *FEW,
        "--seeds",
        "1",
        "--method",
        "attribution",
    )
    finished = circuits(*search, "--against", shared_run, "--quiet")
    assert (finished.exit_code, finished.stderr) == (0, "")
    told = circuits(*search, "--against", shared_run).stderr
    assert f"warning: {shared_run} is of task ioi, the run is of induction" in told
    assert "of model" not in told
