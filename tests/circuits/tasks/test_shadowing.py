"""A `tasks.py` of one's own beside a script hides the package `tasks`, and breaks nothing."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from circuits.tasks import get_task

ROOT = Path(__file__).parents[3]
MINE = '''
from circuits.tasks import PromptPair, Task, register_task

@register_task
class Opposites(Task):
    """Say the opposite."""
    name = "opposites"
    description = "Say the opposite."
    def draw(self, rng, variant, words):
        return PromptPair("hot is not", "big is not", (" cold",), (" small",))
'''
BOTH_WORK = """
from circuits.tasks import get_task, list_tasks

assert get_task("ioi").name == "ioi"
assert get_task("opposites").__class__ is tasks.Opposites
assert (list_tasks()[0], list_tasks()[-1]) == ("ioi", "opposites")
print(tasks.__file__)
"""
SAMPLES = """
from circuits.model import load_tokenizer
from circuits.model.tokenizers import remember_tokenizer
from circuits.tasks import IOI
from tests.circuits.families import tiny_model

class Sampled(Exception):
    pass

def sample_and_stop(self, *args, **settings):
    raise Sampled(sample(self, *args, **settings).clean_text[0])

sample, IOI.sample = IOI.sample, sample_and_stop
model = tiny_model("llama")
remember_tokenizer(model, load_tokenizer("smollm2-135m"))
try:
    discover_circuit(model, "ioi", n_prompts=4)
except Sampled as sampled:
    print(sampled)
"""


@pytest.fixture
def run(tmp_path):
    """Run a script beside a `tasks.py` in a directory of its own; gives the lines it prints."""
    (tmp_path / "tasks.py").write_text(MINE)

    def ran(*parts):
        script = tmp_path / "script.py"
        script.write_text("".join(parts))
        done = subprocess.run(
            [sys.executable, script.name],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    return ran


@pytest.mark.parametrize(
    "imports",
    [
        "from circuits import discover_circuit\nimport tasks\n",
        "import tasks\nfrom circuits import discover_circuit\n",
    ],
)
def test_both_are_imported(run, tmp_path, imports):
    assert run(imports, BOTH_WORK) == [str(tmp_path / "tasks.py")]


def test_a_built_in_task_is_sampled_by_name(run, tmp_path, smollm2_tokenizer):
    imports = "from circuits import discover_circuit\nimport tasks\n"
    (first,) = get_task("ioi").sample(smollm2_tokenizer, n=1, seed=0).clean_text
    assert run(imports, BOTH_WORK, SAMPLES) == [str(tmp_path / "tasks.py"), first]
