"""The next parameter of a Python docstring."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random
from typing import ClassVar

from circuits.tasks.base import Task, Words
from circuits.tasks.text import Piece, PromptPair, joined
from circuits.tasks.words import word_list

INDENT = "\n    "

# (first argument, parameters, parameters already documented, words per description)
SHAPES = (
    ("self", 4, 2, 2),
    ("self", 5, 2, 2),
    ("self", 4, 3, 2),
    ("self", 5, 3, 1),
    ("cls", 4, 2, 2),
    ("cls", 5, 2, 1),
    ("self", 6, 2, 2),
    ("self", 6, 3, 1),
    ("cls", 6, 2, 1),
)

EARLIER, NEXT, LATER = "earlier parameters", "next parameter", "later parameters"
DOCUMENTED, DESCRIPTION = "documented parameters", "descriptions"
"""What the pieces of a prompt are called: parameters of the signature, and of the docstring."""

PARAMETERS = word_list(
    """
    load size files last path name value key index data text mode count width height color style
    user page line file table result image model label item node root parent child source target
    start end length depth level order state status error message code token field query limit
    offset format filter group host port config options params args output input shape scale
    weight price date time year month score rank title body url tag category version
    """
)
FUNCTIONS = word_list(
    """
    port get set run load save build update create check read write parse find make send call test
    process handle apply show add remove open close start stop
    """
)
DESCRIPTIONS = word_list(
    """
    oil column piece crime population unit dark river summer market green church history paper
    house garden music water stone army island letter winter school metal horse doctor glass bread
    train forest mountain kitchen bridge sugar family coffee city village morning
    """
)


class Docstring(Task):
    """A function with a half-written docstring: the model must name the next parameter.

    After Heimersheim and Janiak 2023: `:param` lines document the first parameters of the
    signature, and the prompt ends where the next name is due. The corrupted prompt has other names
    in the signature and others again in the docstring. `correct` is the next
    parameter; `wrong` are all other parameters of the clean signature and the new names of the
    corrupted one.

    >>> pair = Docstring().example()
    >>> pair.clean.splitlines()[0], pair.correct
    ('def process(self, format, port, name, start):', (' name',))
    >>> pair.clean.splitlines()[2:]
    ['    :param format: summer stone', '    :param port: summer dark', '    :param']
    """

    name = "docstring"
    description = "Name the next parameter in the docstring of a Python method."
    source = (
        "Heimersheim and Janiak 2023, A circuit for Python docstrings in a 4-layer attention-only "
        "transformer, Alignment Forum"
    )
    n_variants = len(SHAPES)
    min_words = 24
    word_lists: ClassVar[Words] = {
        "parameter": PARAMETERS,
        "function": FUNCTIONS,
        "description": DESCRIPTIONS,
    }

    def draw(self, rng: Random, variant: int, words: Words) -> PromptPair:
        first, n_parameters, n_documented, n_words = SHAPES[variant]
        names = rng.sample(words["parameter"], 2 * n_parameters + n_documented)
        clean = names[:n_parameters]
        corrupted = names[n_parameters : 2 * n_parameters]
        documented = names[2 * n_parameters :]
        function = rng.choice(words["function"])
        texts = [
            " ".join(rng.sample(words["description"], n_words)) for _ in range(n_documented + 1)
        ]
        text, pieces = _prompt(function, [first, *clean], clean[:n_documented], texts)
        return PromptPair(
            clean=text,
            corrupted=_prompt(function, [first, *corrupted], documented, texts)[0],
            correct=(f" {clean[n_documented]}",),
            wrong=tuple(f" {n}" for n in (*clean, *corrupted) if n != clean[n_documented]),
            template=variant,
            pieces=pieces,
        )


def _prompt(
    function: str, signature: Sequence[str], documented: Sequence[str], texts: Sequence[str]
) -> tuple[str, tuple[Piece, ...]]:
    """The prompt, and where the pieces of it are that have names."""
    (first, *parameters), (title, *descriptions), n = signature, texts, len(documented)
    labels = [EARLIER] * n + [NEXT] + [LATER] * (len(parameters) - n - 1)
    parts = [(f"def {function}({first}", "")]
    for name, label in zip(parameters, labels, strict=True):
        parts += [(", ", ""), (name, label)]
    parts += [(f'):{INDENT}""" ', ""), (title, DESCRIPTION)]
    for name, text in zip(documented, descriptions, strict=True):
        parts += [(f"{INDENT}:param ", ""), (name, DOCUMENTED), (": ", ""), (text, DESCRIPTION)]
    return joined([*parts, (f"{INDENT}:param", "")])
