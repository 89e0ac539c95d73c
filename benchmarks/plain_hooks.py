"""Path patching with forward hooks on a transformers model, and nothing else.

The definition once more (Wang et al. 2022, arXiv 2211.00593, section 3.1), without TransformerLens
and without a line of `circuits` but the names of edges: what effects are compared with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from circuits.components import HEAD_INPUTS, Head, Node, Receiver
from circuits.tasks import PromptPairs

Layout = Literal["apart", "by head", "in turn"]
Site = tuple[int, str]
"""A layer, and what of it: "z", an input of heads, or "end" for what leaves the layer."""


@dataclass(frozen=True)
class Places:
    """Where a transformers model has what path patching reads and replaces.

    Attributes:
        blocks: The list of blocks.
        attention: Attention, in a block.
        query: What gives queries, in attention; where all three are fused, what gives them.
        key: What gives keys.
        value: What gives values.
        output: The output projection.
        layout: How heads stand in what gives them.

    """

    blocks: str = "model.layers"
    attention: str = "self_attn"
    query: str = "q_proj"
    key: str = "k_proj"
    value: str = "v_proj"
    output: str = "o_proj"
    layout: Layout = "apart"


AS_IN_LLAMA = Places()


class PlainModel:
    """A transformers model whose heads can be seen and replaced."""

    def __init__(self, model: PreTrainedModel, places: Places, n_kv_heads: int) -> None:
        self._model, self._places = model, places
        self._blocks: Any = model.get_submodule(places.blocks)
        self.n_layers, config = len(self._blocks), model.config.get_text_config()
        self.n_heads, self.n_kv_heads = config.num_attention_heads, n_kv_heads
        self.d_head = _width(self._attention(0).get_submodule(places.output)) // self.n_heads

    def effects(
        self, pairs: PromptPairs, receivers: tuple[Receiver, ...]
    ) -> dict[tuple[Head, Receiver], float]:
        """The normalised effect of every path from a head to one of the receivers."""
        layers = range(self.n_layers)
        heads = [(layer, "z") for layer in layers]
        inputs = [(layer, name) for layer in layers for name in HEAD_INPUTS]
        end = (self.n_layers - 1, "end")
        logits, clean = self.run(pairs.clean, keep=[*heads, *inputs])
        corrupted_logits, corrupted = self.run(pairs.corrupted, keep=heads)
        before = _metric(logits, pairs)
        scale = float((before - _metric(corrupted_logits, pairs)).sum())
        found = {}
        for sender in (Head(layer, index) for layer in layers for index in range(self.n_heads)):
            frozen = {site: clean[site].clone() for site in heads}
            columns = self._head(sender.index)
            site = (sender.layer, "z")
            frozen[site][..., columns] = corrupted[site][..., columns]
            _, sent = self.run(pairs.clean, frozen, [*inputs, end])
            for receiver in receivers:
                if not _above(receiver.node, sender):
                    continue
                put = end, sent[end]
                if receiver.head is not None:
                    put = self._with_part(receiver, clean, sent)
                patched, _ = self.run(pairs.clean, dict([put]))
                found[sender, receiver] = float((_metric(patched, pairs) - before).sum()) / scale
        return found

    def run(
        self,
        tokens: Tensor,
        replace: Mapping[Site, Tensor] | None = None,
        keep: list[Site] | None = None,
    ) -> tuple[Tensor, dict[Site, Tensor]]:
        """Logits, and the values at some sites, with other sites replaced."""
        kept: dict[Site, Tensor] = {}
        replaced = replace or {}

        def hook_of(site: Site) -> Callable[[Tensor], Tensor | None]:
            def hook(value: Tensor) -> Tensor | None:
                kept[site] = value.clone()
                return replaced.get(site)

            return hook

        with torch.no_grad(), ExitStack() as stack:
            for site in {*replaced, *(keep or ())}:
                stack.enter_context(self._hooked(site, hook_of(site)))
            return self._model(tokens, use_cache=False).logits, kept

    def _with_part(
        self, receiver: Receiver, clean: Mapping[Site, Tensor], sent: Mapping[Site, Tensor]
    ) -> tuple[Site, Tensor]:
        """A head's input as it was sent, beside the clean inputs of all others."""
        head, name = receiver.on_head()
        index = head.index if name == "q" else head.index * self.n_kv_heads // self.n_heads
        site, columns = (head.layer, name), self._columns(name, index)
        patched = clean[site].clone()
        patched[..., columns] = sent[site][..., columns]
        return site, patched

    def _columns(self, name: str, index: int) -> slice:
        number = HEAD_INPUTS.index(name)
        if self._places.layout == "by head" and self.n_kv_heads == self.n_heads:
            return self._head(3 * index + number)
        if self._places.layout == "apart":
            return self._head(index)
        return self._head([0, self.n_heads, self.n_heads + self.n_kv_heads][number] + index)

    def _head(self, index: int) -> slice:
        return slice(index * self.d_head, (index + 1) * self.d_head)

    def _attention(self, layer: int) -> nn.Module:
        return self._blocks[layer].get_submodule(self._places.attention)

    @contextmanager
    def _hooked(self, site: Site, hook: Callable[[Tensor], Tensor | None]) -> Iterator[None]:
        layer, name = site
        places = self._places
        if name == "z":
            output = self._attention(layer).get_submodule(places.output)
            handle = output.register_forward_pre_hook(lambda _, given: _changed(given, hook))
        elif name == "end":
            handle = self._blocks[layer].register_forward_hook(
                lambda _, __, out: _changed(out, hook)
            )
        else:
            path = {"q": places.query, "k": places.key, "v": places.value}[name]
            if places.layout != "apart":
                path = places.query
            module = self._attention(layer).get_submodule(path)
            handle = module.register_forward_hook(lambda _, __, out: _changed(out, hook))
        try:
            yield
        finally:
            handle.remove()


def _changed(value: Any, hook: Callable[[Tensor], Tensor | None]) -> Any:
    """What a module is given, or gives, with its first tensor seen and perhaps replaced."""
    first = value[0] if isinstance(value, tuple) else value
    new = hook(first)
    if new is None:
        return None
    return (new, *value[1:]) if isinstance(value, tuple) else new


def _metric(logits: Tensor, pairs: PromptPairs) -> Tensor:
    """Mean logit of the right answers minus that of the wrong ones, for each prompt."""
    last = logits[torch.arange(len(pairs)), pairs.end]
    means = [
        torch.stack([row[some[some >= 0]].mean() for row, some in zip(last, answers, strict=True)])
        for answers in (pairs.correct, pairs.wrong)
    ]
    return means[0] - means[1]


def _above(receiver: Node | None, sender: Head) -> bool:
    return receiver is None or receiver.layer > sender.layer


def _width(module: Any) -> int:
    return module.in_features
