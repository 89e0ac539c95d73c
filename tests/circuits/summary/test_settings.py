"""Settings in words, and as code."""

from __future__ import annotations

from dataclasses import replace

from circuits import DiscoveryConfig, PruningRule, SelectionRule, discover
from circuits.summary import settings
from tests.circuits.report.conftest import HOSTILE


def test_every_setting_has_a_row():
    rows = dict(
        settings.rows(
            DiscoveryConfig("app", selection=SelectionRule(threshold=1.75), pruning=PruningRule())
        )
    )
    assert rows["method"] == "app"
    assert rows["verify"] == "yes"
    assert rows["memory bytes"] == "default"
    assert rows["selection: threshold"] == "1.75"
    assert rows["pruning: cliff"] == "first"


def test_the_code_has_every_setting_and_runs(found, monkeypatch):
    heard = []
    monkeypatch.setattr(discover, "run_discovery", lambda *given: heard.append(given))
    monkeypatch.setattr("circuits.load_model", lambda *given, **more: (given, more), raising=False)
    config = replace(found.config, pruning=PruningRule("biggest", 0.25, 0.5, 0.125), seed=7)
    source = replace(found.provenance, task="ioi")
    exec(settings.python_code(replace(found, config=config, provenance=source)), {})
    ((model, task, given),) = heard
    assert model == ((source.model.name,), {"dtype": "float32"})
    assert (task.name, given) == ("ioi", config)


def test_names_in_the_code_are_strings(found):
    source = replace(found.provenance, task=HOSTILE)
    compile(settings.python_code(replace(found, provenance=source)), "code", "exec")
