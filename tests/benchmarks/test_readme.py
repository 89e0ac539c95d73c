"""README says what was measured, and its examples name what exists."""

from __future__ import annotations

import ast
import json
import re
from importlib import import_module

import pytest

from benchmarks import (
    chance,
    cost,
    discovery,
    engines,
    recall,
    scaling,
    seeds,
    truth_table,
)
from benchmarks.publish import README, replace_section
from circuits.tasks import PromptPair, Task, get_task, registry

CONTRIBUTING = README.with_name("CONTRIBUTING.md")


@pytest.mark.parametrize(
    ("benchmark", "section"),
    [
        (discovery, "discovery table"),
        (engines, "engine table"),
        (cost, "cost table"),
        (recall, "recall table"),
        (scaling, "scaling table"),
        (chance, "chance table"),
        (seeds, "seeds table"),
        (truth_table, "truth table"),
    ],
)
def test_readme_shows_the_recorded_figures(benchmark, section):
    measured = json.loads(benchmark.RESULTS.read_text())
    text = README.read_text()
    assert replace_section(text, section, benchmark.markdown(measured)) == text


def test_replace_section_keeps_the_rest_and_asks_for_its_markers():
    text = "a\n<!-- t -->\nold\n<!-- end of t -->\nb"
    assert replace_section(text, "t", "new") == "a\n<!-- t -->\nnew\n<!-- end of t -->\nb"
    with pytest.raises(ValueError, match="lacks the markers"):
        replace_section("nothing here", "t", "new")


@pytest.mark.parametrize("block", re.findall(r"```python\n(.*?)```", README.read_text(), re.S))
def test_examples_import_what_exists(block):
    imports = [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.ImportFrom)]
    assert imports
    for node in imports:
        module = import_module(str(node.module))
        assert all(hasattr(module, alias.name) for alias in node.names)


def test_the_task_in_contributing_works(monkeypatch):
    monkeypatch.setattr(registry, "_TASKS", dict(registry._TASKS))
    (block,) = re.findall(r"```python\n(.*?)```", CONTRIBUTING.read_text(), re.S)
    exec(compile(block, CONTRIBUTING.name, "exec"), {"__name__": "example"})
    task = get_task("opposites")
    assert isinstance(task, Task)
    assert isinstance(task.example(), PromptPair)
