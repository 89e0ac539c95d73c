"""Running a model with all heads outside a circuit replaced."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.ablation.distinct_streams import Streams, taken
from circuits.ablation.outputs import HeadOutputs, OutputsOnPrompts
from circuits.components import Head
from circuits.errors import MismatchError
from circuits.forward import LayeredModel
from circuits.forward.finite import check_finite
from circuits.forward.prompts import readable
from circuits.metrics import Metric
from circuits.runtime.progress import SILENT, Progress
from circuits.runtime.shrinking import Shrinking
from circuits.tasks import PromptPairs

_TOGETHER = Shrinking("rows of circuits, prompts and tokens")
_ROWS_OF_STATE = 8
"""A residual stream takes this many times less memory than what an MLP makes of it."""


def ablated_metric(
    model: LayeredModel,
    pairs: PromptPairs,
    replaced: HeadOutputs,
    circuits: Sequence[frozenset[Head]],
    metric: Metric,
    max_rows: int = 8192,
    progress: Progress = SILENT,
) -> Float[Tensor, "circuit prompt"]:
    """The metric on clean prompts when every head outside a circuit is replaced.

    Args:
        model: The model in pieces.
        pairs: The prompts to run.
        replaced: What the other heads give: mean head outputs, of templates that include those of
            `pairs`; outputs on the corrupted prompts of just these pairs; or zeros.
        circuits: The heads kept, for each of several circuits run together. Those that keep the
            same heads in the lowest layers share the work of these layers.
        metric: From logits at the answers to one number per prompt.
        max_rows: How many (circuit, prompt, position) rows are computed at once.
        progress: Hears of the fraction done.

    Raises:
        MismatchError: `replaced` holds no mean for the template of a prompt.
        NonFiniteError: The metric is NaN or infinite on some prompts.

    >>> from circuits.metrics import logit_diff
    >>> kept = [frozenset(), circuit.heads]
    >>> none, some = ablated_metric(layered, pairs, evaluator.means, kept, logit_diff).mean(-1)
    >>> bool(none < some)  # the circuit's heads bring back what the means took away
    True
    """
    pairs = readable(model.bridge, pairs)
    kept = kept_mask(circuits, model.n_layers, model.n_heads)
    # Sorted by layer, so that circuits that share low layers come together.
    distinct, index = kept.unique(dim=0, return_inverse=True)
    given = replaced.on(pairs)

    def run(rows: int) -> Float[Tensor, "circuit prompt"]:
        parts = distinct.split(max(1, _ROWS_OF_STATE * rows // pairs.clean.numel()))
        with torch.no_grad():
            start = Streams.start(model.embed(pairs.clean), pairs.end.cpu())
            chunks = []
            for part, report in progress.each(parts):
                chunks.append(_run(model, pairs, given, start, part, metric, rows, report))
        return torch.cat(chunks)

    found = _TOGETHER.run(max_rows, run)[index.to(model.device)]
    check_finite(model.bridge, "the metric with heads replaced", found, [pairs.clean])
    return found


def kept_mask(
    circuits: Sequence[frozenset[Head]], n_layers: int, n_heads: int
) -> Bool[Tensor, "circuit layer head"]:
    """Which heads of the model each circuit keeps: True for these, False for all others.

    Raises:
        MismatchError: A circuit has a head that the model lacks.
        InputError: Something in it is no head.

    >>> kept_mask([frozenset({Head(2, 1)})], n_layers=3, n_heads=4)[0, 2].tolist()
    [False, True, False, False]
    """
    mask = torch.zeros(len(circuits), n_layers, n_heads, dtype=torch.bool)
    for row, heads in enumerate(circuits):
        for head in map(Head.parse, heads):
            if head.layer >= n_layers or head.index >= n_heads:
                raise MismatchError(
                    f"no head {head} in a model of {n_layers} layers x {n_heads} heads"
                )
            mask[row, head.layer, head.index] = True
    return mask


def _run(
    model: LayeredModel,
    pairs: PromptPairs,
    given: OutputsOnPrompts,
    streams: Streams,
    kept: Bool[Tensor, "circuit layer head"],
    metric: Metric,
    max_rows: int,
    progress: Progress,
) -> Float[Tensor, "circuit prompt"]:
    positions, end = torch.arange(pairs.clean.shape[1]), pairs.end.cpu()[:, None]
    acts = given.differ.cpu()
    for index, layer in enumerate(model.layers):
        read_above = kept[:, index + 1 :].flatten(1).any(1)[:, None, None]
        wanted = (positions == end) | ((positions < end) & read_above)
        streams = streams.through(
            layer, kept[:, index], acts, wanted, given.of_layer(index), max_rows
        )
        progress((index + 1) / model.n_layers)
    answers = streams.row[:, torch.arange(len(pairs)), end[:, 0]]
    resid = streams.resid.to(model.device)
    parts = answers.split(max(1, max_rows // pairs.clean.numel()))
    return torch.cat([metric(model.unembed(taken(resid, rows)), pairs) for rows in parts])
