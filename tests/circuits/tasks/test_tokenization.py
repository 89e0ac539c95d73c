import pytest

from circuits.errors import TaskError
from circuits.tasks import PromptPair, PromptPairs, Tokenizer
from circuits.tasks.tokenization import PairEncoder, single_token_words
from tests.circuits.tasks.fakes import PieceTokenizer


def pair(clean="one two", corrupted="one six", correct=(" yes",), wrong=(" no",)):
    return PromptPair(clean, corrupted, correct, wrong)


def test_real_tokenizers_are_tokenizers(tokenizer):
    assert isinstance(tokenizer, Tokenizer)


def test_only_words_that_are_one_token_after_a_space_are_kept(gpt2_tokenizer):
    words = ("Mary", "Bartholomew", "store", "two words")
    assert single_token_words(gpt2_tokenizer, words) == ("Mary", "store")


def test_tokens_that_the_tokenizer_adds_itself_stay():
    tokenizer = PieceTokenizer(prefix=[1])
    encoded = PairEncoder(tokenizer).encode(pair())
    assert encoded.clean[0] == encoded.corrupted[0] == 1
    assert encoded.correct == (tokenizer.ids[" yes"],)
    assert single_token_words(tokenizer, ["word"]) == ("word",)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (pair(corrupted="one six ten"), "clean prompt has 2 tokens and the corrupted one 3"),
        (pair(corrupted="one two"), "are the same: 'one two'"),
        (pair(correct=(" yes sir",)), "answer ' yes sir' is not exactly one token after 'one two'"),
        (pair(wrong=("no",)), "answer 'no' is not exactly one token"),
        (pair(wrong=(" no", " yes")), "both correct and wrong"),
        (pair(wrong=()), "needs a correct and a wrong answer"),
    ],
)
def test_unusable_pairs_are_refused(piece_tokenizer, bad, message):
    with pytest.raises(TaskError, match=message):
        PairEncoder(piece_tokenizer).encode(bad)


def test_an_answer_is_checked_after_each_new_last_word(piece_tokenizer):
    encoder = PairEncoder(piece_tokenizer)
    encoder.encode(pair(clean="one two.", corrupted="one six.", correct=("5",)))
    with pytest.raises(TaskError, match="answer '5' is not exactly one token"):
        encoder.encode(pair(clean="one three", correct=("5",)))


def test_a_tokenizer_that_ends_every_text_is_refused():
    class WithEnd(PieceTokenizer):
        def __call__(self, text):
            return {"input_ids": [*super().__call__(text)["input_ids"], 2]}

    with pytest.raises(TaskError, match="not exactly one token"):
        PairEncoder(WithEnd()).encode(pair())


@pytest.mark.parametrize(
    ("pad", "eos", "expected"), [(3, 4, 3), (None, 4, 4), (None, None, 0), (0, 4, 0)]
)
def test_short_prompts_are_padded_on_the_right(pad, eos, expected):
    tokenizer = PieceTokenizer(pad=pad, eos=eos)
    encoder = PairEncoder(tokenizer)
    long = pair(clean="one two six", corrupted="one six six", wrong=(" no", " never"))
    pairs = PromptPairs.of("made up", 0, tokenizer, [encoder.encode(pair()), encoder.encode(long)])
    assert pairs.clean.shape == (2, 3)
    assert pairs.clean[0, 2] == pairs.corrupted[0, 2] == expected
    assert pairs.end.tolist() == [1, 2]
    assert pairs.wrong[0, 1] == -1
    assert pairs.wrong[1, 1] == tokenizer.ids[" never"]
