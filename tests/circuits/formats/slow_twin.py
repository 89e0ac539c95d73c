"""What EAP-IG's evaluation makes of a graph, written naively from what its documentation says.

Every input of every node is the sum of what the nodes below give: in the graph along an edge that
is in it, and on the corrupted prompt otherwise.
"""

from __future__ import annotations

import torch

from circuits.forward.passes import at_end, run_layers


def metric_of_graph(model, pairs, data, metric):
    """The metric of each prompt; `data` is what a file of theirs holds."""
    with torch.no_grad():
        resid = _Run(model, pairs, data["edges"]).final_stream()
        return metric(model.unembed(at_end(resid, pairs)), pairs)


class _Run:
    """A run of the clean prompts; `given` and `corrupted` are what nodes write, by name."""

    def __init__(self, model, pairs, edges):
        self.model, self.edges, self.bias = model, edges, 0.0
        self.given = {"input": model.embed(pairs.clean)}
        self.corrupted = {"input": model.embed(pairs.corrupted)}
        for number, record in enumerate(run_layers(model, pairs.corrupted)[0]):
            layer = model.layers[number]
            attention = layer.attention_output(record.z)
            mlp = layer.finish(record.resid_pre, attention) - record.resid_pre - attention
            self.corrupted |= {**self._heads(number, record.z), f"m{number}": mlp}

    def final_stream(self):
        for number, layer in enumerate(self.model.layers):
            heads = range(self.model.n_heads)
            z = torch.stack([self._attend(layer, f"a{number}.h{h}", h) for h in heads], dim=2)
            before = self._read(f"m{number}") if layer.parallel else None
            self.given |= self._heads(number, z)
            if layer.output.bias is not None:
                self.bias = self.bias + layer.output.bias
            read = self._read(f"m{number}") if before is None else before
            self.given[f"m{number}"] = layer.mlp(layer.norm_mlp(read))
        return self._read("logits")

    def _heads(self, number, z):
        heads = list(range(self.model.n_heads))
        written = self.model.layers[number].output.per_head(z, heads)
        return {f"a{number}.h{head}": written[head] for head in heads}

    def _attend(self, layer, name, head):
        query, key, value = (layer.norm_attention(self._read(f"{name}<{i}>")) for i in "qkv")
        positions, kv_head = torch.arange(query.shape[1]), [layer.kv_head(head)]
        z = layer.attend(
            layer.queries(query, positions, [head]),
            layer.keys(key, positions, kv_head),
            layer.values(value, kv_head),
            layer.allowed(positions.expand(query.shape[:2]), query.shape[1]),
        )
        return z[:, :, 0]

    def _read(self, child):
        """What a node reads of everything that has been written so far."""
        parts = (
            given if self.edges[f"{sender}->{child}"]["in_graph"] else self.corrupted[sender]
            for sender, given in self.given.items()
        )
        return sum(parts) + self.bias
