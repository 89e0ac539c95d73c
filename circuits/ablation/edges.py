"""The strict test of a circuit: every path that is not one of its edges is corrupted.

Each receiver (a head's q, k or v, or the logits) reads a residual stream of its own. Into it go the
heads' outputs: along an edge of the circuit, what the sender gives inside the circuit; along any
other path, what it gives on the corrupted prompt. This is path patching (the definition in
`circuits.patching.reference`) of all other paths at once, and what Hanna et al. 2024 (EAP-IG, arXiv
2403.17806) and Mueller et al. 2025 (MIB, arXiv 2504.13151, section 3.1) do with their graphs.

Theirs have nodes that ours have not: MLPs and the embedding. Here, as everywhere in this project,
MLPs and norms belong to the paths (Wang et al. 2022, arXiv 2211.00593, appendix B): each receiver's
stream is recomputed through them, so that an MLP passes on to a receiver just what the edges into
that receiver bring to it. The embedding is that of the clean prompt, for every receiver: no path is
one of the circuit or outside it because of where the tokens come from.

Keys and values belong to key/value heads. An edge into `9.6.k` is one into that of every head that
shares it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.components import HEAD_INPUTS, Edge, Head, Receiver
from circuits.forward import Layer, LayeredModel
from circuits.forward.finite import check_finite
from circuits.forward.passes import at_end, head_outputs
from circuits.forward.prompts import readable, trim
from circuits.graph import ModelGraph
from circuits.metrics import Metric
from circuits.runtime.progress import SILENT, Progress
from circuits.runtime.shrinking import Shrinking
from circuits.tasks import PromptPairs

Senders = frozenset[Head]
Stream = Float[Tensor, "prompt pos d_model"]

_PROMPTS_TOGETHER = 32
_TOGETHER = Shrinking("prompts")
_NOTHING: Senders = frozenset()


def edge_ablated_metric(
    model: LayeredModel,
    pairs: PromptPairs,
    edges: Collection[Edge],
    metric: Metric,
    progress: Progress = SILENT,
) -> Float[Tensor, " prompt"]:
    """The metric of each prompt when every path but the edges is corrupted.

    With no edge, every head's output is the corrupted one. With all edges among some heads, it is
    resample ablation of the others. Takes one pass through the MLPs below a receiver for each
    distinct set of senders that receivers there read.

    Args:
        model: The model in pieces.
        pairs: The prompts to run.
        edges: The paths to keep.
        metric: From logits at the answers to one number per prompt.
        progress: Hears of the fraction done.

    Raises:
        NonFiniteError: The metric is NaN or infinite on some prompts.

    >>> from circuits.metrics import logit_diff
    >>> kept = edge_ablated_metric(layered, pairs, circuit.edges, logit_diff)
    >>> kept.shape, bool(kept.mean() < activations.clean_metric.mean())
    (torch.Size([4]), True)
    """
    reads = senders_of(edges, model.graph())
    pairs = readable(model.bridge, pairs)

    def run(size: int) -> Float[Tensor, " prompt"]:
        parts = []
        for rows, report in progress.each(torch.arange(len(pairs)).split(size)):
            part = trim(pairs[rows])
            with torch.no_grad():
                resid = _final_stream(model, part, reads, report)
                parts.append(metric(model.unembed(at_end(resid, part)), part))
        return torch.cat(parts)

    found = _TOGETHER.run(_PROMPTS_TOGETHER, run)
    tokens = pairs.clean, pairs.corrupted
    check_finite(model.bridge, "the metric with paths corrupted", found, tokens)
    return found


def senders_of(edges: Collection[Edge], graph: ModelGraph) -> dict[Receiver, Senders]:
    """What every receiver reads over edges, for the logits and each input of a head that sends.

    Heads that share a key/value head have one receiver, the first one's, with the edges of all.
    """
    receivers = {Receiver.logits()}
    for sender in {edge.sender for edge in edges}:
        receivers |= {graph.unit(receiver) for receiver in graph.inputs(sender)}
    read: dict[Receiver, set[Head]] = {receiver: set() for receiver in receivers}
    for edge in edges:
        receiver = graph.unit(edge.receiver)
        # What a head reads does not matter where nothing reads the head.
        if receiver in read and isinstance(edge.sender, Head):
            read[receiver].add(edge.sender)
    return {receiver: frozenset(senders) for receiver, senders in read.items()}


def _final_stream(
    model: LayeredModel, pairs: PromptPairs, reads: Mapping[Receiver, Senders], progress: Progress
) -> Stream:
    """The residual stream that the logits read.

    In front of a layer, receivers that read the same senders below have the same stream: streams
    are kept by those senders.
    """
    corrupted = list(head_outputs(model, pairs.corrupted))
    graph, sending = model.graph(), sorted(frozenset[Head]().union(*reads.values()))
    streams: dict[Senders, Stream] = {frozenset(): model.embed(pairs.clean)}
    for index, layer in enumerate(model.layers):
        sent = {}
        for head in (head for head in sending if head.layer == index):
            inputs = (graph.unit(Receiver(head, name)) for name in HEAD_INPUTS)
            read = [reads.get(receiver, _NOTHING) for receiver in inputs]
            sent[head] = _output(layer, head, [streams[_below(some, index)] for some in read])
        above = (r for r in reads if r.node is None or r.node.layer > index)
        streams = {
            read: _through(layer, streams[_below(read, index)], corrupted[index], sent, read)
            for read in {_below(reads[receiver], index + 1) for receiver in above}
        }
        progress((index + 1) / model.n_layers)
    return streams[reads[Receiver.logits()]]


def _below(senders: Senders, layer: int) -> Senders:
    return frozenset(head for head in senders if head.layer < layer)


def _output(
    layer: Layer, head: Head, streams: Sequence[Stream]
) -> Float[Tensor, "prompt pos d_head"]:
    """What a head gives when its query, key and value input read three residual streams."""
    query, key, value = (layer.norm_attention(stream) for stream in streams)
    shape = query.shape[:2]
    positions = torch.arange(shape[1], device=query.device)
    kv_head = [layer.kv_head(head.index)]
    z = layer.attend(
        layer.queries(query, positions, [head.index]),
        layer.keys(key, positions, kv_head),
        layer.values(value, kv_head),
        layer.allowed(positions.expand(shape), shape[1]),
    )
    return z[:, :, 0]


def _through(
    layer: Layer,
    stream: Stream,
    corrupted: Float[Tensor, "prompt pos head d_head"],
    sent: Mapping[Head, Float[Tensor, "prompt pos d_head"]],
    read: Senders,
) -> Stream:
    """A stream behind a layer: of its heads, those that are read give what they send."""
    z = corrupted.clone()
    for head in sent.keys() & read:
        z[:, :, head.index] = sent[head]
    return layer.finish(stream, layer.attention_output(z))
