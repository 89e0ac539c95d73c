"""Every model of `circuits.truth`: what it is made by, and from what."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

from torch import Tensor

from benchmarks.truth import hand
from benchmarks.truth.causal import GreaterThanModel, InductionModel, IOIModel, ShortIOIModel
from benchmarks.truth.compiled import PROGRAMS, compile_program
from benchmarks.truth.siit import Recipe, train
from benchmarks.truth.wiring import build
from circuits.components import Head
from circuits.model.native import NativeShape
from circuits.runtime.progress import Note
from circuits.truth.ground import TruthRecord

Made = tuple[TruthRecord, dict[str, Tensor]]
_SIIT = "Gupta et al. 2024, arXiv 2407.14494 (SIIT)"
_TRACR = "Lindner et al. 2023, arXiv 2301.05062 (tracr)"
_HAND = {
    "hand-induction": (partial(hand.induction, 2, 8), "Elhage et al. 2021, induction heads"),
    "hand-induction-deep": (partial(hand.induction, 4, 6), "Elhage et al. 2021, induction heads"),
    "hand-ioi": (partial(hand.ioi, 3, 8), "Wang et al. 2022, arXiv 2211.00593"),
}
_HEADS = 4


def _shape(n_layers: int, words: int, n_ctx: int, *, mlp: bool) -> NativeShape:
    return NativeShape(n_layers, _HEADS, 48, 12, words, n_ctx, 96 if mlp else None)


def _recipe(
    causal: type, heads: str, n_layers: int, *, mlp: bool, mlps: tuple[int, ...] = ()
) -> Recipe:
    task = causal.task()
    shape = _shape(n_layers, len(task.words), len(task.example().clean.split()), mlp=mlp)
    return Recipe(causal, tuple(map(Head.parse, heads.split())), shape, mlps)


TRAINED = {
    "siit-induction": _recipe(InductionModel, "0.1 1.2", 2, mlp=False),
    "siit-induction-mlp": _recipe(InductionModel, "0.3 1.0", 2, mlp=True),
    "siit-ioi": _recipe(ShortIOIModel, "0.2 1.1", 2, mlp=False),
    "siit-ioi-mlp": _recipe(ShortIOIModel, "0.0 1.3", 2, mlp=True),
    "siit-ioi-deep": _recipe(IOIModel, "0.1 1.3 2.0", 3, mlp=False),
    "siit-induction-deep": _recipe(InductionModel, "1.2 3.0", 4, mlp=False),
    "siit-greater-than-deep": _recipe(GreaterThanModel, "1.1 2.3", 4, mlp=True, mlps=(3,)),
    "siit-greater-than": _recipe(GreaterThanModel, "0.3 1.1", 2, mlp=False),
    "siit-greater-than-mlp": _recipe(GreaterThanModel, "0.2 1.0", 2, mlp=True, mlps=(1,)),
}


@dataclass(frozen=True)
class Maker:
    """How one model is made."""

    name: str
    seed: int

    @property
    def command(self) -> str:
        """What a shell runs to make it again."""
        return f"python -m benchmarks.make_truth {self.name} --seed {self.seed}"

    def make(self, say: Note = lambda line: None) -> Made:
        """The record and the weights. Raises ValueError for an unknown name."""
        if self.name in _HAND:
            return self._wire()
        if self.name in TRAINED:
            return self._train(say)
        if self.name in PROGRAMS:
            return self._compile()
        raise ValueError(f"no model {self.name!r} is made here; known: {', '.join(MADE)}")

    def _wire(self) -> Made:
        wire, source = _HAND[self.name]
        wired = wire(self.seed)
        shape, weights = build(wired.plan, self.seed)
        record = TruthRecord(
            name=self.name,
            kind="hand-wired",
            task=wired.task.name,
            shape=shape,
            heads=wired.heads,
            connections=wired.connections,
            made_by=self.command,
            source=source,
        )
        return record, weights

    def _compile(self) -> Made:
        program = PROGRAMS[self.name]
        compiled = compile_program(program)
        record = TruthRecord(
            name=self.name,
            kind="compiled",
            task=program.task.name,
            shape=compiled.shape,
            heads=compiled.heads,
            connections=compiled.connections,
            made_by=self.command,
            source=_TRACR,
        )
        return record, compiled.weights

    def _train(self, say: Note) -> Made:
        recipe = TRAINED[self.name]
        weights, interchange = train(recipe, self.seed, say)
        record = TruthRecord(
            name=self.name,
            kind="siit",
            task=recipe.causal.task.name,
            shape=recipe.shape,
            heads=frozenset(recipe.heads),
            mlps=recipe.mlps,
            connections=None,
            made_by=self.command,
            source=_SIIT,
            interchange=interchange,
        )
        return record, weights


MADE = (*_HAND, *PROGRAMS, *TRAINED)
