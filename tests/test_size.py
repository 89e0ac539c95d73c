"""No file is above 300 lines, and no function above 50, its docstring included."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FILES = sorted(
    path
    for package in ("circuits", "tasks", "benchmarks")
    for path in (ROOT / package).rglob("*.py")
)


@pytest.mark.parametrize("package", ["circuits", "tasks", "benchmarks"])
def test_there_are_files(package: str) -> None:
    assert any(path.is_relative_to(ROOT / package) for path in FILES)


def test_no_file_is_long() -> None:
    lengths = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in FILES}
    assert {name: length for name, length in lengths.items() if length > 300} == {}


def test_no_function_is_long() -> None:
    lengths = {
        f"{path.relative_to(ROOT)}: {node.name}": node.end_lineno - node.lineno + 1
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and node.end_lineno is not None
    }
    assert {name: length for name, length in lengths.items() if length > 50} == {}
