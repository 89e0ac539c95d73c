"""What the page says where the prompts show no behaviour, or nothing was tested."""

from __future__ import annotations

from dataclasses import replace

import pytest

from circuits.behaviour import Behaviour, Verdict
from circuits.report import render_report
from circuits.summary import tables as summary
from tests.circuits.report.reading import Page


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("behaviour", "Yes: because."),
        ("no power", "Not tested: because."),
        ("ignored", "Not shown: because. A circuit was searched for all the same."),
        (None, "Not tested: the run is older than the test."),
    ],
)
def test_whether_the_model_does_the_task_is_what_was_tested(run, kind, shown):
    found = replace(run.found, verdict=kind and Verdict(kind, "because"))
    weak = replace(found, behaviour=Behaviour(9, 0.5, 0.0, 1.0, 0.0))
    assert summary.does_the_task(found) == summary.Answer(shown, is_warning=kind != "behaviour")
    less = summary.does_the_task(weak)
    assert less.is_warning
    assert less.text.startswith(f"{shown} A circuit found on such prompts means little: the model")


def test_a_refused_search_has_no_circuit_to_show(run, other, empty):
    refused = replace(empty, verdict=Verdict("no circuit", "nothing shows"))
    nothing = replace(run, name="runs/nothing", found=refused)
    page = Page(render_report([nothing]))
    assert "circuit none model right" in page.text
    assert "Not shown: nothing shows. So no circuit was searched for." in page.text
    assert "No circuit: nothing shows." in page.text
    assert "There is no circuit to evaluate." in page.text
    assert page.figures.keys() == {"run-0-cost"}
    assert "of 12 heads" not in page.text
    several = Page(render_report([nothing, run, other]))
    assert "runs/nothing – – –" in several.text
    assert [name for name in several.figures if name.startswith("overlap")] == ["overlap-0"]
