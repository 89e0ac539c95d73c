"""`circuits export`, `import`, and evaluating a circuit from elsewhere."""

import json
from pathlib import Path

import pytest

from circuits import Circuit, Discovery
from circuits.cli import terminal
from circuits.formats import FORMATS, import_circuit
from tests.circuits.cli.command_line import circuits, error_of


@pytest.mark.parametrize("name", FORMATS.names())
def test_a_run_is_exported_and_comes_back(run, tmp_path, name):
    """The file's name or its content tells the format; the model's shape is the run's."""
    file = tmp_path / f"circuit.{name if name in ('dot', 'csv') else 'json'}"
    exported = circuits("export", run, "--format", name, "--out", file)
    assert exported.exit_code == 0
    assert exported.stdout == ""
    assert f"note: written to {file}" in exported.stderr
    imported = circuits("import", file)
    circuit = Discovery.load(run).circuit
    assert any(edge.receiver.head for edge in circuit.edges)
    assert Circuit.from_json(imported.stdout) == circuit
    assert f"note: {len(circuit)} heads, {len(circuit.edges)} edges were read" in imported.stderr
    assert circuits("import", file, "-o", tmp_path / "back.json").exit_code == 0
    assert Circuit.from_json((tmp_path / "back.json").read_text()) == circuit


def test_what_eap_ig_makes_necessary_is_told(run, tmp_path):
    file = tmp_path / "importances.json"
    exported = circuits("export", run, "--format", "eap-ig", "-o", file)
    notes = [line for line in exported.stderr.splitlines() if line.startswith("note: ")]
    assert "MLPs and the embedding belong to the paths here and are nodes there" in notes[0]
    assert "all other measured paths have theirs" in notes[1]
    data = json.loads(file.read_text())
    assert data["cfg"]["d_model"] == 32
    assert data["accelerated_path_patching"]["n_kv_heads"] == 2
    scored = sum(edge["score"] != 0 for edge in data["edges"].values())
    assert scored > sum(edge["in_graph"] for edge in data["edges"].values())
    without = circuits("export", run, "--format", "eap-ig", "--without-mlps", "--plain-nodes")
    assert "no MLP is in the graph" in without.stderr
    assert json.loads(without.stdout)["nodes"]["m0"] is False


def test_the_strongest_edges_of_a_file(run, tmp_path):
    file = tmp_path / "importances.json"
    circuits("export", run, "--format", "eap-ig", "-o", file)
    few = circuits("import", file, "--top", "40", "--through-mlps")
    assert 0 < len(Circuit.from_json(few.stdout).edges) < 40
    assert "were left out" in few.stderr


def test_a_reference_needs_the_model_told(tmp_path, no_model):
    shown = circuits("export", "ioi-gpt2", "--format", "csv")
    assert import_circuit(shown.stdout).circuit.n_layers == 12
    missing = error_of("export", "ioi-gpt2", "--format", "eap-ig", "-o", tmp_path / "a", code=2)
    assert "the width of the model's residual stream (d_model) must be in the file" in missing
    told = circuits("export", "ioi-gpt2", "--format", "eap-ig", "--d-model", "768")
    assert told.exit_code == 0
    assert "--parallel-mlp if they are beside it" in told.stderr
    assert "the circuit has no edges" in told.stderr
    assert json.loads(told.stdout)["cfg"]["n_heads"] == 12


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("export", "RUN", "--format", "xml"), 2, "unknown format 'xml'; known formats: json"),
        (("export", "RUN", "-o", "none/a.csv"), 2, "there is no directory none"),
        (("export", "RUN", "-o", "."), 2, "--out . is a directory"),
        (("export", "RUN", "-o", "a.pt"), 2, "a.pt is a pickle"),
        (("export", "RUN", "--kv-heads", "2"), 2, "options of eap-ig were given for json"),
        (("export", "RUN", "--format", "eap-ig", "--kv-heads", "3"), 2, "cannot share 3 key/value"),
        (
            ("export", "RUN", "--format", "eap-ig", "--kv-heads", "0"),
            2,
            "n_kv_heads must be at lea",
        ),
        (("export", "RUN", "--format", "eap-ig", "--d-model", "0"), 2, "the width of the model"),
        (("export", "none/run"), 1, "is no saved run"),
        (("import", "none.json"), 1, "none.json: No such file"),
        (("import", "a.pt"), 2, "is a pickle, which can run code and is not read or written here"),
        (("import", "bad.csv"), 1, "bad.csv (csv): row 2: its effect must be a number, got 'much'"),
        (("import", "bad.dot"), 1, "bad.dot (dot): line 2: a node, an edge or } must stand here"),
        (("import", "bad.json"), 1, "bad.json (json): heads[0] of a circuit is malformed"),
        (("import", "bad.csv", "--top", "3"), 2, "bad.csv is csv; --kv-heads, --through-mlps"),
        (("import", "bad.csv", "--top", "0"), 2, "top must be at least 1"),
        (("import", "bad.csv", "--format", "xml"), 2, "unknown format 'xml'"),
    ],
)
def test_errors_are_one_line(run, tmp_path, monkeypatch, arguments, code, message):
    monkeypatch.chdir(tmp_path)
    header = "sender,receiver,effect,n_layers,n_heads\n"
    (tmp_path / "bad.csv").write_text(f"{header}0.1,1.0.q,much,2,4\n")
    (tmp_path / "bad.dot").write_text("digraph {\n = }")
    (tmp_path / "bad.json").write_text('{"n_layers": 2, "n_heads": 4, "heads": ["x"]}')
    command = [run if word == "RUN" else word for word in arguments]
    assert message in error_of(*command, code=code)


def test_a_circuit_from_elsewhere_is_evaluated(run, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(terminal.out, "width", 200)
    file = tmp_path / "theirs.json"
    file.write_text(Discovery.load(run).circuit.to_json())
    options = ("--task", "ioi", "--model", tiny, "--n-prompts", "4", "--resamples", "20")
    result = circuits("evaluate", file, *options)
    assert result.exit_code == 0
    assert f"ioi on {tiny}   4 prompts, seed 0" in result.stdout
    assert "every path is corrupted" in result.stdout
    printed = json.loads(circuits("evaluate", file, *options, "--json").stdout)
    assert printed["prompts"] is None
    assert printed["curves"] == {}
    assert printed["edge_level"]["performance"]["value"] != 0
    assert list(tmp_path.iterdir()) == [file]


def test_what_a_circuit_alone_cannot_be_asked(run, tmp_path, no_model):
    file = tmp_path / "theirs.json"
    file.write_text(Discovery.load(run).circuit.to_json())
    assert "holds a circuit alone: add --task" in error_of("evaluate", file, code=2)
    refused = error_of("evaluate", file, "--task", "ioi", "--score", "flap", code=2)
    assert "--score is for runs" in refused
    file.write_text("{}")
    assert "holds no circuit" in error_of("evaluate", file, "--task", "ioi", code=1)


def test_a_device_or_a_link_stays_what_it_is(run, tmp_path):
    link = tmp_path / "link.dot"
    link.symlink_to(tmp_path / "there.dot")
    assert circuits("export", run, "-o", link).exit_code == 0
    assert link.is_symlink()
    assert (tmp_path / "there.dot").read_text().startswith("digraph")
    assert circuits("export", run, "-o", "/dev/null").exit_code == 0
    assert Path("/dev/null").is_char_device()
    told = "the disk of /dev/full is full: free some space"
    assert told in error_of("export", run, "-o", "/dev/full", code=1)


def test_standard_output_by_its_name_is_the_text_alone(run, tmp_path):
    with (tmp_path / "all").open("wb") as file:
        for command in (("export", run), ("report", run)):
            assert circuits(*command, "-o", f"/dev/fd/{file.fileno()}").exit_code == 0
    text = (tmp_path / "all").read_text()
    assert text.startswith("{")
    assert text.rstrip().endswith("</html>")
