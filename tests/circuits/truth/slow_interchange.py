"""Interchange accuracy without any of the code that trained: hooks, and prompts as words."""

from __future__ import annotations

from random import Random

import torch

from circuits.components import all_heads
from circuits.model import tokenizer_of
from circuits.truth.ground import GroundTruth
from circuits.truth.small_tasks import LETTERS, YEARS


def interchange_accuracy(truth: GroundTruth, n: int, seed: int) -> dict[str, float]:
    """Every figure of `Interchange`, by name, on `n` pairs of clean or corrupted prompts."""
    rng = Random(seed)
    pairs = [(_prompt(truth, rng, i), _prompt(truth, rng, n + i)) for i in range(n)]
    bases, sources = ([pair[side] for pair in pairs] for side in (0, 1))
    shape, record = truth.record.shape, truth.record.interchange
    assert record is not None
    heads = sorted(truth.heads)
    sites = {head: (f"blocks.{head.layer}.attn.hook_z", head.index) for head in heads}
    others = [
        (f"blocks.{head.layer}.attn.hook_z", head.index)
        for head in all_heads(shape.n_layers, shape.n_heads)
        if head not in truth.heads
    ]
    if shape.d_mlp is not None:
        used = truth.record.mlps
        others += [
            (f"blocks.{n}.hook_mlp_out", None) for n in range(shape.n_layers) if n not in used
        ]
    plain = [_right(truth, base, base) for base in bases]
    figures = {"behaviour": _share(truth, bases, sources, [], plain)}
    for number, (name, head) in enumerate(zip(record.variables, heads, strict=True)):
        last = number == len(heads) - 1
        right = [_right(truth, source if last else base, source) for base, source in pairs]
        figures[name] = _share(truth, bases, sources, [sites[head]], right)
    figures["single"] = min(_share(truth, bases, sources, [site], plain) for site in others)
    figures["joint"] = _share(truth, bases, sources, others, plain)
    return figures


def _prompt(truth, rng, number) -> list[str]:
    pair = truth.task.draw(rng, number % truth.task.n_variants, {})
    return (pair.corrupted if rng.random() < 0.3 else pair.clean).split()


def _right(truth, shown, inner) -> set[str]:
    """What is right on `shown` when what comes before the answer is as on `inner`.

    With `shown` the source itself, the last variable is swapped.
    """
    name = truth.task.name
    if name == "small-greater-than":
        return {year for year in YEARS if year > inner[3]}
    if "ioi" in name:
        repeated = {place for place in (1, 3) if inner[place] == inner[5]}
        return {shown[place] for place in (1, 3) if place not in repeated}
    followers = {shown[i] for i in range(2, len(shown)) if inner[i - 1] == shown[-1]}
    return followers or set(LETTERS)


def _share(truth, bases, sources, sites, right) -> float:
    model, tokenizer = truth.model, tokenizer_of(truth.model)
    base, source = (
        torch.tensor(tokenizer([" ".join(p) for p in side])["input_ids"])
        for side in (bases, sources)
    )
    kept: dict[str, torch.Tensor] = {}
    names = sorted({name for name, _ in sites})

    def keep(name):
        return lambda value, hook: kept.__setitem__(name, value.clone())

    def put(name):
        def hook(value, hook):
            value = value.clone()
            for _, head in (site for site in sites if site[0] == name):
                if head is None:
                    value = kept[name]
                else:
                    value[:, :, head] = kept[name][:, :, head]
            return value

        return hook

    with torch.no_grad():
        model.run_with_hooks(source, fwd_hooks=[(name, keep(name)) for name in names])
        logits = model.run_with_hooks(base, fwd_hooks=[(name, put(name)) for name in names])[:, -1]
    met = []
    for row, answers in zip(logits.tolist(), right, strict=True):
        if len(answers) < len(LETTERS):
            said = dict(zip(truth.task.words, row, strict=True))
            least = min(said[word] for word in answers)
            met.append(least > max(said[word] for word in said.keys() - answers))
    return sum(met) / len(met)
