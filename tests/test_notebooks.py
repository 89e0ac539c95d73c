"""Every notebook runs from top to bottom, and is committed with its outputs.

`python -m tests.test_notebooks [NAME ...]` runs them again, all or some, and writes their outputs;
figures are then kept as plotly and as PNG, which needs kaleido and a Chromium (`BROWSER_PATH`).
"""

from __future__ import annotations

import ast
import os
import re
import sys
import tempfile
from functools import cache
from importlib import import_module
from pathlib import Path
from unittest import mock

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

from circuits import Discovery, DiscoveryConfig, Head, Receiver

NOTEBOOKS = sorted((Path(__file__).parents[1] / "notebooks").glob("*.ipynb"))
PLOTLY, PNG = "application/vnd.plotly.v1+json", "image/png"
MOST_BYTES = 1_500_000
SECONDS_PER_CELL = 900
MACHINE_PATH = re.compile(r"(?<![\w.:/])/(work|root|home|tmp|Users|usr|opt|var)/")
# tqdm asks for ipywidgets in a notebook, which no notebook of ours needs.
KERNEL_WARNINGS = "ignore:IProgress not found"

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def execute(notebook: NotebookNode, directory: Path, renderer: str) -> None:
    """Run all cells with `directory` as the working directory; outputs go into the notebook."""
    settings = {"PLOTLY_RENDERER": renderer, "PYTHONWARNINGS": KERNEL_WARNINGS}
    client = NotebookClient(
        notebook,
        timeout=SECONDS_PER_CELL,
        record_timing=False,
        resources={"metadata": {"path": str(directory)}},
    )
    with mock.patch.dict(os.environ, settings):
        client.execute()


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def outputs(notebook: NotebookNode) -> list[NotebookNode]:
    return [output for cell in code_cells(notebook) for output in cell.outputs]


def kinds(notebook: NotebookNode) -> list[list[tuple[str, ...]]]:
    """For each cell, what each output is: a stream's name, or its types of data but pictures."""
    return [
        [
            (output.name,)
            if output.output_type == "stream"
            else tuple(sorted(set(output.data) - {PNG}))
            for output in cell.outputs
        ]
        for cell in code_cells(notebook)
    ]


def texts(output: NotebookNode) -> list[str]:
    """Everything in an output that can be read."""
    if output.output_type == "stream":
        return [output.text]
    return [str(data) for kind, data in output.get("data", {}).items() if kind != PNG]


def test_there_are_notebooks():
    assert [path.stem for path in NOTEBOOKS] == [
        "01_quickstart",
        "02_how_it_works",
        "03_five_tasks",
        "04_your_own_task",
        "05_reading_a_circuit",
    ]


@each_notebook
class TestCommitted:
    def test_every_cell_was_run_in_order_and_without_error(self, path):
        notebook = nbformat.read(path, as_version=4)
        nbformat.validate(notebook)
        counts = [cell.execution_count for cell in code_cells(notebook)]
        assert counts == list(range(1, len(counts) + 1))
        assert {output.output_type for output in outputs(notebook)} <= {
            "stream",
            "display_data",
            "execute_result",
        }

    def test_it_uses_the_public_interface_alone(self, path):
        code = "\n".join(cell.source for cell in code_cells(nbformat.read(path, as_version=4)))
        used = [
            (node.module, alias.name)
            for node in ast.walk(ast.parse(code))
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
            if node.module.partition(".")[0] in ("circuits", "tasks")
        ]
        assert used
        for module, name in used:
            assert name in import_module(module).__all__, f"{module}.{name} is not public"
        assert "import circuits" not in code

    def test_figures_are_kept_for_live_and_for_still_viewers(self, path):
        data = [output.get("data", {}) for output in outputs(nbformat.read(path, as_version=4))]
        figures = [each for each in data if PLOTLY in each]
        assert figures
        assert all(PNG in each for each in figures)

    def test_it_is_small_and_tells_nothing_of_the_machine(self, path):
        notebook = nbformat.read(path, as_version=4)
        assert path.stat().st_size < MOST_BYTES
        for output in outputs(notebook):
            assert output.get("name") != "stderr"
            for text in texts(output):
                assert not MACHINE_PATH.search(text), text
        assert all(not cell.metadata for cell in notebook.cells)


@pytest.fixture(scope="module")
def run_again(tmp_path_factory):
    """Runs a notebook from top to bottom, once; and where it ran."""

    @cache
    def run(path: Path) -> tuple[NotebookNode, Path]:
        fresh, directory = nbformat.read(path, as_version=4), tmp_path_factory.mktemp(path.stem)
        for cell in code_cells(fresh):
            cell.outputs = []
        execute(fresh, directory, renderer="plotly_mimetype")
        return fresh, directory

    return run


@pytest.mark.real
@each_notebook
def test_it_runs_and_gives_what_was_committed(path, run_again):
    assert kinds(run_again(path)[0]) == kinds(nbformat.read(path, as_version=4))


@pytest.mark.real
def test_the_quickstart_finds_the_circuit_of_the_default_run(run_again):
    """The whole of `discover_circuit(model, "ioi")` on SmolLM2, and what is known of it."""
    _, directory = run_again(NOTEBOOKS[0])
    found = Discovery.load(directory / "runs" / "ioi")
    assert found.config == DiscoveryConfig()
    assert found.behaviour.accuracy >= 0.9
    assert found.performance >= 85
    assert len(found.circuit) <= 8
    paths = {(edge.sender, edge.receiver) for edge in found.circuit.edges}
    last = Head(23, 3)
    assert last in found.circuit
    assert (last, Receiver.logits()) in paths
    assert any(receiver == Receiver(last, "q") for _, receiver in paths)
    strongest = min(found.circuit.edges, key=lambda edge: edge.effect)
    assert (strongest.sender, strongest.receiver) == (last, Receiver.logits())
    assert -0.9 < strongest.effect < -0.4
    assert found.contributions is not None
    assert not found.contributions.not_shown
    assert found.contributions.opposing
    stages = ("behaviour", "means", "pruning", "patching")
    search = sum(found.cost.of(stage).flops for stage in stages)
    assert search <= 30 * found.cost.forward_pass_flops
    assert found.verification is not None
    assert found.verification.verified < 50
    assert found.cost.peak_memory_bytes < 4e9


def rewrite(path: Path) -> None:
    """Run one notebook and write it back with its outputs, less what differs by machine."""
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as directory:
        execute(notebook, Path(directory), renderer="plotly_mimetype+png")
    notebook.metadata["language_info"] = {"name": "python"}
    for cell in notebook.cells:
        cell.metadata.clear()
    nbformat.write(notebook, path)


if __name__ == "__main__":
    wanted = sys.argv[1:] or [path.stem for path in NOTEBOOKS]
    for name in wanted:
        rewrite(next(path for path in NOTEBOOKS if path.stem == name))
