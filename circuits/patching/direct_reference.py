"""Effects of direct edges the naive way: hooks on the bridge, a few runs for each edge.

The slow twin of the other engines where MLPs and the embedding are nodes, short enough to be
checked by eye against the definition (Hanna et al. 2024, EAP-IG, arXiv 2403.17806, section 2): one
receiver reads its own residual stream, in which one sender gives what it gives on the corrupted
prompt; nothing between the two is computed again, and everything behind the receiver is.
"""

from __future__ import annotations

from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor

from circuits.components import MLP, Embedding, Node, Receiver
from circuits.forward import TransformerBridge
from circuits.forward.activations import Batch
from circuits.forward.extraction import has_parallel_mlp
from circuits.forward.passes import at_end
from circuits.metrics import Metric
from circuits.patching.by_receiver import ByReceiver
from circuits.patching.estimators import ChangesInto
from circuits.patching.reference import receiver_site, record
from circuits.tasks import PromptPairs

Stream = Float[Tensor, "prompt pos d_model"]


class _DirectReference(ByReceiver):
    """The definition itself."""

    name = "reference"
    description = "the definition, with hooks: up to four runs for each edge"

    def open(self, batch: Batch, max_rows: int, kept_bytes: int) -> ChangesInto:
        """Run the bridge anew for every edge."""
        edges = _Edges(batch.paired.model.bridge, batch.pairs, batch.paired.metric)
        return lambda receiver, senders: torch.stack(
            [edges.metric_change(receiver, sender) for sender in senders]
        )


REFERENCE = _DirectReference()


class _Edges:
    """Some prompts, on which any edge can be corrupted."""

    def __init__(self, bridge: TransformerBridge, pairs: PromptPairs, metric: Metric) -> None:
        self.bridge, self.pairs, self.metric = bridge, pairs, metric
        layers = range(bridge.cfg.n_layers)
        self.before = [f"blocks.{layer}.hook_resid_pre" for layer in layers]
        self.z = [f"blocks.{layer}.attn.hook_z" for layer in layers]
        self.behind = [f"blocks.{layer}.hook_resid_post" for layer in layers]

    @cached_property
    def clean(self) -> dict[str, Tensor]:
        """Streams and head outputs of the clean run."""
        return self._run(self.pairs.clean, [*self.before, *self.z, *self.behind])

    @cached_property
    def corrupted(self) -> dict[str, Tensor]:
        """The same of the corrupted run."""
        return self._run(self.pairs.corrupted, [*self.before, *self.z, *self.behind])

    def metric_change(self, receiver: Receiver, sender: Node) -> Float[Tensor, " prompt"]:
        """Metric minus clean metric with the edge corrupted."""
        given = self._given_otherwise(sender)
        if receiver.head is not None:
            name, output = self._head_output(receiver, given)
        else:
            name, output = self._stream_behind(receiver, given)
        return self._metric({name: output}) - self._clean_metric

    def _metric(self, replace: dict[str, Tensor]) -> Float[Tensor, " prompt"]:
        logits, _ = record(self.bridge, self.pairs.clean, [], replace)
        return self.metric(at_end(logits, self.pairs), self.pairs)

    @cached_property
    def _clean_metric(self) -> Float[Tensor, " prompt"]:
        return self._metric({})

    def _given_otherwise(self, sender: Node) -> Stream:
        """How much more a sender gives to the residual stream on the corrupted prompt."""
        if isinstance(sender, Embedding):
            return self.corrupted[self.before[0]] - self.clean[self.before[0]]
        layer = sender.layer
        if isinstance(sender, MLP):
            return self._mlp_in(self.corrupted, layer) - self._mlp_in(self.clean, layer)
        z = self.clean[self.z[layer]].clone()
        z[:, :, sender.index] = self.corrupted[self.z[layer]][:, :, sender.index]
        return self._attention(layer, z) - self._attention(layer, self.clean[self.z[layer]])

    def _head_output(self, receiver: Receiver, given: Stream) -> tuple[str, Tensor]:
        """The layer's head outputs, that of the receiver's head anew."""
        head, _ = receiver.on_head()
        site, unit = receiver_site(self.bridge, receiver)
        stream = self.clean[self.before[head.layer]]
        inputs = self._run(self.pairs.clean, [site])[site]
        read = self._block(head.layer, stream + given, [site], {})[site]
        inputs[:, :, unit] = read[:, :, unit]
        name = self.z[head.layer]
        output = self.clean[name].clone()
        anew = self._block(head.layer, stream, [name], {site: inputs})[name]
        output[:, :, head.index] = anew[:, :, head.index]
        return name, output

    def _stream_behind(self, receiver: Receiver, given: Stream) -> tuple[str, Stream]:
        """The stream behind the receiver's layer: the logits' own, or with another MLP output."""
        layer = self.bridge.cfg.n_layers - 1 if receiver.node is None else receiver.node.layer
        name = self.behind[layer]
        if receiver.node is None:
            return name, self.clean[name] + given
        read = self._read_by_mlp(layer)
        return name, self.clean[name] + self._mlp(layer, read + given) - self._mlp(layer, read)

    def _read_by_mlp(self, layer: int) -> Stream:
        stream = self.clean[self.before[layer]]
        if has_parallel_mlp(self.bridge):
            return stream
        return stream + self._attention(layer, self.clean[self.z[layer]])

    def _mlp_in(self, run: dict[str, Tensor], layer: int) -> Stream:
        """What an MLP gives in a run: all that the layer adds but for its attention."""
        added = run[self.behind[layer]] - run[self.before[layer]]
        return added - self._attention(layer, run[self.z[layer]])

    def _attention(self, layer: int, z: Tensor) -> Stream:
        """What head outputs give, all of a layer's, through any norm behind them."""
        # On a stream of zeros nothing of it is lost to rounding.
        nothing = torch.zeros_like(self.clean[self.before[layer]])
        return self._added(layer, nothing, "hook_mlp_out", {self.z[layer]: z})

    def _mlp(self, layer: int, stream: Stream) -> Stream:
        """What an MLP gives when it reads a stream and attention gives nothing."""
        if f"blocks.{layer}.hook_mlp_out" not in self.bridge.hook_dict:
            return torch.zeros_like(stream)
        return self._added(layer, stream, "hook_attn_out", {})

    def _added(self, layer: int, stream: Stream, silent: str, replace: dict[str, Tensor]) -> Stream:
        """What a layer adds to a stream, with its attention or its MLP silent."""
        name, post = f"blocks.{layer}.{silent}", self.behind[layer]
        if name in self.bridge.hook_dict:
            replace = {**replace, name: torch.zeros_like(stream)}
        return self._block(layer, stream, [post], replace)[post] - stream

    def _block(
        self, layer: int, stream: Stream, names: list[str], replace: dict[str, Tensor]
    ) -> dict[str, Tensor]:
        """A run in which the stream in front of a layer is as given."""
        return self._run(self.pairs.clean, names, {self.before[layer]: stream, **replace})

    def _run(
        self, tokens: Tensor, names: list[str], replace: dict[str, Tensor] | None = None
    ) -> dict[str, Tensor]:
        return record(self.bridge, tokens, names, replace)[1]
