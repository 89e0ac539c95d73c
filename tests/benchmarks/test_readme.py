"""README and docs/numbers.md say what was measured, and their examples name what exists."""

from __future__ import annotations

import ast
import json
import re
from importlib import import_module

import pytest
import typer
from typer.main import get_command

from benchmarks import (
    chance,
    cost,
    coverage,
    discovery,
    engines,
    executors,
    family_table,
    faults,
    gpu,
    long_context,
    recall,
    rivals,
    scaling,
    seeds,
    truth_table,
)
from benchmarks.publish import (
    NUMBERS,
    PAGES,
    README,
    page_of,
    publish,
    replace_section,
)

SECTIONS = {
    README: {"discovery table": discovery},
    NUMBERS: {
        "engine table": engines,
        "chance table": chance,
        "coverage table": coverage,
        "seeds table": seeds,
        "rivals table": rivals,
        "executors table": executors,
        "cost table": cost,
        "scaling table": scaling,
        "GPU table": gpu,
        "recall table": recall,
        "truth table": truth_table,
        "family table": family_table,
        "long context table": long_context,
        "faults table": faults,
    },
}
MARKER = re.compile(r"<!-- (.+?) -->")
BLOCKS = [
    block for page in PAGES for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.S)
]


@pytest.mark.parametrize(
    ("page", "section"), [(page, section) for page in PAGES for section in SECTIONS[page]]
)
def test_pages_show_the_recorded_figures(page, section):
    benchmark = SECTIONS[page][section]
    text = page.read_text()
    shown = benchmark.markdown(json.loads(benchmark.RESULTS.read_text()))
    assert page_of(section) == page
    assert replace_section(text, section, shown) == text


@pytest.mark.parametrize("page", PAGES)
def test_pages_have_their_sections_alone_and_in_order(page):
    markers = MARKER.findall(page.read_text())
    assert markers == [
        marker for section in SECTIONS[page] for marker in (section, f"end of {section}")
    ]


def test_readme_is_short():
    assert len(README.read_text().splitlines()) <= 150


@pytest.mark.parametrize(
    "benchmark", [benchmark for of_page in SECTIONS.values() for benchmark in of_page.values()]
)
def test_every_table_is_written_by_one_option(benchmark):
    app = typer.Typer()
    app.command()(benchmark.main)
    (option,) = [one for one in get_command(app).params if one.name == "write"]
    assert option.opts == ["--write"]


def test_replace_section_keeps_the_rest_and_asks_for_its_markers():
    text = "a\n<!-- t -->\nold\n<!-- end of t -->\nb"
    assert replace_section(text, "t", "new") == "a\n<!-- t -->\nnew\n<!-- end of t -->\nb"
    with pytest.raises(ValueError, match="lacks the markers"):
        replace_section("nothing here", "t", "new")


def test_a_table_is_written_into_the_page_that_has_its_markers(tmp_path, capsys):
    pages = (tmp_path / "a.md", tmp_path / "b.md")
    texts = ("<!-- s -->\n<!-- end of s -->\n", "kept\n<!-- t -->\nold\n<!-- end of t -->\n")
    for page, text in zip(pages, texts, strict=True):
        page.write_text(text)
    publish({"of": 1}, tmp_path / "out" / "results.json", "new", "t", pages)
    assert capsys.readouterr().out == "new\n"
    assert json.loads((tmp_path / "out" / "results.json").read_text()) == {"of": 1}
    assert pages[0].read_text() == texts[0]
    assert pages[1].read_text() == texts[1].replace("old", "new")


def test_a_table_of_no_page_or_of_two_is_refused(tmp_path):
    page = tmp_path / "a.md"
    page.write_text("<!-- t -->\n<!-- end of t -->\n<!-- end of u --><!-- v -->\n")
    assert page_of("t", [page]) == page
    for section, pages, number in (("t", [page, page], 2), ("u", [page], 0), ("v", [page], 0)):
        with pytest.raises(ValueError, match=f"^{number} of {len(pages)} pages have the markers"):
            page_of(section, pages)


@pytest.mark.parametrize("block", BLOCKS)
def test_examples_import_what_exists(block):
    imports = [node for node in ast.walk(ast.parse(block)) if isinstance(node, ast.ImportFrom)]
    assert imports
    for node in imports:
        module = import_module(str(node.module))
        assert all(hasattr(module, alias.name) for alias in node.names)
