"""Batches as TOML files: what they may say, and what is wrong with others."""

from __future__ import annotations

import pytest

from circuits import DiscoveryConfig, PruningRule
from circuits.errors import FormatError
from circuits.search import SelectionRule
from circuits.studies import Batch, read_batch

WHOLE = """
models = ["smollm2-135m", "gpt2"]
tasks = ["ioi", "induction"]
methods = [
    "in-context",
    {method = "app", threshold = 2, score_share = 0.8},
    {method = "app", name = "loose", threshold = 1.0, memory_bytes = "1GiB"},
]
seeds = [3, 5]
dtype = "bfloat16"

[settings]
n_prompts = 8

[slurm]
partition = "gpu"
"""


@pytest.fixture
def read(tmp_path):
    def reading(text: str) -> Batch:
        path = tmp_path / "batch.toml"
        path.write_text(text)
        return read_batch(path)

    return reading


def test_all_that_it_may_say(read) -> None:
    batch = read(WHOLE)
    app = DiscoveryConfig(
        method="app",
        n_prompts=8,
        selection=SelectionRule(threshold=2.0),
        pruning=PruningRule("share", score_share=0.8),
    )
    loose = DiscoveryConfig(
        method="app", n_prompts=8, selection=SelectionRule(threshold=1.0), memory_bytes=2**30
    )
    methods = {"in-context": DiscoveryConfig(n_prompts=8), "app": app, "loose": loose}
    assert batch == Batch(
        ("smollm2-135m", "gpt2"),
        ("ioi", "induction"),
        methods,
        (3, 5),
        "bfloat16",
        options={"slurm": {"partition": "gpu"}},
    )
    assert len(batch.runs()) == 24


def test_tasks_are_enough(read) -> None:
    expected = Batch(("smollm2-135m",), ("ioi",), {"in-context": DiscoveryConfig()}, (0,))
    assert read('tasks = ["ioi"]') == expected


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("tasks = [", "is no TOML file: "),
        ('task = ["ioi"]', "unknown key 'task'; did you mean 'tasks'? known keys: models, tasks, "),
        ("", "tasks must name at least one, got none"),
        ('tasks = "ioi"', 'tasks must be a list of names, such as ["a", "b"], got \'ioi\''),
        ('tasks = ["ioy"]', "unknown task 'ioy'; did you mean 'ioi'?"),
        ('models = ["gtp2"]', "there is no model 'gtp2'"),
        ("methods = 7", "methods must be a list, got 7"),
        ("methods = [7]", "a method is a name, or a table of settings with `method`; got 7"),
        ("methods = [{threshold = 1.0}]", "a table of settings with `method`; got {"),
        ('methods = ["appp"]', "method 'appp': unknown method 'appp'; did you mean 'app'?"),
        ('methods = ["app", "app"]', "two methods are called 'app'"),
        ('methods = [{method = "app", name = 1}]', "the name of a method must be text, got 1"),
        ('methods = [{method = "app", treshold = 1.0}]', "did you mean 'threshold'?"),
        ('methods = [{method = "app", threshold = "x"}]', "threshold must be a number, got 'x'"),
        ('methods = [{method = "app", threshold = -1}]', "threshold must be above 0, got -1.0"),
        ("methods = [{method = 'app', seed = 1}]", "seed is no setting of a batch"),
        ("settings.n_prompts = 1.5", "n_prompts must be a whole number, got 1.5"),
        ("settings.n_prompts = true", "n_prompts must be a whole number, got True"),
        ("settings.verify = 1", "verify must be true or false, got 1"),
        ("settings.threshold = 1.0", "method 'in-context' has no use for threshold"),
        ("settings = 1", "settings must be a table, [settings], got 1"),
        ("slurm = 1", "slurm must be a table, [slurm], got 1"),
        ("seeds = 0", "seeds must be at least 1"),
        ("seeds = [0, 0]", "each seed can be run once; got 0, 0"),
        ('seeds = "two"', "seeds must be a whole number or a list of them, got 'two'"),
        ("seeds = true", "seeds must be a whole number or a list of them, got True"),
        ("dtype = 32", "dtype must be text, got 32"),
    ],
)
def test_what_is_wrong_is_said_with_the_files_name(read, tmp_path, text, words) -> None:
    whole = text if not text or text.startswith("task") else f'tasks = ["ioi"]\n{text}'
    with pytest.raises(FormatError) as raised:
        read(whole)
    assert str(raised.value).startswith(str(tmp_path / "batch.toml"))
    assert words in str(raised.value)
