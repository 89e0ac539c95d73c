"""One run that most commands are tried on, and proof that some load no model."""

from shutil import copytree

import pytest

from circuits import Discovery
from tests.circuits.cli.command_line import FEW, LOW, circuits


@pytest.fixture(scope="session")
def shared_run(tiny, tmp_path_factory):
    """A saved run of several heads with edges; leave it as it is."""
    directory = tmp_path_factory.mktemp("runs") / "ioi"
    finished = circuits("discover", "ioi", "--model", tiny, *FEW, *LOW, "--out", directory)
    assert finished.exit_code == 0, finished.output
    assert Discovery.load(directory).circuit.edges
    return directory


@pytest.fixture(scope="module")
def run(shared_run, tmp_path_factory):
    """A copy of it for the tests of one file, which may leave something beside it."""
    return copytree(shared_run, tmp_path_factory.mktemp("runs") / "ioi")


@pytest.fixture
def no_model(monkeypatch):
    """Loading a model is a mistake here."""
    monkeypatch.setattr("circuits.model.load_model", lambda *_, **__: pytest.fail("loaded a model"))
