"""What can be used and was probably not meant is told; what is meant is not."""

import warnings

import pytest
from tokenizers.processors import TemplateProcessing

from circuits import discover_circuit
from circuits.errors import TaskError
from circuits.model.native import word_tokenizer
from circuits.model.tokenizers import remember_tokenizer
from circuits.tasks import PromptPair, PromptWarning, Task, task_from_file
from circuits.tasks.tokenization import PairEncoder, token_ids
from tests.circuits.families import tiny_model
from tests.circuits.tasks.fakes import PieceTokenizer
from tests.circuits.tasks.test_custom import row, written


def words():
    """Words, names and numbers of two digits are one piece, with a space before them or without."""
    return PieceTokenizer(r" ?(?:Mary|John)| ?\d\d| ?[a-z]+| ?\S")


class Fixed(Task):
    """The pairs that it is given, in their order."""

    name, description = "fixed", "Say what follows."

    def __init__(self, *pairs):
        self.pairs, self.n_variants = pairs, len(pairs)

    def draw(self, rng, variant, words):
        return self.pairs[variant]


def pair(clean, corrupted, correct=" Mary", wrong=" John", template=0):
    return PromptPair(clean, corrupted, (correct,), (wrong,), template)


DOUBTFUL = {
    "no space": (
        [pair("a gift to", "a loan to", "Mary", "John")],
        r"answers such as 'Mary' have no space before them, .*'toMary'.*' Mary' is one token",
    ),
    "no space before a wrong one": (
        [pair("a gift to", "a loan to", " Mary", "John")],
        r"answers such as 'John' have no space",
    ),
    "lengths": (
        [pair("a gift to", "a loan to"), pair("one more gift to", "one more loan to")],
        r"prompts of one template differ in length \(0\)",
    ),
    "ids": (
        [pair("[101, 7592, 2]", "[101, 7593, 2]")],
        r"'\[101, 7592, 2\]' look like token ids",
    ),
}
MEANT = {
    "a number": [pair("from 17", "from 18", "32", "11")],
    "behind a sign": [pair("1 + 1 =", "1 + 2 =", "2", "3")],
    "with a space": [pair("a gift to", "a loan to")],
    "text without spaces": [pair("贈り物は", "借り物は", "花", "本")],
    "templates": [pair("a gift to", "a loan to"), pair("a b c d", "a b e d", template=1)],
}


@pytest.mark.parametrize("kind", DOUBTFUL)
def test_what_was_probably_not_meant_is_told_once(kind):
    pairs, said = DOUBTFUL[kind]
    task = Fixed(*pairs)
    with pytest.warns(PromptWarning, match=f"task 'fixed': .*{said}") as told:
        task.sample(words(), n=len(pairs))
    assert len(told) == 1
    task.sample(words(), n=len(pairs))


@pytest.mark.parametrize("kind", MEANT)
def test_what_may_be_meant_is_not_told(kind):
    Fixed(*MEANT[kind]).sample(words(), n=len(MEANT[kind]))


def test_what_only_goes_on_is_not_told():
    """Behind a space it would be several tokens."""
    tokenizer = PieceTokenizer(r" ?(?:I|am|unhappi|unlucki)|ness|n| ")
    Fixed(pair("I am unhappi", "I am unlucki", "ness", "n")).sample(tokenizer, n=1)


@pytest.fixture
def framed():
    """A tokenizer that puts <s> before every text and </s> behind it."""
    tokenizer = word_tokenizer(["w0", "w1", "w2", "w3", "w4", "<s>", "</s>"])
    tokenizer.add_special_tokens({"bos_token": "<s>", "eos_token": "</s>"})
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 5), ("</s>", 6)]
    )
    assert tokenizer("w1 w2")["input_ids"] == [5, 1, 2, 6]
    return tokenizer


def test_an_end_token_is_left_out(framed):
    assert token_ids(framed, "w1 w2") == [5, 1, 2]
    assert token_ids(framed, "w1 </s>") == [5, 1, 6], "where it is part of the text, it stays"
    encoded = PairEncoder(framed).encode(pair("w1 w2", "w3 w2", " w4", " w0"))
    assert (encoded.clean, encoded.correct, encoded.wrong) == ((5, 1, 2), (4,), (0,))


def test_a_start_token_that_is_read_twice(framed):
    doubled = pair("<s> w1 w2", "<s> w3 w2", " w4", " w0")
    with pytest.warns(PromptWarning, match=r"begin with '<s>', .* reads it twice"):
        Fixed(doubled).sample(framed, n=1)
    Fixed(pair("w1 w2", "w3 w2", " w4", " w0")).sample(framed, n=1)


def test_a_search_tells_it_as_the_check_of_a_table_does(tmp_path):
    bridge = tiny_model("gpt2")
    remember_tokenizer(bridge, tokenizer := word_tokenizer([f"w{n}" for n in range(101)]))
    rows = [
        row(
            n,
            clean=f"w{n} w1" + " w2" * (n % 2),
            corrupted=f"w{n} w3" + " w2" * (n % 2),
            correct=" w5",
            wrong=" w6",
            template="same",
        )
        for n in range(8, 16)
    ]
    path = written(tmp_path / "mine.jsonl", rows)
    (told,) = task_from_file(path).check(tokenizer).doubts
    assert told.startswith("prompts of one template differ in length (0)")
    with pytest.warns(PromptWarning) as warned:
        discover_circuit(bridge, str(path), method="app", n_prompts=8, n_mean_prompts=8)
    assert [str(one.message) for one in warned if one.category is PromptWarning] == [
        f"task 'mine': {told}"
    ]


MISREAD = {
    "[' she', ' her']": "it is a list as text",
    '[" she", " her"]': "it is a list as text",
    "0     she\n1     her\nName: a, dtype: object": "it is a pandas Series as text",
    " she; her": "write several answers as a list of texts",
    " she, her": "write several answers as a list of texts",
    " 12 345": "choose an answer that is one token",
}


@pytest.mark.parametrize("answer", MISREAD)
def test_what_an_answer_seems_to_be(answer):
    encoder = PairEncoder(PieceTokenizer(r" ?\w+|."))
    with pytest.raises(TaskError, match=MISREAD[answer]):
        encoder.encode(pair("she said that", "he said that", answer, " he"))


def test_an_answer_that_may_be_an_id():
    encoder = PairEncoder(PieceTokenizer(r" ?[a-z]+|\d"))
    with pytest.raises(TaskError, match="where it is a token id, write its text"):
        encoder.encode(pair("she said that", "he said that", "4093", " he"))


@pytest.mark.parametrize("part", ["clean", "corrupted", "correct"])
def test_texts_without_tokens(part):
    texts = {"clean": "a b", "corrupted": "c b", "correct": " d"}
    encoder = PairEncoder(PieceTokenizer(r" ?[a-z]+"))
    said = "has no tokens" if part != "correct" else "is not exactly one token"
    with pytest.raises(TaskError, match=said):
        encoder.encode(pair(**{**texts, part: "!"}, wrong=" e"))


def test_warnings_are_errors_here():
    """Or the tests of what is not told would pass whatever is told."""
    with pytest.raises(UserWarning):
        warnings.warn("told", PromptWarning, stacklevel=1)
