"""Where a task of one's own can be."""

import json

import datasets
import pytest

from circuits.errors import TaskError
from circuits.tasks import get_task, open_task
from circuits.tasks.sources import is_spec

ROWS = [{"prompt": f"a {n}", "corrupted": "a c", "correct": " x", "wrong": " y"} for n in range(3)]


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    return path


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "mine"
    splits = {
        "train": datasets.Dataset.from_list(ROWS[:1]),
        "test": datasets.Dataset.from_list(ROWS),
    }
    datasets.DatasetDict(splits).save_to_disk(path)
    return path


def test_a_file_with_columns_of_other_names(file):
    spec = f"{file}?clean=prompt"
    assert is_spec(spec)
    task = get_task(spec)
    assert (task.name, task.spec, task.n_pairs) == ("mine", spec, 3)
    assert get_task(task.spec).digest == task.digest


def test_a_file_whose_name_has_a_question_mark(file, tmp_path):
    odd = tmp_path / "a?b=c.jsonl"
    odd.write_text(file.read_text().replace("prompt", "clean"))
    assert get_task(str(odd)).n_pairs == 3


@pytest.mark.parametrize("query", ["clean", "clean=", "=prompt", "cleen=prompt", "clean=a&&"])
def test_what_stands_behind_the_question_mark_is_checked(file, query):
    with pytest.raises(TaskError, match="is not understood; behind the question mark stands"):
        get_task(f"{file}?{query}")


def test_what_is_not_there_or_not_asked_for(file, tmp_path):
    for missing in ("none.jsonl", "sub/none.csv"):
        with pytest.raises(TaskError, match=f"there is no file or directory .*{missing}"):
            get_task(str(tmp_path / missing))
    with pytest.raises(TaskError, match="a file has no split; that is for datasets"):
        get_task(f"{file}?split=test")
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(TaskError, match="is neither JSONL nor CSV"):
        get_task(str(tmp_path / "mine.txt"))
    with pytest.raises(TaskError, match="is a directory that no dataset was saved to"):
        open_task(str(tmp_path))


def test_a_saved_dataset(saved, tmp_path):
    task = get_task(f"{saved}?split=test&clean=prompt")
    assert (task.name, task.n_pairs) == ("mine", 3)
    with pytest.raises(TaskError, match=r"name a split, as \?split=NAME; its splits are train, te"):
        get_task(str(saved))
    with pytest.raises(TaskError, match="there is no split 'dev'"):
        get_task(f"{saved}?split=dev")
    alone = saved / "test"
    assert get_task(f"{alone}?clean=prompt").n_pairs == 3
    with pytest.raises(TaskError, match="is one split, and not 'dev'"):
        get_task(f"{alone}?split=dev")
    (saved / "dataset_dict.json").write_text("{")
    with pytest.raises(TaskError, match="cannot be read"):
        get_task(str(saved))


def cut_short(content):
    return content[: len(content) // 2]


def of_other_bytes(content):
    return content.replace(b"a 0", b"a \xff")


@pytest.mark.parametrize("damaged", [cut_short, of_other_bytes])
def test_a_damaged_dataset_does_not_end_the_process(saved, damaged):
    (file,) = (saved / "test").glob("*.arrow")
    file.write_bytes(damaged(file.read_bytes()))
    with pytest.raises(TaskError, match=r"cannot be read .*save it again with Dataset"):
        get_task(f"{saved}?split=test&clean=prompt")


def test_a_dataset_of_the_hub(monkeypatch):
    asked = []

    def load_dataset(*where, **settings):
        asked.append((where, settings))
        return datasets.DatasetDict(train=datasets.Dataset.from_list(ROWS))

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    task = get_task("hf://datasets/someone/mine@v2?clean=prompt&config=small")
    assert (task.name, task.n_pairs) == ("mine", 3)
    assert asked == [(("someone/mine", "small"), {"revision": "v2"})]
    assert get_task("hf://datasets/someone/mine?clean=prompt&split=train").n_pairs == 3
    assert asked[1] == (("someone/mine", None), {"revision": None})


def test_a_hub_that_does_not_answer(monkeypatch):
    def load_dataset(*_, **__):
        raise ConnectionError("Couldn't reach it\nand more")

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    with pytest.raises(TaskError, match=r"someone/mine cannot be loaded: Couldn't reach it$"):
        get_task("hf://datasets/someone/mine")
