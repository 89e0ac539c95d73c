"""Nothing that a terminal obeys gets there from a file, by whichever way it is printed."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path

import pytest
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from circuits.cli import terminal
from tests.circuits.cli.command_line import circuits, error_of

HOSTILE = (
    "\x1b[2J\x1b]52;c;ZXZpbA==\x07\x9b31m\x9d8;;http://evil\x9c\x00\x08\x7f\u202eevil\u2028\udc80"
)
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2028\udc80]")


def shown(renderable) -> str:
    """What comes out, without colours of ours."""
    console = terminal._Neutral()
    console.file = io.StringIO()
    console.print(renderable)
    return console.file.getvalue()


def tabled(text: str) -> Table:
    table = Table(text, title=text)
    table.add_row(text)
    return table


@pytest.mark.parametrize(
    "made", [str, Text, tabled, Panel, lambda text: Group(Text(text), tabled(text))]
)
def test_whatever_is_printed_is_neutral(made) -> None:
    text = shown(made(HOSTILE))
    assert not OBEYED.search(text)
    assert "u001b" in text


def test_what_is_harmless_stays() -> None:
    assert terminal.neutral("a\tb\nc é 漢 🙂 ✓") == "a\tb\nc é 漢 🙂 ✓"
    assert terminal.neutral("\x1b\x9b") == "\\u001b\\u009b"


def test_markup_in_a_file_is_only_text() -> None:
    for text in ("[link=http://evil]here[/link]", "[bold]", "[/nothing]", ":smile:"):
        assert text in shown(text)
        assert text in shown(tabled(text))


def test_colours_of_ours_get_there() -> None:
    console = terminal._Neutral()
    console.file, console._force_terminal = io.StringIO(), True
    console._color_system = terminal.Console(color_system="standard")._color_system
    console.print(Text(f"a{HOSTILE}b", "red"))
    assert console.file.getvalue().startswith("\x1b[31ma\\u001b[2J")
    assert console.file.getvalue().count("\x1b") == 2


def test_json_stays_json(capsys) -> None:
    terminal.print_json({HOSTILE: [HOSTILE]})
    printed = capsys.readouterr().out
    assert not OBEYED.search(printed)
    assert json.loads(printed) == {HOSTILE: [HOSTILE]}


def test_messages_are_one_line_of_bounded_length(capsys) -> None:
    terminal.print_error("x" * 10**6)
    for told in (terminal.print_warning, terminal.print_note):
        told(HOSTILE)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 3
    assert not OBEYED.search("".join(lines))
    assert len(lines[0]) < 2200
    assert lines[0].endswith("…")


def test_a_task_of_others_in_every_command(tiny, tmp_path) -> None:
    """The names, the prompts and the problems of its rows."""
    hostile = HOSTILE.replace("\udc80", "").replace("\x00", "")
    row = {"clean": f"When {hostile} Mary", "corrupted": "x", "correct": " a", "wrong": " b"}
    file = tmp_path / "\x1b[2Jnames.jsonl"
    file.write_text(f"{json.dumps(row)}\n{json.dumps({hostile: 'x' * 10**5})}\n{hostile}")
    for command in (("tasks", "check", file), ("tasks", file), ("discover", file)):
        result = circuits(*command, "--model", tiny)
        assert result.exit_code != 0
        assert not OBEYED.search(result.stdout + result.stderr)
        assert max(map(len, result.stderr.splitlines())) < 2500
        assert len(result.stdout) < 20_000
    assert "\\u001b[2Jnames.jsonl" in error_of("tasks", file, "--model", tiny, code=2)


def test_a_model_and_a_circuit_of_others(tmp_path) -> None:
    config = {"model_type": "bert", "architectures": [HOSTILE.replace("\udc80", "")]}
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(json.dumps(config))
    assert not OBEYED.search(error_of("tasks", "ioi", "--model", tmp_path / "model", code=1))
    file = tmp_path / "circuit.json"
    circuit = {"n_layers": 2, "n_heads": 2, "heads": [HOSTILE.replace("\udc80", "") + "x" * 10**5]}
    file.write_text(json.dumps(circuit))
    message = error_of("compare", file, file, code=1)
    assert not OBEYED.search(message)
    assert len(message) < 1000
    assert "layer.index" in message


def test_a_name_that_is_no_text_is_shown(tmp_path) -> None:
    """Bytes of a file name that are no UTF-8 become halves of characters."""
    name = tmp_path / "caf\udce9.json"
    assert Path(name).name.endswith("\udce9.json")
    assert "caf\\udce9.json" in error_of("compare", name, name, code=2)
