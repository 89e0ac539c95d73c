"""Files of data drawn from nothing, each value mostly of its kind and sometimes of any other."""

from __future__ import annotations

import json

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from tests.faults.material import WORDS

_SELDOM = 30
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)


def nearly(good: SearchStrategy) -> SearchStrategy:
    """A good value, or now and then anything at all."""
    return st.integers(0, _SELDOM).flatmap(lambda number: ANYTHING if number == 1 else good)


_heads = st.builds("{}.{}".format, st.integers(-1, 3), st.integers(-1, 5))
_receivers = st.just("logits") | st.builds("{}.{}".format, _heads, st.sampled_from("qkvx"))
_edges = st.fixed_dictionaries(
    {
        "sender": nearly(_heads),
        "receiver": nearly(_receivers),
        "effect": nearly(st.floats(-2, 2)),
    },
    optional={"certainty": ANYTHING, "other": ANYTHING},
)
_circuits = st.fixed_dictionaries(
    {
        "n_layers": nearly(st.integers(0, 3)),
        "n_heads": nearly(st.integers(0, 5)),
        "heads": nearly(st.lists(nearly(_heads), max_size=6)),
    },
    optional={"edges": nearly(st.lists(nearly(_edges), max_size=6)), "other": ANYTHING},
)
circuit_files = nearly(_circuits).map(json.dumps)
"""What `Circuit.to_json` writes, nearly."""


def _row(words: tuple[str, ...]) -> SearchStrategy:
    """A row that mostly can be used, over eight words."""
    same, other = " ".join(words[1:3]), " ".join(words[2:4])
    texts = st.sampled_from([f"{words[0]} {same}", f"{words[4]} {same}"])
    answers = st.sampled_from([f" {words[5]}", f" {words[6]}", [f" {word}" for word in words[5:]]])
    return st.fixed_dictionaries(
        {
            "clean": nearly(st.just(f"{words[5]} {same}")),
            "corrupted": nearly(texts | st.just(other)),
            "correct": nearly(answers),
            "wrong": nearly(answers | st.just(f" {words[7]}")),
        },
        optional={"template": nearly(st.integers(0, 2)), "other": ANYTHING},
    )


_rows = st.permutations(WORDS[1:9]).map(tuple).flatmap(_row)
table_files = st.lists(nearly(_rows).map(json.dumps), min_size=2, max_size=5).map("\n".join)
"""Tasks of one's own as JSON Lines, nearly."""
