"""Models compiled by tracr (Lindner et al. 2023, arXiv 2301.05062), with heads that do not matter.

A program is written in RASP, and tracr turns it into the weights of a transformer: every variable
has its own directions in the residual stream, every `Aggregate` is an attention head, every
`SequenceMap` an MLP. tracr compiles only what the output depends on; so each program ends in maps
that take in what the distractor heads computed, and ignore it.

Needs tracr, which needs jax and is no dependency of anything else: `pip install -c constraints.txt
-e '.[compile]'`. The models were compiled once and are shipped converted.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from circuits.components import Connection, Head, Receiver
from circuits.model.native import NativeShape, native_module
from circuits.truth.small_tasks import START, FewLettersInduction, SkipInduction, SmallTask

_INSTALL = "pip install -c constraints.txt -e '.[compile]'"
_TOLERANCE = 1e-3
_PROMPTS = 32


@dataclass(frozen=True)
class Program:
    """A RASP program, and what is known of it.

    Attributes:
        task: What it does.
        write: Builds the program from tracr's `rasp` module.
        circuit: The variables that its output depends on, from the prompt upward.
        paths: Which variable's head reads which other's, by q, k or v.

    """

    task: type[SmallTask]
    write: Callable[[Any], Any]
    circuit: tuple[str, ...]
    paths: tuple[tuple[str, str, str], ...]


@dataclass(frozen=True)
class Compiled:
    """A program as a model with a known circuit."""

    shape: NativeShape
    weights: dict[str, Tensor]
    heads: frozenset[Head]
    connections: frozenset[Connection]


def compile_program(program: Program) -> Compiled:
    """Compile a program and convert it.

    Raises:
        ModuleNotFoundError: tracr is not installed.
        ValueError: The converted model does not say what tracr's own says.

    """
    try:
        from tracr.compiler import compiling  # type: ignore[import-not-found]
        from tracr.rasp import rasp  # type: ignore[import-not-found]
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(f"{error}; compiling needs: {_INSTALL}") from error

    task = program.task()
    n_positions = len(task.example().clean.split())
    model = compiling.compile_rasp_to_model(
        program.write(rasp),
        vocab=set(task.words[1:]),
        max_seq_len=n_positions,
        compiler_bos=START,
        causal=True,
    )
    shape = _shape(model, task, n_positions)
    weights = _weights(model, task, shape)
    _check(model, task, shape, weights)
    places = _heads(model)
    heads = frozenset(places[name] for name in program.circuit)
    paths = {
        Connection(places[sender], Receiver(places[receiver], part))  # type: ignore[arg-type]
        for sender, receiver, part in program.paths
    }
    answer = Connection(places[program.circuit[-1]], Receiver.logits())
    return Compiled(shape, weights, heads, frozenset(paths | {answer}))


def _shape(model: Any, task: SmallTask, n_positions: int) -> NativeShape:
    config = model.model_config
    return NativeShape(
        n_layers=config.num_layers,
        n_heads=config.num_heads,
        d_model=len(model.residual_labels),
        d_head=config.key_size,
        d_vocab=len(task.words),
        n_ctx=n_positions,
        d_mlp=config.mlp_hidden_size,
        normalization=None,
        activation="relu",
    )


def _weights(model: Any, task: SmallTask, shape: NativeShape) -> dict[str, Tensor]:
    """Tracr's weights by our names; haiku keeps matrices the other way round."""
    weights = {name: torch.zeros_like(t) for name, t in native_module(shape).state_dict().items()}
    ids = model.input_encoder.encoding_map
    weights["tok_embed.weight"] = _tensor(model.params["token_embed"]["embeddings"])[
        [ids[word] for word in task.words]
    ]
    weights["pos.weight"] = _tensor(model.params["pos_embed"]["embeddings"])[: shape.n_ctx]
    parts = {
        "attn.q": "attn/query",
        "attn.k": "attn/key",
        "attn.v": "attn/value",
        "attn.o": "attn/linear",
        "mlp.fc_in": "mlp/linear_1",
        "mlp.fc_out": "mlp/linear_2",
    }
    for layer in range(shape.n_layers):
        for ours, theirs in parts.items():
            given = model.params[f"transformer/layer_{layer}/{theirs}"]
            weights[f"layers.{layer}.{ours}.weight"] = _tensor(given["w"]).T.contiguous()
            weights[f"layers.{layer}.{ours}.bias"] = _tensor(given["b"])
    for word, direction in _answers(model).items():
        weights["head.weight"][task.words.index(word), direction] = 1.0
    return weights


def _answers(model: Any) -> dict[str, int]:
    """The direction of the residual stream that says each word: those of the output variable."""
    named = [label.partition(":") for label in model.residual_labels]
    return {word: n for n, (name, _, word) in enumerate(named) if name.startswith("answer")}


def _heads(model: Any) -> dict[str, Head]:
    """The head that computes each variable, by what it writes."""
    config = model.model_config
    found: dict[str, Head] = {}
    for layer in range(config.num_layers):
        written = np.asarray(model.params[f"transformer/layer_{layer}/attn/linear"]["w"])
        for index, rows in enumerate(written.reshape(config.num_heads, config.key_size, -1)):
            for direction in np.flatnonzero(np.abs(rows).sum(0)):
                variable = model.residual_labels[direction].partition(":")[0]
                found[variable.rpartition("_")[0]] = Head(layer, index)
    return found


def _check(model: Any, task: SmallTask, shape: NativeShape, weights: Mapping[str, Tensor]) -> None:
    """Compare our final residual stream with tracr's on prompts of the task."""
    module = native_module(shape)
    module.load_state_dict(dict(weights))
    rng, captured = Random(0), []
    module.ln_out.register_forward_hook(lambda _, inputs, output: captured.append(output))
    worst = 0.0
    for number in range(_PROMPTS):
        words = task.draw(rng, number % task.n_variants, {}).clean.split()
        theirs = _tensor(model.apply(words).residuals[-1])[0]
        with torch.no_grad():
            module(torch.tensor([[task.words.index(word) for word in words]]))
        worst = max(worst, float((captured.pop()[0] - theirs).abs().max()))
    if not worst <= _TOLERANCE:
        raise ValueError(f"the converted model differs from tracr's by {worst:.2g}")


def _tensor(array: Any) -> Float[Tensor, "..."]:
    return torch.from_numpy(np.array(array, dtype=np.float32))


def _ago(rasp: Any, steps: int) -> Any:
    return rasp.Select(rasp.indices, rasp.indices, lambda key, query: key == query - steps)


def _ignoring(rasp: Any, answer: Any, *ignored: Any) -> Any:
    """The answer, by maps that read the others and drop them."""
    for number, other in enumerate(ignored):
        name = "answer" if number == len(ignored) - 1 else f"kept{number}"
        answer = rasp.SequenceMap(lambda kept, dropped: kept, answer, other).named(name)
    return answer


def _induction(rasp: Any) -> Any:
    previous = rasp.Aggregate(_ago(rasp, 1), rasp.tokens).named("previous")
    again = rasp.Select(previous, rasp.tokens, rasp.Comparison.EQ)
    copied = rasp.Aggregate(again, rasp.tokens).named("copied")
    return _ignoring(rasp, copied, *_distractors(rasp))


def _skip(rasp: Any) -> Any:
    previous = rasp.Aggregate(_ago(rasp, 1), rasp.tokens).named("previous")
    before = rasp.Aggregate(_ago(rasp, 1), previous).named("before")
    again = rasp.Select(before, rasp.tokens, rasp.Comparison.EQ)
    copied = rasp.Aggregate(again, rasp.tokens).named("copied")
    return _ignoring(rasp, copied, *_distractors(rasp))


def _distractors(rasp: Any) -> tuple[Any, ...]:
    """What stands at the second place, three places ago, and there two places ago."""
    second = rasp.Select(rasp.indices, rasp.indices, lambda key, query: key == 2)
    third = rasp.Aggregate(_ago(rasp, 3), rasp.tokens).named("third")
    return (
        rasp.Aggregate(second, rasp.tokens).named("second"),
        rasp.Aggregate(_ago(rasp, 2), third).named("fifth"),
    )


PROGRAMS = {
    "compiled-induction": Program(
        FewLettersInduction,
        _induction,
        ("previous", "copied"),
        (("previous", "copied", "k"),),
    ),
    "compiled-skip": Program(
        SkipInduction,
        _skip,
        ("previous", "before", "copied"),
        (("previous", "before", "v"), ("before", "copied", "k")),
    ),
}
