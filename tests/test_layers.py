"""docs/code.md and its picture have the layers that import-linter holds."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "code.md"
PICTURE = ROOT / "docs" / "images" / "layers.svg"
SVG = "{http://www.w3.org/2000/svg}"
ROW = 28
"""How high one layer is in the picture."""


def contract() -> list[str]:
    """The layers from top to bottom, as the page writes them: `pruning | circuit | metrics`."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = [one["layers"] for one in contracts["contracts"] if one["type"] == "layers"]
    return [layer.replace("circuits.", "") for layer in layers]


def listed() -> list[str]:
    """The names at the beginning of each item of the page's only list."""
    return [
        re.sub(r"[*`]", "", names)
        for names in re.findall(r"^- (\*\*`.+?`\*\*) \S", PAGE.read_text(), re.MULTILINE)
    ]


def test_the_page_lists_the_layers_of_the_contract_in_order():
    assert listed() == contract()
    assert len(re.findall(r"^[-*+] ", PAGE.read_text(), re.MULTILINE)) == len(listed())


def test_the_picture_has_the_layers_of_the_page_in_order():
    picture = ElementTree.parse(PICTURE).getroot()
    spans = [*picture.iter(f"{SVG}tspan")]
    names = [span.text for span in spans if span.get("class") == "name"]
    assert names == listed()
    assert {span.get("dy") for span in spans if span.get("class") == "name"} == {str(ROW)}
    assert picture.get("viewBox") == f"0 0 740 {ROW * len(names)}"
    assert f"]({PICTURE.relative_to(PAGE.parent)})" in PAGE.read_text()


def test_every_module_of_circuits_has_a_layer():
    layered = {name for layer in contract() for name in layer.split(" | ")}
    modules = {
        path.stem
        for path in (ROOT / "circuits").iterdir()
        if (path / "__init__.py").is_file() or (path.suffix == ".py" and path.stem != "__init__")
    }
    assert modules == layered
