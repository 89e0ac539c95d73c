"""Tasks that other packages bring."""

import sys

import pytest

from circuits.errors import TaskError
from circuits.runtime.registry import PluginWarning
from circuits.tasks import get_task, list_tasks
from circuits.tasks.registry import TASKS
from tests.circuits.packages import install_package

MODULE = '''
from {package} import PromptPair, Task, register_task

class Opposites(Task):
    """Say the opposite."""
    name = "opposites"
    description = "Say the opposite."
    def draw(self, rng, variant, words):
        return PromptPair("hot is not", "big is not", (" cold",), (" small",))

@register_task
class Registered(Opposites):
    name = "registered"

class Clash(Opposites):
    name = "ioi"

not_a_task = 5
'''


@pytest.fixture(params=["tasks", "circuits.tasks"])
def install(request, tmp_path, monkeypatch, private_registry):
    """Put packages with entry points on the path, and forget them afterwards."""
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "some_tasks.py").write_text(MODULE.format(package=request.param))
    (tmp_path / "broken_tasks.py").write_text("raise OSError('no weights\\nhere')")
    monkeypatch.setattr(TASKS, "_broken", None)

    def installed(package, **tasks):
        install_package(tmp_path, package, TASKS.group, tasks)

    yield installed
    for name in ("some_tasks", "broken_tasks"):
        sys.modules.pop(name, None)


def test_a_package_brings_a_class_or_a_module(install, piece_tokenizer):
    install("some-package", opposites="some_tasks:Opposites")
    assert "opposites" in list_tasks()
    assert get_task("opposites").sample(piece_tokenizer, n=1).task == "opposites"
    assert get_task("registered").name == "registered"


def test_a_module_registers_its_own(install):
    install("some-package", anything="some_tasks")
    assert get_task("registered").name == "registered"
    assert "opposites" not in list_tasks()


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        ("broken_tasks:Task", "OSError: no weights)"),
        ("no_such_module:Task", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("some_tasks:Missing", "AttributeError: "),
        ("some_tasks:not_a_task", "5 is no task: it must be a subclass of Task"),
        ("some_tasks:Clash", "the task name 'ioi' of Clash is taken by IOI"),
    ],
)
def test_a_broken_package_is_named_and_the_rest_goes_on(install, value, reason):
    install("bad-package", bad=value)
    install("some-package", opposites="some_tasks:Opposites")
    with pytest.warns(PluginWarning) as warned:
        assert "opposites" in list_tasks()
    assert len(warned) == 1
    message = str(warned[0].message)
    assert "the task 'bad' of package bad-package cannot be used (" in message
    assert reason in message
    assert get_task("ioi").name == "ioi"
    with pytest.raises(TaskError, match="task 'bad' of package bad-package cannot be used"):
        get_task("bad")


def test_built_in_tasks_do_not_wait_for_packages(install):
    install("bad-package", bad="broken_tasks:Task")
    assert get_task("ioi").name == "ioi"
    assert "broken_tasks" not in sys.modules
