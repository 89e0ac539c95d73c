"""The two questions asked of a model: effects on one receiver, and the table of all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import cached_property
from typing import Literal, get_args

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.components import Head, Receiver, all_heads
from circuits.forward import LayeredModel, TransformerBridge
from circuits.forward.activations import PairedRun
from circuits.metrics import Metric, logit_diff
from circuits.patching import exact, reference
from circuits.patching.effects import EffectTable, SweptSums, checked_scale
from circuits.patching.known import KnownEffects
from circuits.patching.plan import SENDERS_TOGETHER, Plan, plan_work
from circuits.patching.sweep import sweep
from circuits.tasks import PromptPairs

PathEngine = Literal["reference", "exact"]
Progress = Callable[[float], None]


def path_effects(
    model: TransformerBridge | LayeredModel,
    pairs: PromptPairs,
    receiver: Receiver,
    senders: Iterable[Head] | None = None,
    engine: PathEngine = "exact",
    metric: Metric = logit_diff,
    memory_bytes: int | None = None,
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
        memory_bytes: About how much memory the exact engine may use beside the model's own; a safe
            share of what is free without.

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
    memory_bytes: int | None = None,
    progress: Progress = lambda fraction: None,
) -> EffectTable:
    """Effects of every sender on every receiver input, by one upward sweep per batch of prompts.

    Exact for the logits receiver; for head inputs exact up to the receiver head's output and first
    order behind it. Costs a fraction of a forward pass per sender; docs/numbers.md has the measured
    figure.

    Args:
        model: A TransformerBridge, or its pieces.
        pairs: Clean and corrupted prompts.
        candidates: Heads that send and receive; all without.
        metric: From logits at the answers to one number per prompt.
        memory_bytes: About how much memory to use; decides how prompts are split, not the numbers.
            A safe share of what is free without.
        progress: Called with the fraction done.

    Raises:
        ValueError: A candidate is not in the model, or clean and corrupted metric are equal.

    """
    layered = model if isinstance(model, LayeredModel) else LayeredModel.of(model)
    heads = known_heads(layered, candidates)
    plan = plan_work(layered, pairs, heads, memory_bytes)
    return swept_sums(layered, pairs, heads, metric, plan, progress).normalised().effects


def swept_sums(
    model: LayeredModel,
    pairs: PromptPairs,
    candidates: Iterable[Head] | None,
    metric: Metric,
    plan: Plan,
    progress: Progress = lambda fraction: None,
    begun: SweptSums | None = None,
    keep: Callable[[SweptSums], None] = lambda sums: None,
) -> SweptSums:
    """What `effect_table` is made of, prompt by prompt, and the size of what estimates leave out.

    `keep` is called with the sums after every batch of prompts; given as `begun`, they go on from
    there with batches of the same size.
    """
    heads = known_heads(model, candidates)
    sizes = (model.n_layers, model.n_heads, model.n_kv_heads)
    sums = SweptSums(*sizes, len(pairs), len(plan.batches[0])) if begun is None else begun
    batches = torch.cat(plan.batches).split(sums.batch_size)
    done = sum(map(len, batches[: sums.batches]))
    for rows in batches[sums.batches :]:
        run = PairedRun.of(model, pairs[rows], metric)
        before, share = done / len(pairs), len(rows) / len(pairs)
        sweep(
            run, heads, sums, plan.max_rows, lambda part, a=before, b=share: progress(a + b * part)
        )
        sums.finish_batch(rows, run.clean_metric, run.corrupted_metric)
        done += len(rows)
        keep(sums)
    return sums


class ReceiverEffects:
    """Exact effects on one receiver at a time, sharing all that receivers have in common.

    Nothing is computed twice, and nothing at all that was known before.
    """

    def __init__(
        self,
        model: LayeredModel,
        pairs: PromptPairs,
        senders: Iterable[Head] | None,
        engine: PathEngine,
        metric: Metric,
        memory_bytes: int | None = None,
        known: KnownEffects | None = None,
    ) -> None:
        """Take `known` for granted. Raises ValueError as `path_effects` does."""
        if engine not in get_args(PathEngine):
            names = ", ".join(get_args(PathEngine))
            raise ValueError(f"unknown engine {engine!r}; known engines: {names}")
        self._model, self._pairs, self._metric, self._engine = model, pairs, metric, engine
        self._senders = known_heads(model, senders)
        self._plan = plan_work(model, pairs, self._senders, memory_bytes, SENDERS_TOGETHER)
        sizes = (model.n_layers, model.n_heads, model.n_kv_heads)
        self.known = KnownEffects(*sizes) if known is None else known

    def __call__(self, receiver: Receiver) -> Float[Tensor, "layer head"]:
        """Normalised effects of all senders on one receiver; NaN where there is no path."""
        return self.measure(receiver, self._senders)

    def measure(self, receiver: Receiver, senders: Iterable[Head]) -> Float[Tensor, "layer head"]:
        """Normalised effects of some senders on one receiver; NaN for all others."""
        if receiver.head is not None:
            known_heads(self._model, [receiver.head])
        layer = self._model.n_layers if receiver.head is None else receiver.head.layer
        below = sorted(sender for sender in senders if sender.layer < layer)
        missing = self.known.missing(receiver, below)
        for start in range(0, len(missing), SENDERS_TOGETHER):
            group = missing[start : start + SENDERS_TOGETHER]
            self.known.add(receiver, group, self._measured(receiver, group))
        return self.known.of(receiver, below)

    @cached_property
    def _states(self) -> list[exact.SenderStates]:
        kept = self._plan.kept_bytes // len(self._plan.batches)
        return [
            exact.SenderStates(
                PairedRun.of(self._model, self._pairs[rows], self._metric),
                self._plan.max_rows,
                kept,
            )
            for rows in self._plan.batches
        ]

    @cached_property
    def _scale(self) -> float:
        differences = [s.run.clean_metric - s.run.corrupted_metric for s in self._states]
        return checked_scale(float(torch.cat(differences).double().sum()))

    def _measured(self, receiver: Receiver, senders: tuple[Head, ...]) -> list[float]:
        scale = self._scale
        changes = [self._changes(states, receiver, senders) for states in self._states]
        return (torch.stack(changes).sum(0) / scale).tolist()

    def _changes(
        self, states: exact.SenderStates, receiver: Receiver, senders: tuple[Head, ...]
    ) -> Float[Tensor, " sender"]:
        run = states.run
        if self._engine == "exact":
            changes = exact.metric_changes(states, receiver, senders)
        else:
            changes = reference.metric_changes(
                self._model.bridge, run.pairs, receiver, senders, run.metric
            )
        return changes.double().sum(-1).cpu()


def known_heads(model: LayeredModel, heads: Iterable[Head] | None) -> tuple[Head, ...]:
    """The heads in order; all of the model's without. Raises ValueError for one it lacks."""
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
