"""Token spans: the pieces that tasks name, found among tokens by the tokenizer's offsets."""

import json
from dataclasses import replace

import pytest
import torch

from circuits.errors import InputError, TaskError
from circuits.tasks import Piece, PromptPair, Spans, get_task, open_task
from circuits.tasks.spans import read_pieces, token_labels
from circuits.tasks.text import filled, joined
from tests.circuits.prompts import ragged_pairs, word_tokenizer
from tests.circuits.tasks.fakes import PieceTokenizer

BUILT_IN = {
    "ioi": "name 1, name 2, place, subject, object, other, end",
    "greater-than": "start year, noun, end century, other, end",
    "induction": "A, B, sequence, repetition, end",
    "docstring": "earlier parameters, next parameter, later parameters, descriptions, "
    "documented parameters, other, end",
    "gendered-pronouns": "name, adjective, noun, other, end",
}


@pytest.mark.parametrize("name", BUILT_IN)
def test_built_in_tasks_name_their_pieces(name, tokenizer):
    pairs = get_task(name).sample(tokenizer, n=16).with_spans(tokenizer)
    # Where a century is one token, it is the end.
    assert set(BUILT_IN[name].split(", ")) - set(pairs.spans.names) <= {"end century"}
    assert set(pairs.spans.names) <= set(BUILT_IN[name].split(", "))
    for row, (text, pieces) in enumerate(zip(pairs.clean_text, pairs.pieces, strict=True)):
        for piece in pieces:
            assert text[piece.start : piece.stop].strip()
        first, end = int(pairs.first_difference[row]), int(pairs.end[row])
        span = pairs.span[row].tolist()
        assert all(place < 0 for place in (*span[:first], *span[end + 1 :]))
        assert all(place >= 0 for place in span[first : end + 1])
        assert pairs.spans.names[span[end]] == "end"


def test_the_names_of_ioi_are_where_the_names_stand(tokenizer):
    pairs = get_task("ioi").sample(tokenizer, n=4).with_spans(tokenizer)
    for row, pieces in enumerate(pairs.pieces):
        said = {piece.label: pairs.clean_text[row][piece.start : piece.stop] for piece in pieces}
        for label in ("name 1", "name 2", "subject"):
            (place,) = (pairs.span[row] == pairs.spans.names.index(label)).nonzero()
            assert tokenizer.decode(pairs.clean[row, place]).strip() == said[label]
        assert said["subject"] in (said["name 1"], said["name 2"])


def test_a_token_is_in_the_piece_that_has_most_of_it(tokenizer):
    text = "When Mary came"
    assert token_labels(tokenizer, text, [Piece("whole", 0, 9), Piece("part", 9, 10)])[:2] == (
        "whole",
        "whole",
    )
    assert token_labels(tokenizer, text, [Piece("space", 4, 5)]) == ("other", "other", "end")


def test_spans_stand_in_the_order_of_prompts_and_reach_what_is_behind_them():
    spans = Spans.of([["b", "a", "other", "end"], ["other", "b", "end"]])
    assert spans.names == ("b", "a", "other", "end")
    assert spans.reached == ((0, 1, 2, 3), (1, 2, 3), (0, 2, 3), (3,))


def test_labels_of_others_prompts_must_be_known():
    pairs = ragged_pairs(3)
    labels = [["a"] * int(end) + ["end"] for end in pairs.end]
    named = pairs.labelled(labels)
    other = [["b"] * int(end) + ["end"] for end in pairs.end]
    assert named.labelled(labels, named.spans).span.equal(named.span)
    with pytest.raises(TaskError, match="have a span 'b', which is none of those of the prompts"):
        pairs.labelled(other, named.spans)


def test_spans_are_part_of_what_effects_depend_on_and_pieces_are_not():
    pairs = ragged_pairs(3)
    labels = [["a"] * int(end) + ["end"] for end in pairs.end]
    named = pairs.labelled(labels)
    assert replace(pairs, pieces=((Piece("a", 0, 1),),) * 3).digest == pairs.digest
    later = pairs.labelled([[*of[:4], "b", *of[5:]] for of in labels])
    digests = {one.digest for one in (pairs, named, later)}
    assert len(digests) == 3


def test_choosing_prompts_keeps_their_spans():
    pairs = ragged_pairs(4)
    named = pairs.labelled([["a"] * int(end) + ["end"] for end in pairs.end])
    some = named[torch.tensor([2, 0])]
    assert some.span.equal(named.span[[2, 0]])
    assert some.spans == named.spans


def test_a_task_that_names_nothing_has_no_spans():
    with pytest.raises(TaskError, match="task 'random' names no pieces of its prompts"):
        ragged_pairs(3).with_spans(word_tokenizer())


def test_a_tokenizer_that_does_not_say_where_tokens_stand_is_refused():
    with pytest.raises(TaskError, match="does not say which characters a token has"):
        token_labels(PieceTokenizer(), "w1 w2", [Piece("first", 0, 2)])


@pytest.mark.parametrize("name", ["", "a@b", "a -> b", " a", "a\nb", "a" * 61])
def test_names_that_could_not_be_read_back_are_refused(name):
    with pytest.raises(InputError, match="a span is named in 1 to 60 characters on one line"):
        Spans((name, "end"), ((0, 1), (1,)))


@pytest.mark.parametrize(
    ("names", "reached", "reason"),
    [
        (("end", "end"), ((0,), (1,)), "of different names"),
        ((), (), "at least one"),
        (("a", "end"), ((0, 2), (1,)), "of places 0 to 1"),
        (("end", "a"), ((0,), (0, 1)), "the last span must be 'end'"),
    ],
)
def test_spans_that_do_not_fit_together_are_refused(names, reached, reason):
    with pytest.raises(InputError, match=reason):
        Spans(names, reached)


def test_pieces_are_where_their_text_is():
    text, pieces = filled("The {noun} of {year}.", {"noun": "war", "year": "1732"}, {"year": "y"})
    assert (text, pieces) == ("The war of 1732.", (Piece("y", 11, 15),))
    assert joined([("a", "x"), ("", "y"), ("b", "")]) == ("ab", (Piece("x", 0, 1),))
    assert PromptPair("a", "b", (" c",), (" d",)).pieces == ()


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        ("Mary", r"must be a list of pieces, \{\"label\": .*got 'Mary'"),
        ([{"label": "name"}], "must be a list of pieces"),
        ([{"label": "name", "start": 5, "stop": 9.0}], "must be a list of pieces"),
        ([{"label": "name", "start": 2, "stop": 9}], "characters 2 to 9 of 8"),
        ([{"label": "a@b", "start": 0, "stop": 4}], "has a label that cannot be one: a span is"),
    ],
)
def test_a_cell_that_names_no_pieces_is_refused(cell, message):
    with pytest.raises(TaskError, match=message):
        read_pieces(cell, "Mary and")


def test_rows_name_pieces(tmp_path):
    """One row need not name any; they are part of what the table is."""
    rows = [
        {"clean": f"w{n} w1", "corrupted": "w2 w1", "correct": "w3", "wrong": "w4"} for n in (5, 6)
    ]
    path = tmp_path / "mine.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    plain = open_task(str(path)).table.digest
    rows[0]["pieces"] = [{"label": "first", "start": 0, "stop": 2}]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = open_task(str(path))
    assert [numbered.pair.pieces for numbered in task.table.pairs] == [(Piece("first", 0, 2),), ()]
    assert task.table.digest != plain
    with pytest.raises(TaskError, match=r"column 'parts' is missing.*\?pieces=NAME"):
        open_task(f"{path}?pieces=parts")
