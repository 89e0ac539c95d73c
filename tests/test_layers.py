"""docs/code.md, its picture and the map of CONTRIBUTING have the layers of the import contract."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "code.md"
PICTURE = ROOT / "docs" / "images" / "layers.svg"
CONTRIBUTING = ROOT / "CONTRIBUTING.md"
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


def sections() -> dict[str, list[str]]:
    """By heading, what stands in the first cell of each row of CONTRIBUTING's tables."""
    parts = re.split(r"^##+ (.+)$", CONTRIBUTING.read_text(), flags=re.MULTILINE)[1:]
    return {
        heading: re.findall(r"^\| (`.+?) \|", text, re.MULTILINE)
        for heading, text in zip(parts[::2], parts[1::2], strict=True)
    }


def test_the_map_of_contributing_has_the_layers_in_order():
    rows = [re.findall(r"`(\w+)(?:/|\.py)`", cell) for cell in sections()["The map"]]
    assert [" | ".join(names) for names in rows] == contract()


@pytest.mark.parametrize("heading", [heading for heading in sections() if "`circuits/" in heading])
def test_the_map_of_a_package_has_every_module_of_it(heading):
    packages = [ROOT / name for name in re.findall(r"`(circuits/\w+)`", heading)]
    modules = {path.name for package in packages for path in package.glob("*.py")}
    named = re.findall(r"(\w+\.py)`", " ".join(sections()[heading]))
    assert sorted(named) == sorted(modules - {"__init__.py"})


def test_every_module_of_circuits_has_a_layer():
    layered = {name for layer in contract() for name in layer.split(" | ")}
    modules = {
        path.stem
        for path in (ROOT / "circuits").iterdir()
        if (path / "__init__.py").is_file() or (path.suffix == ".py" and path.name[:2] != "__")
    }
    assert modules == layered
