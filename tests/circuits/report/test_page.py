"""What is on the page, and what cannot get onto it."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise

import plotly.graph_objects as go
import pytest
from plotly.offline import get_plotlyjs

from circuits import Circuit, PruningRule
from circuits.behaviour import Behaviour
from circuits.errors import InputError
from circuits.evaluation import EVALUATION_FILE
from circuits.figures import circuit_figure
from circuits.report import SavedRun, render_report, sections, write_report
from circuits.report.drawing import drawings
from circuits.report.sections import Asked
from circuits.studies.record import SearchPoint, SearchRecord
from circuits.tasks import get_task
from tests.circuits.report.conftest import HOSTILE
from tests.circuits.report.reading import Page

SECTIONS = (
    "What was asked",
    "Does the model do the task?",
    "The circuit",
    "How it was found",
    "How good it is",
    "What it cost",
    "How to reproduce it",
    "Terms",
)


@pytest.fixture(scope="module")
def page(run):
    return Page(render_report([run]))


class TestOneRun:
    def test_every_section_is_there_in_order(self, page, run):
        assert page.headings[0] == (1, run.title)
        assert tuple(text for level, text in page.headings if level == 2) == SECTIONS

    def test_numbers_of_the_run(self, page, run):
        found = run.found
        for shown in (
            f"{len(found.circuit)} of 12 heads, {len(found.circuit.edges)} edges",
            f"{found.performance:.1f}% of the model's logit_diff",
            found.provenance.model.weight_hash,
            found.provenance.versions["torch"],
            *run.digests.values(),
            *(stage.stage for stage in found.cost.stages),
            *(edge.effect.__format__("+.3f") for edge in found.circuit.edges),
        ):
            assert shown in page.text
        assert str(found.circuit.to_dict()["heads"][0]) in page.text

    def test_figures_are_those_of_the_library_in_both_themes(self, page, run):
        drawn = page.figures["run-0-circuit"]
        for theme in ("light", "dark"):
            assert go.Figure(drawn[theme]) == circuit_figure(run.found.circuit, theme=theme)
        assert {"run-0-sweep", "run-0-scores-0", "run-0-effects-0", "run-0-cost"} <= (
            page.figures.keys()
        )

    def test_every_figure_has_a_place_and_says_what_it_shows(self, page):
        places = [found for _, found in page.tags if "data-figure" in found]
        assert {place["id"] for place in places} == page.figures.keys()
        assert {place["data-figure"] for place in places} <= set(page.ids)
        assert all(len(str(place["aria-label"])) > 30 for place in places)

    def test_it_says_how_to_run_it_again(self, run):
        assert "run_distinctly" in Page(render_report([run], lambda _: "run_distinctly")).text

    def test_without_an_evaluation_it_says_how_to_get_one(self, page, saved):
        assert f"circuits evaluate {saved}" in page.text
        assert "completeness" not in page.text.split("Terms")[0].lower()

    def test_the_task_of_another_installation_has_no_example(self, page, run):
        assert "The task is not known here" in page.text
        source = run.found.provenance
        known = replace(run, found=replace(run.found, provenance=replace(source, task="ioi")))
        assert "clean prompt When " in Page(render_report([known])).text

    def test_rows_of_ones_own_are_shown_while_they_are_the_same(self, run, tmp_path):
        file = tmp_path / "mine.csv"
        file.write_text("clean,corrupted,correct,wrong\nMine A,Mine B, C, D\n")
        source = replace(
            run.found.provenance, task=str(file), task_digest=get_task(str(file)).digest
        )
        own = replace(run, found=replace(run.found, provenance=source))
        assert Asked.of(own.found).example.clean == "Mine A"
        file.write_text(file.read_text().replace("Mine A", "Other A"))
        assert Asked.of(own.found).example is None

    def test_no_network_is_asked_for_a_task(self, run, monkeypatch):
        monkeypatch.setattr(sections, "get_task", lambda name: pytest.fail(name))
        source = replace(run.found.provenance, task="hf://datasets/someone/mine")
        assert Asked.of(replace(run.found, provenance=source)).example is None


class TestForm:
    def test_nothing_comes_from_elsewhere(self, page):
        for _, found in page.tags:
            assert not found.get("src")
            assert (found.get("href") or "#").startswith("#")
        assert len(page.programs) == 2
        assert page.programs[0] == get_plotlyjs()

    def test_links_lead_somewhere_and_ids_are_unique(self, page):
        assert len(page.ids) == len(set(page.ids))
        targets = {str(found["href"])[1:] for tag, found in page.tags if tag == "a"}
        targets |= {str(f["aria-labelledby"]) for _, f in page.tags if "aria-labelledby" in f}
        assert targets <= set(page.ids)

    def test_headings_skip_no_level(self, run):
        for runs in ([run], [run, run]):
            levels = [level for level, _ in Page(render_report(runs)).headings]
            assert levels[0] == 1
            assert all(after - before <= 1 for before, after in pairwise(levels))

    def test_tables_have_captions_and_headers(self, page):
        tags = [tag for tag, _ in page.tags]
        assert tags.count("table") == tags.count("caption") > 3
        assert all("scope" in found for tag, found in page.tags if tag == "th")

    def test_the_same_run_gives_the_same_page(self, run):
        assert render_report([run]) == render_report([run])


class TestWhatElseARunMayHold:
    def test_an_evaluation(self, saved, evaluated, tmp_path):
        for path in saved.iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        evaluated.save(tmp_path)
        run = SavedRun.load(tmp_path)
        assert run.evaluation == evaluated
        page = Page(render_report([run]))
        for shown in ("What the circuit keeps", "heads give zeros", "completeness", "CPR", "gap"):
            assert (shown in page.text) == (shown != "gap")
        assert "run-0-faithfulness" in page.figures
        assert "circuits evaluate" not in page.text
        assert run.digests[EVALUATION_FILE] in page.text

    def test_an_evaluation_of_another_circuit_is_not_shown(self, saved, evaluated, tmp_path):
        for path in saved.iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        replace(evaluated, circuit="0" * 32).save(tmp_path)
        assert SavedRun.load(tmp_path).evaluation is None

    def test_a_search(self, run):
        point = SearchPoint(
            run.found.config.selection, run.found.circuit.heads, 3, 0.5, 90.0, True, True
        )
        searched = replace(run, search=SearchRecord((point,), 75.0))
        assert "run-0-search" in Page(render_report([searched])).figures

    @pytest.mark.parametrize(
        ("rule", "kept"),
        [
            (PruningRule("share", score_share=0.625), "the best, which hold 62.5 % of the scores"),
            (PruningRule("fixed", fixed_sparsity=0.75), "the best 25 % of the model's"),
            (PruningRule("biggest"), "those left just before performance drops"),
        ],
    )
    def test_how_heads_were_pruned(self, run, rule, kept):
        found = replace(run.found, config=replace(run.found.config, pruning=rule))
        captions = [drawn.caption for drawn in drawings(replace(run, found=found))["pruning"]]
        assert captions
        assert all(kept in caption for caption in captions)

    def test_a_weak_model_is_said_to_be_one(self, run):
        weak = replace(run.found, behaviour=Behaviour(4, 0.1, 0.0, -1.0, 0.0))
        page = Page(render_report([replace(run, found=weak)]))
        assert "means little: the metric on clean prompts (-1.00) is not above" in page.text

    def test_no_circuit_no_scores_and_no_number(self, run, empty):
        page = Page(render_report([replace(run, found=empty)]))
        assert "This circuit has no heads." in str(page.figures["run-0-circuit"])
        assert page.figures.keys() == {"run-0-circuit", "run-0-cost"}


class TestSeveralRuns:
    def test_a_comparison_comes_first(self, run, other):
        page = Page(render_report([run, other]))
        assert page.headings[:2] == [(1, "2 circuits compared"), (2, "Comparison")]
        iou = run.found.circuit.compare(other.found.circuit).iou
        assert f"{run.name} 1.00 {iou:.2f}" in page.text
        assert "comparison" not in page.figures
        assert {"overlap-0", "run-0-circuit", "run-1-circuit"} <= page.figures.keys()
        assert "by chance, 95 %" in page.text
        assert len(page.programs) == 2
        assert len(page.ids) == len(set(page.ids))

    def test_models_of_other_shapes_are_shown_side_by_side_only(self, run):
        bare = replace(run.found, circuit=Circuit.of_heads(["0.0"], 2, 2), effects=None, scores={})
        page = Page(render_report([run, replace(run, name="small", found=bare)]))
        assert "overlap-0" not in page.figures
        assert "1 more pair not drawn" in page.text

    def test_many_runs_are_not_all_drawn(self, run, other):
        page = Page(render_report([run, *[other] * 5]))
        assert len([name for name in page.figures if name.startswith("overlap")]) == 10
        assert "5 more pairs not drawn" in page.text


class TestHostileNames:
    def test_they_are_text_and_nothing_else(self, hostile, run):
        html = render_report([hostile, run])
        page, tame = Page(html), Page(render_report([run, run]))
        assert page.programs == tame.programs
        assert not [tag for tag, _ in page.tags if tag == "img"]
        assert not [name for _, found in page.tags for name in found if name.startswith("on")]
        assert page.text.count(HOSTILE) > 20
        for shown in (f"clean {HOSTILE}", f"corrupted {HOSTILE}", f"Say {HOSTILE}."):
            assert shown in page.text

    def test_nor_do_they_leave_the_data_of_figures(self, hostile, run):
        html = render_report([hostile, run])
        blocks = re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.S)
        assert len(blocks) == len(Page(html).figures)
        assert not [block for block in blocks if "<" in block]
        # In the data they are escaped once more, for plotly reads tags.
        assert "&lt;img src=x onerror=hacked()&gt;" in str(Page(html).figures["run-0-cost"])

    def test_only_our_scripts_may_run(self, hostile):
        tags = Page(render_report([hostile])).tags
        (policy,) = [str(found["content"]) for _, found in tags if "http-equiv" in found]
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "unsafe-inline" not in policy.split("style-src")[0]


class TestWriting:
    def test_a_file_is_written_whole(self, saved, tmp_path):
        path = write_report([saved], tmp_path / "new" / "report.html")
        assert path.read_text() == render_report([SavedRun.load(saved)])
        assert [each.name for each in path.parent.iterdir()] == ["report.html"]

    def test_no_run_is_refused(self, tmp_path):
        with pytest.raises(InputError, match="at least one run"):
            write_report([], tmp_path / "report.html")
        with pytest.raises(FileNotFoundError, match="no saved run"):
            write_report([tmp_path], tmp_path / "report.html")
        assert list(tmp_path.iterdir()) == []
