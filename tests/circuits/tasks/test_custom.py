"""Tasks whose pairs are the rows of a table."""

import json
from pathlib import Path

import pytest
import torch

from circuits.errors import TaskError
from circuits.tasks import (
    Columns,
    RowsError,
    get_task,
    list_tasks,
    task_from_dataset,
    task_from_file,
)
from tests.circuits.tasks.fakes import PieceTokenizer

TENSORS = ("clean", "corrupted", "end", "correct", "wrong", "template")


def row(number, **change):
    usual = {"clean": f"The {number} cat is", "corrupted": f"The {number} dog is"}
    return {**usual, "correct": " here", "wrong": [" there", " gone"], **change}


def written(path, rows):
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))
    return path


@pytest.fixture
def file(tmp_path):
    return written(tmp_path / "cats.jsonl", [row(number) for number in range(8)])


def test_rows_are_sampled_by_the_seed(file, piece_tokenizer):
    task = task_from_file(file)
    assert (task.name, task.spec, task.n_pairs) == ("cats", str(file), 8)
    whole = task.sample(piece_tokenizer, n=8, seed=0)
    assert whole.task == "cats"
    assert sorted(whole.clean_text) == [f"The {number} cat is" for number in range(8)]
    assert task.sample(piece_tokenizer, n=3, seed=0).clean_text == whole.clean_text[:3]
    assert task.sample(piece_tokenizer, n=8, seed=1).clean_text != whole.clean_text
    assert task.all_pairs(piece_tokenizer).clean_text == tuple(sorted(whole.clean_text))
    assert task.example() == task.example(seed=0)


def test_more_than_there_are_and_none_at_all(file, piece_tokenizer):
    task = task_from_file(file)
    with pytest.raises(TaskError, match=r"'cats' was asked for 9 distinct pairs and has 8; ask"):
        task.sample(piece_tokenizer, n=9)
    with pytest.raises(TaskError, match="n must be at least 1"):
        task.sample(piece_tokenizer, n=0)


def test_every_problem_that_a_tokenizer_finds_is_told(tmp_path, piece_tokenizer):
    rows = [
        row(0),
        row(1, corrupted="The 1 big dog is", correct=["here", " here and now"], wrong=" gone"),
        row(2, wrong=" ?!"),
        row(3, clean="The 3 cat is ", corrupted="The 3 dog is ", correct="here"),
        row(4),
    ]
    task = task_from_file(written(tmp_path / "cats.jsonl", rows))
    report = task.check(piece_tokenizer)
    assert report.n_rows == 5
    assert [pair.text.clean for pair in report.usable] == ["The 0 cat is", "The 4 cat is"]
    found = [str(problem) for problem in report.problems]
    assert [text.partition(":")[0] for text in found] == ["row 2"] * 3 + ["row 3", "row 4"]
    assert "the clean prompt has 4 tokens and the corrupted one 5" in found[0]
    assert found[1].endswith("with a leading space it is: ' here'")
    assert "' here and now' is not exactly one token" in found[2]
    assert "' ?!' is not exactly one token" in found[3]
    assert "move the space at the end of the prompts" in found[4]
    with pytest.raises(RowsError, match=r"^cats: 3 of 5 rows cannot be used: row 2: ") as error:
        task.sample(piece_tokenizer, n=1)
    assert error.value.problems == report.problems


def test_rows_that_no_tokenizer_could_use_are_refused_at_once(tmp_path, piece_tokenizer):
    file = written(tmp_path / "cats.jsonl", [row(0), row(1, clean="")])
    with pytest.raises(RowsError, match=r"cats.jsonl: 1 of 2 rows cannot be used: row 2: column"):
        task_from_file(file)
    lenient = task_from_file(file, strict=False)
    assert len(lenient.check(piece_tokenizer).usable) == 1
    nothing = task_from_file(written(file, [row(0, clean="")]), strict=False)
    with pytest.raises(RowsError, match="1 of 1 rows"):
        nothing.example()


def test_without_templates_prompts_of_equal_length_share_one(tmp_path, piece_tokenizer):
    longer = {"clean": "The one old cat is", "corrupted": "The one old dog is"}
    rows = [row(0), row(1, **longer), row(2)]
    task = task_from_file(written(tmp_path / "a.jsonl", rows))
    assert task.all_pairs(piece_tokenizer).template.tolist() == [4, 5, 4]
    assert task.check(piece_tokenizer).uneven_templates == ()
    labelled = [{**one, "template": "is"} for one in rows]
    task = task_from_file(written(tmp_path / "b.jsonl", labelled))
    assert task.all_pairs(piece_tokenizer).template.tolist() == [0, 0, 0]
    assert task.check(piece_tokenizer).uneven_templates == (0,)


def test_some_templates_by_chance_of_the_seed(tmp_path, piece_tokenizer):
    rows = [row(number, template=f"label {number % 4}") for number in range(12)]
    task = task_from_file(written(tmp_path / "cats.jsonl", rows))
    drawn = [task.sample(piece_tokenizer, n=6, seed=s, n_templates=2) for s in range(6)]
    kept = [frozenset(pairs.template.tolist()) for pairs in drawn]
    assert {len(labels) for labels in kept} == {2}
    assert len(set(kept)) > 1
    with pytest.raises(TaskError, match=r"asked for 7 distinct pairs and has 6"):
        task.sample(piece_tokenizer, n=7, n_templates=2)
    with pytest.raises(TaskError, match=r"has 4 templates, and 5 of them were asked for"):
        task.sample(piece_tokenizer, n=4, n_templates=5)


def test_answers_are_tokenized_behind_their_own_prompt(tmp_path):
    """This tokenizer merges across spaces, so that a shared last word settles nothing."""
    tokenizer = PieceTokenizer(r" old cat is here| ?\w+")
    old = row(1, clean="An old cat is", corrupted="An old dog is")
    report = task_from_file(written(tmp_path / "a.jsonl", [row(0), old])).check(tokenizer)
    assert [problem.row for problem in report.problems] == [2]
    assert "' here' is not exactly one token" in report.problems[0].message


class CountingTokenizer(PieceTokenizer):
    n_texts = 0

    def __call__(self, text):
        self.n_texts += 1
        return super().__call__(text)


def test_of_a_large_table_only_what_is_drawn_is_tokenized(tmp_path):
    rows = [row(number, wrong=" there") for number in range(2000)]
    task = task_from_file(written(tmp_path / "large.jsonl", rows))
    tokenizer = CountingTokenizer()
    few = task.sample(tokenizer, n=8, seed=3)
    assert tokenizer.n_texts <= 8 * 4
    small = task_from_file(written(tmp_path / "small.jsonl", rows[:1000]))
    small.sample(tokenizer, n=8)
    assert tokenizer.n_texts > 1000 * 4
    assert task.sample(tokenizer, n=12, seed=3).clean_text[:8] == few.clean_text

    worst = int(few.clean_text[5].split()[1])
    rows[worst] = {**rows[worst], "wrong": " ?!"}
    task = task_from_file(written(tmp_path / "large.jsonl", rows))
    assert task.sample(tokenizer, n=5, seed=3).clean_text == few.clean_text[:5]
    with pytest.raises(RowsError, match=rf"^large: 1 of 8 rows cannot be used: row {worst + 1}: "):
        task.sample(tokenizer, n=8, seed=3)
    assert len(task.check(tokenizer).usable) == 1999


def test_columns_of_other_names_from_a_dataset(piece_tokenizer):
    from datasets import Dataset

    rows = [{"prompt": "a b", "corrupted": "a c", "correct": " x", "foil": " y", "extra": 1.0}]
    dataset = Dataset.from_list(rows)
    task = task_from_dataset(dataset, "mine", Columns(clean="prompt", wrong="foil"))
    assert task.all_pairs(piece_tokenizer).clean_text == ("a b",)
    with pytest.raises(RowsError, match=r"^mine: column 'clean' is missing, the columns are"):
        task_from_dataset(dataset, "mine")


@pytest.mark.parametrize("kind", ["dataset", "jsonl", "csv"])
def test_every_built_in_task_comes_back_equal(task_name, kind, smollm2_tokenizer, tmp_path):
    from circuits.tasks.tables import pairs_to_bytes

    task, n = get_task(task_name), 12
    pairs = task.sample(smollm2_tokenizer, n=n, seed=3)
    if kind == "dataset":
        back = task_from_dataset(task.to_dataset(smollm2_tokenizer, n=n, seed=3), task_name)
    else:
        path = tmp_path / f"{task_name}.{kind}"
        path.write_bytes(pairs_to_bytes(task.text_pairs(smollm2_tokenizer, n=n, seed=3), path))
        back = get_task(str(path))
    again = back.all_pairs(smollm2_tokenizer)
    assert again.task == task_name
    assert again.clean_text == pairs.clean_text
    assert again.corrupted_text == pairs.corrupted_text
    assert again.pieces == pairs.pieces
    for name in TENSORS:
        assert torch.equal(getattr(again, name), getattr(pairs, name)), name


def test_the_row_in_readme_can_be_used(smollm2_tokenizer, tmp_path):
    readme = Path(__file__).parents[3] / "README.md"
    rows = [json.loads(line) for line in readme.read_text().splitlines() if line[:9] == '{"clean":']
    task = task_from_file(written(tmp_path / "mine.jsonl", rows))
    assert len(task.all_pairs(smollm2_tokenizer)) == len(rows) == 1


def test_built_in_tasks_have_no_rows_of_their_own():
    assert all(get_task(name).digest is None for name in list_tasks())
