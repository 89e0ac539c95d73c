"""What can be said of rows without a tokenizer."""

import pytest

from circuits.tasks import Columns, PromptPair
from circuits.tasks.rows import Row, RowProblem, RowsError, Table, parse_table

GOOD = {"clean": "A b", "corrupted": "A c", "correct": " x", "wrong": [" y", " z"]}


def parsed(*rows, columns=None, **table):
    names = tuple(dict.fromkeys(name for row in rows for name in row))
    numbered = tuple(Row(number, row) for number, row in enumerate(rows, start=1))
    return parse_table(Table(names, numbered, **table), columns or Columns())


def problems(*rows, **settings):
    return [str(problem) for problem in parsed(*rows, **settings).problems]


def test_a_row_is_a_pair():
    table = parsed(GOOD)
    assert [(found.row, found.pair) for found in table.pairs] == [
        (1, PromptPair("A b", "A c", (" x",), (" y", " z")))
    ]
    assert not table.has_templates
    assert not table.problems


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"clean": ""}, "column 'clean' is empty"),
        ({"clean": " \n"}, "column 'clean' is empty"),
        ({"clean": None}, "column 'clean' must be text, got None"),
        ({"clean": "A \ud800"}, "column 'clean' must be text, got 'A \\ud800'"),
        ({"corrupted": 5}, "column 'corrupted' must be text, got 5"),
        ({"corrupted": "A b"}, "the clean and the corrupted prompt are the same: 'A b'"),
        ({"correct": []}, "column 'correct' is empty"),
        ({"correct": ""}, "column 'correct' is empty"),
        ({"wrong": [" y", ""]}, "column 'wrong' has an empty answer"),
        ({"wrong": 32}, "column 'wrong' must be a text or a list of texts, got 32"),
        ({"wrong": [" y", 3]}, "column 'wrong' must be a text or a list of texts"),
        ({"clean": [5, 3]}, "must be text, got [5, 3]; where these are token ids, write the text"),
        ({"wrong": [5, 3]}, "got [5, 3]; where these are token ids, write the text"),
        ({"clean": {"0": "A b"}}, "pandas writes such a file with to_json(orient='records', lines"),
        ({"wrong": [" x", " y"]}, "answers are both correct and wrong: ' x'"),
        ({"template": True}, "column 'template' must be a number or a text, got True"),
        ({"template": ""}, "column 'template' is empty"),
        ({"clean": ["x" * 99]}, "xx…"),
    ],
)
def test_a_problem_is_told_with_its_row(change, message):
    other = {**GOOD, "clean": "B b", "corrupted": "B c"}
    rows = [{**row, "template": 1} if "template" in change else row for row in (other, GOOD)]
    found = problems(rows[0], {**rows[1], **change})
    assert len(found) == 1
    assert found[0].startswith("row 2: ")
    assert message in found[0]


def test_all_problems_are_told_at_once():
    missing = {name: GOOD[name] for name in ("clean", "correct")}
    found = problems({**GOOD, "clean": 1, "wrong": []}, missing, GOOD, {**GOOD, "correct": " z"})
    assert found == [
        "row 1: column 'clean' must be text, got 1; where these are token ids, write the text that "
        "they stand for",
        "row 1: column 'wrong' is empty",
        "row 2: column 'corrupted' is missing",
        "row 2: column 'wrong' is missing",
        "row 4: answers are both correct and wrong: ' z'",
        "row 4: the clean prompt is that of row 3, too: 'A b'",
    ]


def test_a_column_that_no_row_has_is_told_once():
    row = {"prompt": "A b", "corrupted": "A c", "correct": " x", "foil": " y"}
    found = problems(row, row)
    assert len(found) == 2
    assert "column 'clean' is missing, the columns are: 'prompt', 'corrupted'" in found[0]
    assert "write ?wrong=NAME behind" in found[1]
    mapped = Columns(clean="prompt", wrong="foil")
    assert parsed(row, columns=mapped).pairs[0].pair == PromptPair("A b", "A c", (" x",), (" y",))


def test_no_rows():
    assert problems() == ["there are no rows"]
    assert problems(problems=(RowProblem(4, "is no JSON"),)) == ["row 4: is no JSON"]


@pytest.mark.parametrize(
    ("labels", "numbers"),
    [
        ([3, 0, -3], [3, 0, -3]),
        (["3", "0", "7"], [3, 0, 7]),
        (["baba", "abba", "baba"], [0, 1, 0]),
        (["1", "b", "1"], [0, 1, 0]),
        ([10**30, 4, 10**30], [0, 1, 0]),
    ],
)
def test_templates_are_numbers_or_numbered(labels, numbers):
    rows = [{**GOOD, "clean": f"{n}", "template": label} for n, label in enumerate(labels)]
    table = parsed(*rows)
    assert [found.pair.template for found in table.pairs] == numbers
    assert table.has_templates


def test_a_template_column_that_was_named_must_be_there():
    assert "column 'form' is missing" in problems(GOOD, columns=Columns(template="form"))[0]


def test_the_digest_is_of_the_pairs_alone():
    one_answer_listed = {**GOOD, "correct": [" x"], "note": "other"}
    assert parsed(GOOD).digest == parsed(one_answer_listed).digest
    for change in ({"clean": "A d"}, {"wrong": " y"}, {"template": 0}):
        assert parsed({**GOOD, **change}).digest != parsed(GOOD).digest


def test_an_error_tells_of_the_first_and_has_all():
    every = [RowProblem(row, "is empty") for row in range(1, 31)]
    error = RowsError("mine", 40, every)
    assert error.problems == tuple(every)
    assert str(error).startswith("mine: 30 of 40 rows cannot be used: row 1: is empty; row 2: is")
    assert "row 20: is empty; and 10 more problems (`circuits tasks check` lists" in str(error)
    assert "\n" not in str(error)
