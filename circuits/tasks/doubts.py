"""What prompts can hold, and what was probably not meant by it."""

from __future__ import annotations

import re
from collections.abc import Sequence

from circuits.errors import quoted
from circuits.tasks.text import PromptPair
from circuits.tasks.tokenization import EncodedPair, Tokenizer, token_ids

_LOOKED_AT = 64
"""Pairs of which answers are tokenized again, with a space before them."""
_IDS = re.compile(r"\s*\[\s*\d+(?:[\s,]+\d+)+\s*\]\s*")


class PromptWarning(UserWarning):
    """Prompts can be used, and are probably not what was meant: answers that lack their space, say.

    >>> import warnings
    >>> warnings.simplefilter("error", PromptWarning)
    """


def doubts(tokenizer: Tokenizer, pairs: Sequence[EncodedPair]) -> dict[str, str]:
    """What pairs were probably not meant to be: a sentence for each kind of doubt."""
    found = {
        "uneven": _uneven(pairs),
        "unspaced": _unspaced(tokenizer, pairs[:_LOOKED_AT]),
        "start": _start_twice(tokenizer, pairs),
        "ids": _ids(pairs),
    }
    return {kind: sentence for kind, sentence in found.items() if sentence}


def uneven_templates(pairs: Sequence[EncodedPair]) -> tuple[int, ...]:
    """Labels of the templates whose prompts differ in length."""
    lengths: dict[int, set[int]] = {}
    for pair in pairs:
        lengths.setdefault(pair.text.template, set()).add(len(pair.clean))
    return tuple(sorted(label for label, found in lengths.items() if len(found) > 1))


def _uneven(pairs: Sequence[EncodedPair]) -> str:
    labels = ", ".join(map(str, uneven_templates(pairs)))
    if not labels:
        return ""
    return (
        f"prompts of one template differ in length ({labels}): means over them mix positions; "
        "give each length its own template, or leave the column out"
    )


def _unspaced(tokenizer: Tokenizer, pairs: Sequence[EncodedPair]) -> str:
    for pair in pairs:
        for answer in (*pair.text.correct, *pair.text.wrong):
            if not _goes_on_with_a_word(pair.text, answer):
                continue
            spaced = token_ids(tokenizer, f"{pair.text.clean} {answer}")
            if (*pair.clean, *spaced[-1:]) == tuple(spaced):
                last = pair.text.clean.split()[-1]
                return (
                    f"answers such as {answer!r} have no space before them, so that they go on "
                    f"with the last word of the prompt ({last + answer!r}), and {' ' + answer!r} "
                    "is one token, too: where the next word is meant, put a space before every "
                    "answer"
                )
    return ""


def _goes_on_with_a_word(pair: PromptPair, answer: str) -> bool:
    """Whether a prompt ends in a letter and the answer begins with one, or with a digit.

    In a language that puts spaces between words, as far as the prompt tells.
    """
    has_spaces = " " in pair.clean.strip()
    return has_spaces and pair.clean[-1:].isalpha() and answer[:1].isalnum()


def _start_twice(tokenizer: Tokenizer, pairs: Sequence[EncodedPair]) -> str:
    start = getattr(tokenizer, "bos_token_id", None)
    for pair in pairs:
        if start is not None and pair.clean[:2] == (start, start):
            return (
                f"prompts such as {quoted(pair.text.clean)} begin with "
                f"{getattr(tokenizer, 'bos_token', start)!r}, which the tokenizer puts before "
                "every text, so that the model reads it twice: leave it out of the prompts"
            )
    return ""


def _ids(pairs: Sequence[EncodedPair]) -> str:
    for pair in pairs:
        if _IDS.fullmatch(pair.text.clean):
            return (
                f"prompts such as {quoted(pair.text.clean)} look like token ids, and the model "
                "reads their digits: write the text that they stand for"
            )
    return ""
