"""What a model can read: its tokens, its lengths, and padding of any number."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch

from circuits.behaviour import measure_behaviour
from circuits.components import Receiver
from circuits.errors import InputError, TaskError
from circuits.evaluation import Evaluator
from circuits.model import attention_patterns
from circuits.model.tokenizers import remember_tokenizer
from circuits.patching import effect_table, path_effects
from circuits.roles import read_heads
from circuits.scores import head_scores
from circuits.tasks import RowsError, task_from_file
from tests.circuits.conftest import shared_model
from tests.circuits.families import VOCABULARY, tiny_model
from tests.circuits.prompts import ToyTask, ragged_pairs, word_tokenizer
from tests.circuits.tasks.test_custom import row, written

COMPUTATIONS = {
    "behaviour": lambda model, pairs: [measure_behaviour(model, pairs).clean_metric],
    "path effects": lambda model, pairs: path_effects(model, pairs, Receiver.logits()),
    "by the definition": lambda model, pairs: path_effects(
        model, pairs, Receiver.logits(), engine="reference"
    ),
    "effect table": lambda model, pairs: effect_table(model, pairs).values,
    "scores": head_scores,
    "evaluator": lambda model, pairs: [Evaluator(model, pairs).performance(frozenset())],
    "edges": lambda model, pairs: Evaluator(model, pairs).metrics([frozenset()], "resample"),
    "roles": lambda model, pairs: read_heads(model, pairs).direct.heads,
}
every_computation = pytest.mark.parametrize("compute", COMPUTATIONS.values(), ids=COMPUTATIONS)


@every_computation
@pytest.mark.parametrize("padding", [-100, VOCABULARY, 10**6])
def test_padding_needs_no_token_of_its_own(compute, padding: int) -> None:
    bridge, pairs = shared_model("gpt2"), ragged_pairs(3)
    behind = torch.arange(pairs.clean.shape[1]) > pairs.end[:, None]
    assert behind.any()
    padded = replace(
        pairs,
        clean=pairs.clean.masked_fill(behind, padding),
        corrupted=pairs.corrupted.masked_fill(behind, padding),
    )
    expected, found = (torch.as_tensor(compute(bridge, each)) for each in (pairs, padded))
    torch.testing.assert_close(found, expected, rtol=0, atol=0, equal_nan=True)


@every_computation
@pytest.mark.parametrize("kind", ["clean", "corrupted", "correct", "wrong"])
def test_a_token_that_the_model_has_not_is_named(compute, kind: str) -> None:
    pairs = ragged_pairs(3)
    tokens = getattr(pairs, kind).clone()
    tokens[1, 0] = VOCABULARY
    named = "corrupted 1" if kind == "corrupted" else "clean 1"
    answer = f"a {kind} answer to '{named}' is " if kind in ("correct", "wrong") else ""
    said = answer or f"the prompt '{named}' has "
    with pytest.raises(TaskError, match=f"^{said}token 101, and the model has tokens 0 to 100 "):
        compute(shared_model("gpt2"), replace(pairs, **{kind: tokens}))


@every_computation
def test_a_prompt_that_is_too_long_is_named(compute, monkeypatch) -> None:
    bridge, pairs = shared_model("gpt2"), ragged_pairs(5)
    longest = int(pairs.end.argmax())
    n_tokens = int(pairs.end[longest]) + 1
    monkeypatch.setattr(bridge.cfg, "n_ctx", n_tokens - 1)
    named = re.escape(pairs.clean_text[longest])
    with pytest.raises(TaskError, match=f"of {n_tokens} tokens .* the {n_tokens - 1} .*{named}"):
        compute(bridge, pairs)


@every_computation
def test_no_prompts_at_all(compute) -> None:
    with pytest.raises(InputError, match="at least one"):
        compute(shared_model("gpt2"), ragged_pairs(3)[:0])


@pytest.fixture
def padding_tokenizer():
    """A tokenizer that was given a padding token, and a model that was given no row for it."""
    tokenizer = word_tokenizer()
    tokenizer.add_special_tokens({"pad_token": "[PAD]"})
    assert tokenizer.pad_token_id == VOCABULARY
    return tokenizer


def test_a_padding_token_that_was_added(padding_tokenizer) -> None:
    bridge = tiny_model("gemma3")
    task = ToyTask(bridge)
    usual = task.sample(word_tokenizer(), n=4)
    padded = task.sample(padding_tokenizer, n=4)
    assert (padded.clean == VOCABULARY).any()
    assert measure_behaviour(bridge, padded) == measure_behaviour(bridge, usual)
    remember_tokenizer(bridge, padding_tokenizer)
    with pytest.raises(TaskError, match=r"the prompt 'w1 \[PAD\] w2' has token 101"):
        attention_patterns(bridge, "w1 [PAD] w2", ["0.0"])


def test_rows_that_have_it_are_named(padding_tokenizer, tmp_path) -> None:
    words = {"clean": "w1 w2", "corrupted": "w3 w2", "correct": " w4", "wrong": " w5"}
    rows = [row(0, **words), row(1, **{**words, "clean": "w1 [PAD]"})]
    rows.append(row(2, **{**words, "clean": "w6 w2", "wrong": "[PAD]"}))
    task = task_from_file(written(tmp_path / "mine.jsonl", rows))
    report = task.check(padding_tokenizer, VOCABULARY)
    assert [str(problem).partition(",")[0] for problem in report.problems] == [
        "row 2: has token 101",
        "row 3: has token 101",
    ]
    assert len(report.usable) == 1
    assert len(task.usable_pairs(padding_tokenizer, 8, n_tokens=VOCABULARY)) == 1
    assert len(task.check(padding_tokenizer).usable) == 3
    with pytest.raises(RowsError, match="3 of 3 rows"):
        task.usable_pairs(padding_tokenizer, 8, n_tokens=1)
