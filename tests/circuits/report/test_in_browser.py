"""The page in headless Chromium."""

from __future__ import annotations

import pytest

from circuits.figures.style import palette_of
from circuits.report import render_report
from tests.browser import needs_browser, open_page
from tests.circuits.report.reading import Page

pytestmark = needs_browser


def test_the_console_is_heard(tmp_path):
    page = tmp_path / "page.html"
    page.write_text("<p id=a></p><script>a.textContent = 'ran'; nowhere()</script>")
    opened = open_page(page)
    assert '<p id="a">ran</p>' in opened.dom
    assert len(opened.console) == 1
    assert "nowhere is not defined" in opened.console[0]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_circuits_are_drawn_and_nothing_complains(hostile, run, tmp_path, theme):
    page = tmp_path / "report.html"
    page.write_text(render_report([hostile, run]))
    opened = open_page(page, dark=theme == "dark")
    assert opened.console == ()
    for number in (0, 1):
        drawn = _figure(opened.dom, f"run-{number}-circuit")
        for head in run.found.circuit.heads:
            assert f'data-unformatted="{head}"' in drawn
        assert drawn.count('class="js-line"') >= len(run.found.circuit.edges)
    for tag, found in Page(opened.dom).tags:
        assert tag != "img"
        assert not [name for name in found if name.startswith("on")]
    red, green, blue = (int(palette_of(theme).page[i : i + 2], 16) for i in (1, 3, 5))
    assert f"background: rgb({red}, {green}, {blue})" in _figure(opened.dom, "run-1-circuit")


def _figure(dom: str, name: str) -> str:
    """Everything between the place of a figure and its caption."""
    start = dom.index(f'id="{name}"')
    return dom[start : dom.index("<figcaption", start)]
