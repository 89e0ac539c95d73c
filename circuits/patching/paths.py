"""The two questions asked of a model: effects on one receiver, and the table of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.components import Head, Receiver, all_heads
from circuits.metrics import Metric, logit_diff
from circuits.model import LayeredModel, TransformerBridge
from circuits.model.runs import PairedRun
from circuits.patching import exact, reference
from circuits.patching.effects import EffectSums, EffectTable, checked_scale
from circuits.patching.memory import DEFAULT_MEMORY_BYTES, plan_split
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
    return ReceiverEffects(layered, pairs, senders, engine, metric, memory_bytes)(receiver)


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
    order behind it. Costs a fraction of a forward pass per sender; README has the measured figure.

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
    for run, max_rows in _batches(layered, pairs, heads, metric, memory_bytes):
        share = len(run.pairs) / len(pairs)
        sums.add_scale(run.clean_metric, run.corrupted_metric)
        before = done / len(pairs)
        sweep(run, heads, sums, max_rows, lambda part, a=before, b=share: progress(a + b * part))
        done += len(run.pairs)
    return sums.table()


class ReceiverEffects:
    """Effects on one receiver at a time, sharing all that receivers have in common.

    Calling it with a receiver gives the effects of all senders; nothing is computed twice.
    """

    def __init__(
        self,
        model: LayeredModel,
        pairs: PromptPairs,
        senders: Iterable[Head] | None,
        engine: PathEngine,
        metric: Metric,
        memory_bytes: int = DEFAULT_MEMORY_BYTES,
    ) -> None:
        """Run the clean and corrupted prompts. Raises ValueError as `path_effects` does."""
        if engine not in get_args(PathEngine):
            known = ", ".join(get_args(PathEngine))
            raise ValueError(f"unknown engine {engine!r}; known engines: {known}")
        self._model, self._engine = model, engine
        self._senders = _known_heads(model, senders)
        batches = _batches(model, pairs, self._senders, metric, memory_bytes)
        self._states = [exact.SenderStates(run, self._senders, rows) for run, rows in batches]
        self._known: dict[Receiver, Float[Tensor, "layer head"]] = {}
        differences = [s.run.clean_metric - s.run.corrupted_metric for s in self._states]
        self._scale = checked_scale(float(torch.cat(differences).double().sum()))

    def __call__(self, receiver: Receiver) -> Float[Tensor, "layer head"]:
        """Normalised effects of all senders on one receiver; NaN where there is no path."""
        unit = self._unit(receiver)
        if unit not in self._known:
            self._known[unit] = self._measured(unit)
        return self._known[unit]

    def table(self) -> EffectTable:
        """Everything measured so far; NaN for receivers that were not asked for."""
        sizes = (self._model.n_layers, self._model.n_heads, self._model.n_kv_heads)
        return EffectTable.of_receivers(self._known, *sizes)

    def _unit(self, receiver: Receiver) -> Receiver:
        """The receiver itself, or for k and v the first head of its group."""
        if receiver.head is None:
            return receiver
        head, head_input = receiver.on_head()
        _known_heads(self._model, [head])
        if head_input == "q":
            return receiver
        group = self._model.n_heads // self._model.n_kv_heads
        return Receiver(Head(head.layer, head.index // group * group), head_input)

    def _measured(self, receiver: Receiver) -> Float[Tensor, "layer head"]:
        effects = torch.full((self._model.n_layers, self._model.n_heads), torch.nan)
        below = self._model.n_layers if receiver.head is None else receiver.head.layer
        senders = tuple(sender for sender in self._senders if sender.layer < below)
        if not senders:
            return effects
        changes = [self._changes(states, receiver, senders) for states in self._states]
        total = torch.stack(changes).sum(0)
        for sender, effect in zip(senders, (total / self._scale).tolist(), strict=True):
            effects[sender.layer, sender.index] = effect
        return effects

    def _changes(
        self, states: exact.SenderStates, receiver: Receiver, senders: tuple[Head, ...]
    ) -> Float[Tensor, " sender"]:
        run = states.run
        if self._engine == "exact":
            changes = exact.metric_changes(states, receiver)
        else:
            changes = reference.metric_changes(
                self._model.bridge, run.pairs, receiver, senders, run.metric
            )
        return changes.double().sum(-1).cpu()


def _batches(
    model: LayeredModel,
    pairs: PromptPairs,
    senders: tuple[Head, ...],
    metric: Metric,
    memory_bytes: int,
) -> Iterator[tuple[PairedRun, int]]:
    split = plan_split(model, pairs, len(senders), memory_bytes)
    for rows in split.batches:
        yield PairedRun.of(model, pairs[rows], metric), split.max_rows


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
