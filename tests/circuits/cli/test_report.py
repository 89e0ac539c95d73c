"""`circuits report`, and the commands that it gives."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace

import pytest

from circuits import DiscoveryConfig, PruningRule, SelectionRule
from circuits.cli import inputs
from circuits.cli.main import COMMANDS
from circuits.cli.reproduce import command as command_of
from circuits.cli.searching import Asked
from circuits.discovery.uses import OF_A_CHOICE, OF_ACDC
from circuits.evaluation import EVALUATION_FILE, SavedEvaluation
from circuits.report import SavedRun
from circuits.studies.record import SearchPoint, SearchRecord
from tests.circuits.cli.command_line import circuits, error_of
from tests.circuits.report.reading import Page


@pytest.fixture
def saved(run):
    return SavedRun.load(run)


def told(saved: SavedRun) -> tuple[str, dict[str, object]]:
    """The name of the command that is given for a run, and what its options are read as."""
    words = shlex.split(command_of(saved).replace("\\\n", " "))
    assert words[0] == "circuits"
    command = COMMANDS[words[1]]
    context = command.make_context(words[1], words[2:], resilient_parsing=False)
    return words[1], context.params


class TestReport:
    def test_the_page_is_in_the_run(self, run, monkeypatch):
        monkeypatch.setattr(
            "circuits.model.load_model", lambda *_, **__: pytest.fail("loaded a model")
        )
        result = circuits("report", run)
        assert result.exit_code == 0, result.output
        assert f"Written to {run}/report.html (" in result.stdout
        page = Page((run / "report.html").read_text())
        assert (
            "circuits discover ioi \\ --method app \\ --mlps path \\ --positions all \\ "
            "--prune-by attribution \\" in page.text
        )
        assert "clean prompt When" in page.text
        (run / "report.html").unlink()

    def test_a_page_of_ones_own_stays(self, run):
        page = run / "report.html"
        page.write_text("<p>my own page</p>")
        assert "is no page of `circuits report`" in error_of("report", run, code=2)
        assert page.read_text() == "<p>my own page</p>"
        page.unlink()
        assert circuits("report", run).exit_code == 0
        assert circuits("report", run).exit_code == 0, "ours is written again"
        page.unlink()

    def test_several_runs_need_a_file_of_their_own(self, run, tmp_path):
        assert "--out comparison.html" in error_of("report", run, run, code=2)
        output = tmp_path / "new" / "comparison.html"
        assert circuits("report", run, run, "--out", output).exit_code == 0
        assert Page(output.read_text()).headings[0] == (1, "2 circuits compared")

    def test_what_is_no_run_and_no_file(self, run, tmp_path):
        assert "is no saved run" in error_of("report", tmp_path, code=1)
        assert "is a directory" in error_of("report", run, "--out", tmp_path, code=2)
        assert "missing argument" in error_of("report", code=2)
        assert list(tmp_path.iterdir()) == []

    def test_an_evaluation_is_kept_for_it(self, run):
        quick = ("--n-prompts", "4", "--resamples", "20")
        assert circuits("evaluate", run, *quick, "--no-save").exit_code == 0
        assert not (run / EVALUATION_FILE).exists()
        printed = json.loads(circuits("evaluate", run, *quick, "--json").stdout)
        kept = SavedEvaluation.load(run)
        assert kept.evaluation.to_dict()["performance"] == printed["performance"]
        assert kept.config.n_resamples == 20
        circuits("report", run, "--out", run / "report.html")
        assert "On 4 held-out prompts" in Page((run / "report.html").read_text()).text

    def test_an_evaluation_that_cannot_be_kept_is_not_lost(self, run, monkeypatch):
        def refuse(self, directory):
            raise OSError(30, "Read-only file system")

        monkeypatch.setattr(SavedEvaluation, "save", refuse)
        result = circuits("evaluate", run, "--n-prompts", "4", "--resamples", "20")
        assert result.exit_code == 0
        assert f"could not be kept in {run} (Read-only file system)" in result.stderr


class TestCommands:
    def with_config(self, saved: SavedRun, config: DiscoveryConfig) -> SavedRun:
        return replace(saved, found=replace(saved.found, config=config))

    def test_the_command_is_read_as_the_settings(self, saved):
        name, options = told(saved)
        assert name == "discover"
        assert inputs.discovery_config(options) == saved.found.config
        source = saved.found.provenance
        assert (options["task"], options["model"], options["dtype"]) == (
            source.task,
            source.model.name,
            source.model.dtype,
        )
        assert str(options["out"]) == saved.name

    def test_every_setting_is_in_it(self, saved):
        strange = DiscoveryConfig(
            method="path-patching",
            engine="exact",
            verify=False,
            n_sampled_paths=3,
            n_prompts=5,
            seed=6,
            metric="prob_diff",
            selection=SelectionRule(1.25, 1.75, 0.003, "linear", 0.3, "significance", 0.1),
            pruning=PruningRule("smooth-biggest", full_curve=True),
            contrast="paired",
            n_mean_prompts=17,
            prune_by="flap",
            ignore_behaviour=True,
            n_templates=2,
            search="top-n",
            n_edges=7,
        )
        for mine, usual in ((strange, DiscoveryConfig()), (strange.selection, SelectionRule())):
            same = {n for n, value in vars(usual).items() if getattr(mine, n) == value}
            assert same <= {"mlps", "positions", "memory_bytes", *OF_ACDC, *OF_A_CHOICE} - {"keep"}
        _, options = told(self.with_config(saved, strange))
        assert inputs.discovery_config(options) == strange

    def test_what_has_no_option_is_given_as_python(self, saved):
        config = replace(saved.found.config, pruning=PruningRule(lowest_sparsity=0.5))
        text = command_of(self.with_config(saved, config))
        assert "lowest_sparsity=0.5" in text
        assert text.startswith("from circuits import DiscoveryConfig")

    def test_a_grid(self, saved):
        rules = [SelectionRule(threshold=t, min_effect=e) for t in (2.0, 1.5) for e in (0.0, 0.01)]
        points = tuple(SearchPoint(r, frozenset(), 0, 1.0, 0.0, True, True) for r in rules)
        name, options = told(replace(saved, search=SearchRecord(points, 90.0)))
        assert name == "grid"
        assert (options["thresholds"], options["min_effects"]) == ("1.5,2.0", "0.0,0.01")
        assert options["keep"] == 90.0
        own = ("threshold", "min_effect", "keep")
        given = Asked("ioi", {**options, **dict.fromkeys(own)}, "app").config()
        assert given.n_prompts == saved.found.config.n_prompts

    def test_a_study_that_was_refused_tried_nothing(self, saved):
        name, options = told(replace(saved, search=SearchRecord((), 80.0, n_trials=0)))
        assert (name, options["trials"], options["keep"]) == ("study", 50, 80.0)

    def test_a_study(self, saved):
        name, options = told(replace(saved, search=SearchRecord((), 80.0, n_trials=7)))
        assert name == "study"
        assert (options["trials"], options["keep"]) == (7, 80.0)

    def test_names_are_quoted(self, saved):
        name = "runs/; rm -rf $HOME 'x'"
        assert str(told(replace(saved, name=name))[1]["out"]) == name
