"""Interchange interventions and the training that forces them, against slow twins."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from benchmarks.truth.causal import (
    NO_VARIABLE,
    GreaterThanModel,
    InductionModel,
    IOIModel,
    ShortIOIModel,
    soft_targets,
)
from benchmarks.truth.interchange import Alignment, agrees, measure, run
from benchmarks.truth.recipes import TRAINED
from benchmarks.truth.siit import MEASURED_PROMPTS, Recipe, train
from circuits import Head
from circuits.model import tokenizer_of
from circuits.model.native import NativeShape, native_model, native_module
from circuits.truth import truth_record
from circuits.truth.ground import DATA
from circuits.truth.small_tasks import LETTERS

MODELS = (InductionModel, ShortIOIModel, IOIModel, GreaterThanModel)


def right_words(causal, base, source, variable) -> set[str]:
    tokens = [causal.tokens(prompt.split())[None] for prompt in (base, source)]
    right = causal.right(*tokens, torch.tensor([variable]))[0]
    return {causal.task.words[number] for number in right.nonzero()[:, 0].tolist()}


def test_induction_by_hand() -> None:
    base, source = "<start> a b c d e f b", "<start> c a b f e d e"
    causal = InductionModel()
    assert right_words(causal, base, source, NO_VARIABLE) == {"c"}
    # On the source b stands before f, in the fourth place; there stands d on the base.
    assert right_words(causal, base, source, 0) == {"d"}
    assert right_words(causal, base, source, 1) == {"d"}
    assert right_words(causal, base, "<start> c a b f e d c", 1) == {"a"}
    assert right_words(causal, base, "<start> g h i j k l g", 0) == set(LETTERS)


@pytest.mark.parametrize("model", [IOIModel, ShortIOIModel])
def test_ioi_by_hand(model) -> None:
    ending = " ".join(("", *model.task.ending))
    base, source, none = (
        f"<start> {names}{ending}"
        for names in ("Ada and Ben then Ben", "Kim and Leo then Kim", "Kim and Leo then Ivo")
    )
    causal = model()
    assert right_words(causal, base, source, NO_VARIABLE) == {"Ada"}
    last = len(causal.variables) - 1
    for variable in range(last):
        assert right_words(causal, base, source, variable) == {"Ben"}
        assert right_words(causal, base, none, variable) == {"Ada", "Ben"}
    assert right_words(causal, base, source, last) == {"Leo"}


def test_greater_than_by_hand() -> None:
    base, source = "<start> war from 12 to", "<start> fair from 02 to"
    causal = GreaterThanModel()
    assert right_words(causal, base, source, NO_VARIABLE) == {"13", "14", "15"}
    for variable in (0, 1):
        assert len(right_words(causal, base, source, variable)) == 13


@pytest.mark.parametrize("model", MODELS)
def test_draws_prompts_of_the_task(model) -> None:
    """The causal model answers clean prompts as the task does."""
    causal, task = model(), model.task()
    pairs = [task.example(seed, seed % task.n_variants) for seed in range(40)]
    for pair in pairs:
        right = right_words(causal, pair.clean, pair.clean, NO_VARIABLE)
        assert right == {answer.strip() for answer in pair.correct}
    drawn = causal.draw(60, torch.Generator().manual_seed(0))
    assert len(drawn[0]) == len(pairs[0].clean.split())
    assert (drawn[:, 0] == 0).all()
    targets = soft_targets(causal.right(drawn, drawn, torch.full((60,), NO_VARIABLE)))
    torch.testing.assert_close(targets.sum(1), torch.ones(60))


def test_run_is_the_models_own_forward_pass() -> None:
    for d_mlp in (None, 10):
        shape = NativeShape(2, 3, 12, 5, 7, 6, d_mlp=d_mlp)
        module = native_module(shape)
        bridge = native_model(shape, module.state_dict(), [f"w{n}" for n in range(7)], "x")
        assert tokenizer_of(bridge)("w2 w6")["input_ids"] == [2, 6]
        tokens = torch.randint(7, (4, 6))
        torch.testing.assert_close(run(module, tokens)[0], bridge(tokens)[:, -1])


def test_swapping_everything_gives_the_source_but_for_the_embedding() -> None:
    shape = NativeShape(2, 2, 8, 4, 9, 5, d_mlp=6)
    module = native_module(shape)
    base, source = torch.randint(9, (2, 3, 5))
    base[:, -1] = source[:, -1]
    everything = torch.ones(3, 2, 3, dtype=torch.bool)
    logits, outputs = run(module, source)
    swapped, _ = run(module, base, everything, outputs)
    torch.testing.assert_close(swapped, logits)
    nothing, _ = run(module, base, ~everything, outputs)
    torch.testing.assert_close(nothing, run(module, base)[0])
    assert not torch.allclose(nothing, logits)


def test_alignment_names_every_component_once() -> None:
    alignment = Alignment((Head(0, 1), Head(1, 0)), (1,), 2, 3, has_mlps=True)
    inside, outside = alignment.of_variable(), alignment.outside()
    assert inside.nonzero().tolist() == [[0, 0, 1], [1, 1, 0]]
    assert outside.sum((1, 2)).tolist() == [1] * 5
    left = ~(inside.any(0) | outside.any(0))
    assert left.nonzero().tolist() == [[1, 3]]


def test_agreement_is_strict() -> None:
    logits = torch.tensor([[3.0, 2.0, 1.0], [3.0, 1.0, 2.0], [1.0, 1.0, 0.0]])
    right = torch.tensor([[True, True, False], [True, True, False], [True, False, False]])
    assert agrees(logits, right).tolist() == [True, False, False]


def test_training_is_seeded_and_begins_to_agree() -> None:
    shape = NativeShape(2, 2, 24, 12, len(GreaterThanModel.task.words), 5)
    recipe = Recipe(GreaterThanModel, (Head(0, 0), Head(1, 1)), shape, n_steps=3, batch=16)
    weights, untrained = train(recipe, seed=1)
    again, same = train(recipe, seed=1)
    assert same == untrained
    assert all(torch.equal(weights[name], again[name]) for name in weights)
    _, found = train(replace(recipe, n_steps=60, batch=64), seed=1)
    assert found.behaviour > untrained.behaviour + 0.05
    assert found.n_prompts == MEASURED_PROMPTS


@pytest.mark.parametrize("name", TRAINED)
def test_recipes_are_those_of_the_shipped_models(name: str) -> None:
    recipe, record = TRAINED[name], truth_record(name)
    assert len(recipe.heads) == len(recipe.causal.variables)
    assert [head.layer for head in recipe.heads] == sorted({h.layer for h in recipe.heads})
    assert (record.heads, record.mlps) == (frozenset(recipe.heads), recipe.mlps)
    assert (record.shape, record.task) == (recipe.shape, recipe.causal.task.name)
    assert record.interchange is not None
    assert tuple(record.interchange.variables) == recipe.causal.variables


@pytest.mark.parametrize("name", ["siit-ioi", "siit-greater-than-mlp"])
def test_recorded_accuracy_is_measured_again_on_the_same_prompts(name: str) -> None:
    recipe, recorded = TRAINED[name], truth_record(name).interchange
    assert recorded is not None
    module = native_module(recipe.shape)
    module.load_state_dict(load_file(DATA / f"{name}.safetensors"))
    sizes = recorded.n_prompts, recorded.seed
    again = measure(module, recipe.causal(), recipe.alignment, *sizes)
    assert again.variables == pytest.approx(recorded.variables, abs=0.002)
    for figure in ("behaviour", "single", "joint"):
        assert getattr(again, figure) == pytest.approx(getattr(recorded, figure), abs=0.002)
