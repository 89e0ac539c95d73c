"""Reading and writing JSONL, CSV and datasets."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuits.errors import TaskError
from circuits.tasks import Columns, PromptPair, task_from_dataset
from circuits.tasks.rows import parse_table
from circuits.tasks.tables import pairs_to_bytes, pairs_to_dataset, read_dataset, read_file

# No halves of characters, which no file holds.
texts = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(str.strip)
answers = st.text(st.characters(codec="utf-8"), min_size=1, max_size=6)


@st.composite
def pair_lists(draw):
    """What distinct pairs are made of: their prompts differ, their answers are apart."""
    drawn = []
    for clean in draw(st.lists(texts, min_size=1, max_size=4, unique=True)):
        sides = draw(st.lists(answers, min_size=2, max_size=5, unique=True))
        cut = draw(st.integers(1, len(sides) - 1))
        parts = (tuple(sides[:cut]), tuple(sides[cut:]))
        drawn.append((clean, clean + "!", *parts, draw(st.integers(0, 9))))
    return drawn


def read(path, content, columns=None):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_file(path, columns or Columns())


def problems_of(table):
    return [str(problem) for problem in table.problems]


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("tables")


@pytest.mark.parametrize("name", ["pairs.jsonl", "pairs.csv"])
@given(drawn=pair_lists())
def test_what_is_written_is_read(directory, name, drawn):
    path, pairs = directory / name, [PromptPair(*parts) for parts in drawn]
    table = parse_table(read(path, pairs_to_bytes(pairs, path)), Columns())
    assert [found.pair for found in table.pairs] == pairs
    assert not table.problems


def test_what_goes_into_a_dataset_comes_out():
    pairs = [
        PromptPair("A b", "A c", (" x",), (" y", " z"), 3),
        PromptPair("[1]\r\n", "B", ('["x"]',), ("\u2028",), 0),
    ]
    dataset = pairs_to_dataset(pairs)
    assert dataset.column_names == ["clean", "corrupted", "correct", "wrong", "template"]
    table = parse_table(read_dataset(dataset, Columns()), Columns())
    assert [(found.row, found.pair) for found in table.pairs] == list(enumerate(pairs))
    assert task_from_dataset(dataset, "two").n_pairs == 2


def test_lines_of_jsonl_that_are_no_rows(tmp_path):
    lines = ['{"clean": "a\u2028b"}', "", "{", "[1]", "   ", '{"wrong": 1}', '"x"', "[" * 100_000]
    table = read(tmp_path / "a.jsonl", "\ufeff" + "\r\n".join(lines))
    assert [row.number for row in table.rows] == [1, 6]
    assert table.rows[0].cells == {"clean": "a\u2028b"}
    assert table.columns == ("clean", "wrong")
    first, *others = problems_of(table)
    assert first.startswith("row 3: is no JSON: ")
    assert others[0] == "row 4: must be a JSON object, got [1]"
    assert others[1] == "row 7: must be a JSON object, got 'x'"
    assert others[2].startswith("row 8: is no JSON")


def test_a_number_that_python_refuses_is_a_problem_of_its_row(tmp_path):
    table = read(tmp_path / "a.jsonl", '{"clean": ' + "9" * 5000 + '}\n{"clean": "a"}\n')
    assert [row.number for row in table.rows] == [2]
    assert problems_of(table)[0].startswith("row 1: is no JSON")


@pytest.mark.parametrize("indent", [None, 1])
def test_one_json_list_is_told_once(tmp_path, indent):
    table = read(tmp_path / "a.jsonl", json.dumps([{"clean": "a"}, {"clean": "b"}], indent=indent))
    assert problems_of(table) == [
        "the file is one JSON list; write one object ({...}) on each line, without the list"
    ]


@pytest.mark.parametrize(
    ("mark", "name"), [(";", "semicolons"), ("\t", "tabs"), ("|", "vertical bars")]
)
@pytest.mark.parametrize("quote", ["", '"'])
def test_other_separators_are_told_once(tmp_path, mark, name, quote):
    header = mark.join(f"{quote}{column}{quote}" for column in ("clean", "wrong"))
    table = read(tmp_path / "a.csv", f"{header}\na, b{mark}c\nd{mark}e\n")
    assert problems_of(table) == [
        f"columns are separated by {name}, and must be by commas; save the file with commas"
    ]


def test_rows_of_csv_are_counted_as_a_spreadsheet_does(tmp_path):
    content = 'clean,correct\n"two\nlines",a\n\nb,c,d\ne\nf,"g"h\ni,j\n'
    table = read(tmp_path / "a.csv", content)
    assert [(row.number, row.cells) for row in table.rows] == [
        (2, {"clean": "two\nlines", "correct": "a"}),
        (7, {"clean": "i", "correct": "j"}),
    ]
    few, many, torn = problems_of(table)
    assert few.startswith("row 4: has 3 cells, the header has 2; put a text with commas in quotes")
    assert many.startswith("row 5: has 1 cells")
    assert torn.startswith("row 6: is no CSV")


@pytest.mark.parametrize(
    ("cell", "read_as"),
    [
        (" she", " she"),
        ('[" she", " her"]', [" she", " her"]),
        ('["]"]', ["]"]),
        ("[", "["),
        ("[]", []),
        ("[3]", "[3]"),
        ("[" * 100_000, "[" * 100_000),
    ],
)
def test_an_answer_cell_of_csv_is_one_answer_or_a_list(tmp_path, cell, read_as):
    quoted = cell.replace('"', '""')
    columns = Columns(wrong="foil")
    content = f'clean,foil\n"{quoted}","{quoted}"\n'
    assert read(tmp_path / "a.csv", content, columns).rows[0].cells == {
        "clean": cell,
        "foil": read_as,
    }


def test_headers_of_csv_that_are_none(tmp_path):
    path = tmp_path / "a.csv"
    assert problems_of(read(path, "a,b,a\n1,2,3\n")) == ["columns have the same name: 'a'"]
    assert problems_of(read(path, '"a"b,c\n1,2\n'))[0].startswith("the header is no CSV")
    assert read(path, "").columns == ()


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(TaskError, match="is neither JSONL nor CSV by its name"):
        read_file(tmp_path / "a.xlsx", Columns())
    with pytest.raises(TaskError, match="is neither JSONL nor CSV by its name"):
        pairs_to_bytes([], Path("a.txt"))
    with pytest.raises(TaskError, match=r"none.csv cannot be read: No such file"):
        read_file(tmp_path / "none.csv", Columns())
    with pytest.raises(TaskError, match="line 2 is no UTF-8"):
        read(tmp_path / "a.jsonl", b'{"clean": "a"}\n{"clean": "\xff"}')
