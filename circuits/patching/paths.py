"""The two questions asked of a model: effects on one receiver, and the table of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from circuits.components import Head, Receiver, all_heads
from circuits.metrics import Metric, logit_diff
from circuits.model import LayeredModel
from circuits.patching import exact, reference
from circuits.patching.effects import EffectSums, EffectTable, checked_scale
from circuits.patching.memory import DEFAULT_MEMORY_BYTES, Split, plan_split
from circuits.patching.runs import PairedRun
from circuits.patching.sweep import sweep
from tasks import PromptPairs

PathEngine = Literal["reference", "exact"]
Progress = Callable[[float], None]


def path_effects(
    model: TransformerBridge | LayeredModel,
    pairs: PromptPairs,
    receiver: Receiver,
    senders: Iterable[Head] | None = None,
    engine: PathEngine = "exact",
    metric: Metric = logit_diff,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
) -> Float[Tensor, "layer head"]:
    """Normalised effect of every path sender -> receiver; NaN where there is none.

    Run clean with every head's output frozen at its clean value, except the sender's, which is
    corrupted at all positions; MLPs and norms are recomputed. Take the receiver's input from that
    run, put it alone into a clean run, and read the metric there: (metric - clean) /
    (clean - corrupted). Wang et al. 2022 (arXiv 2211.00593, section 3.1).

    Args:
        model: A TransformerBridge, or its pieces.
        pairs: Clean and corrupted prompts.
        receiver: The q, k or v input of a head (k and v: of its key/value head), or the logits.
        senders: Heads to send from; all heads below the receiver without.
        engine: "exact", or "reference": the naive twin with hooks on the bridge.
        metric: From logits at the answers to one number per prompt.
        memory_bytes: About how much memory the exact engine may use beside the model's own.

    Raises:
        ValueError: The receiver or a sender is not in the model, the engine is unknown, or clean
            and corrupted metric are equal.

    """
    layered = model if isinstance(model, LayeredModel) else LayeredModel.of(model)
    chosen = _senders_below(layered, receiver, senders)
    if engine not in get_args(PathEngine):
        raise ValueError(f"unknown engine {engine!r}; known engines: {', '.join(get_args(PathEngine))}")
    effects = torch.full((layered.n_layers, layered.n_heads), torch.nan)
    total, scale = torch.zeros(len(chosen), dtype=torch.float64), 0.0
    for run, split in _batches(layered, pairs, chosen, metric, memory_bytes):
        scale += float((run.clean_metric - run.corrupted_metric).double().sum())
        if not chosen:
            continue
        if engine == "reference":
            changes = reference.metric_changes(layered.bridge, run.pairs, receiver, chosen, metric)
        else:
            changes = exact.metric_changes(run, receiver, chosen, split.max_rows)
        total += changes.double().sum(-1).cpu()
    normalised = total / checked_scale(scale)
    for sender, effect in zip(chosen, normalised.tolist(), strict=True):
        effects[sender.layer, sender.index] = effect
    return effects


def effect_table(
    model: TransformerBridge | LayeredModel,
    pairs: PromptPairs,
    candidates: Iterable[Head] | None = None,
    metric: Metric = logit_diff,
    memory_bytes: int = DEFAULT_MEMORY_BYTES,
    progress: Progress = lambda fraction: None,
) -> EffectTable:
    """Effects of every sender on every receiver input, by one upward sweep per batch of prompts.

    Exact for the logits receiver; for head inputs exact up to the receiver head's output and first
    order behind it. The cost is that of about 0.4 forward passes per sender.

    Args:
        model: A TransformerBridge, or its pieces.
        pairs: Clean and corrupted prompts.
        candidates: Heads that send and receive; all without.
        metric: From logits at the answers to one number per prompt.
        memory_bytes: About how much memory to use; decides how prompts are split, not the numbers.
        progress: Called with the fraction done.

    Raises:
        ValueError: A candidate is not in the model, or clean and corrupted metric are equal.

    """
    layered = model if isinstance(model, LayeredModel) else LayeredModel.of(model)
    heads = _known_heads(layered, candidates)
    sums = EffectSums(layered.n_layers, layered.n_heads, layered.n_kv_heads)
    done = 0
    for run, split in _batches(layered, pairs, heads, metric, memory_bytes):
        share = len(run.pairs) / len(pairs)
        sums.add_scale(run.clean_metric, run.corrupted_metric)
        before = done / len(pairs)
        sweep(run, heads, sums, split.max_rows, lambda part, a=before, b=share: progress(a + b * part))
        done += len(run.pairs)
    return sums.table()


def _batches(
    model: LayeredModel,
    pairs: PromptPairs,
    senders: tuple[Head, ...],
    metric: Metric,
    memory_bytes: int,
) -> Iterator[tuple[PairedRun, Split]]:
    split = plan_split(model, pairs, len(senders), memory_bytes)
    for rows in split.batches:
        yield PairedRun.of(model, pairs[rows], metric), split


def _known_heads(model: LayeredModel, heads: Iterable[Head] | None) -> tuple[Head, ...]:
    known = all_heads(model.n_layers, model.n_heads)
    if heads is None:
        return known
    chosen = set(heads)
    if unknown := sorted(chosen - set(known)):
        raise ValueError(
            f"heads {', '.join(map(str, unknown))} are not in the model, "
            f"which has {model.n_layers} layers x {model.n_heads} heads"
        )
    return tuple(sorted(chosen))


def _senders_below(
    model: LayeredModel, receiver: Receiver, senders: Iterable[Head] | None
) -> tuple[Head, ...]:
    if receiver.head is not None:
        _known_heads(model, [receiver.head])
    below = model.n_layers if receiver.head is None else receiver.head.layer
    return tuple(head for head in _known_heads(model, senders) if head.layer < below)
