import pytest

from circuits.errors import TaskError
from circuits.tasks import PromptPair, Task, get_task, list_tasks, register_task

FIVE = ("ioi", "greater-than", "induction", "docstring", "gendered-pronouns")


class Colours(Task):
    """Four pairs in all."""

    name = "colours"
    description = "Say the colour again."
    word_lists = {"colour": ("red", "blue", "green", "grey")}  # noqa: RUF012

    def draw(self, rng, variant, words):
        colour, other = rng.sample(words["colour"], 2)
        return PromptPair(f"The {colour} one is", "The new one is", (f" {colour}",), (f" {other}",))


@pytest.fixture(autouse=True)
def _private(private_registry):
    pass


def test_the_five_in_their_order():
    assert list_tasks() == FIVE


def test_a_decorated_class_is_known_by_name(piece_tokenizer):
    assert register_task(Colours) is Colours
    assert list_tasks() == (*FIVE, "colours")
    pairs = get_task("colours").sample(piece_tokenizer, n=3)
    assert pairs.task == "colours"
    assert len(pairs) == 3


def test_a_task_is_returned_as_it_is():
    task = Colours()
    assert get_task(task) is task


def test_an_unknown_name_gets_the_known_ones_and_the_closest():
    with pytest.raises(TaskError) as error:
        get_task("greatr-than")
    assert str(error.value) == (
        "unknown task 'greatr-than'; did you mean 'greater-than'? known tasks: "
        + ", ".join(FIVE)
        + "; or give a JSONL or CSV file of your own"
    )
    with pytest.raises(TaskError, match=r"^unknown task 'xyz'; known tasks: ioi, "):
        get_task("xyz")


def test_a_name_is_given_once_but_a_class_may_be_defined_again():
    class Other(Colours):
        name = "ioi"

    with pytest.raises(TaskError, match="'ioi' of Other is taken by IOI"):
        register_task(Other)
    register_task(Colours)
    register_task(Colours)
    assert list_tasks().count("colours") == 1


def test_a_class_without_a_name_is_refused():
    class Nameless(Task):
        def draw(self, rng, variant, words):
            raise NotImplementedError

    with pytest.raises(TaskError, match="Nameless has no name"):
        register_task(Nameless)
