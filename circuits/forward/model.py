"""A TransformerBridge taken apart: the same forward pass in pieces that can be run alone.

Everything is read from what the bridge exposes for every family (norms, projections, MLPs,
rotary tables), never from a model's name. Before anything is computed with the pieces,
`check_reproduces` compares them, put together, with the model's own logits, and refuses what they
do not reproduce.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens.model_bridge import TransformerBridge

from circuits.forward.devices import device_of, devices_of, entering
from circuits.forward.extraction import layer_parts, logit_multiplier
from circuits.forward.layers import Layer
from circuits.forward.projections import TensorMap
from circuits.forward.tables import PositionTables
from circuits.graph import Mlps, ModelGraph
from circuits.tasks import Spans


@dataclass(frozen=True, eq=False)
class LayeredModel:
    """The pieces of a TransformerBridge, and the bridge they came from.

    Attributes:
        bridge: The model itself.
        layers: Its blocks, from the lowest up.
        norm_final: The norm that the unembedding reads the residual stream through.
        unembed_weights: From there to logits, multiplied as the family does.
        logit_soft_cap: Bounds logits, in families that have it.
        tables: What attention adds for positions, of every layer; empty where it adds nothing.

    >>> layered = LayeredModel.of(model)
    >>> layered.n_layers, layered.n_heads, layered.n_kv_heads
    (3, 4, 2)
    >>> layered.unembed(layered.embed(pairs.clean)).shape  # prompt, position, vocabulary
    torch.Size([4, 8, 101])
    """

    bridge: TransformerBridge
    layers: tuple[Layer, ...]
    norm_final: TensorMap
    unembed_weights: TensorMap
    logit_soft_cap: float | None
    tables: PositionTables

    @classmethod
    def of(cls, bridge: TransformerBridge | LayeredModel) -> LayeredModel:
        """Take a bridge apart; what is in pieces already is returned as it is.

        The first time, the pieces are compared with the model itself (`check_reproduces`).

        Raises:
            UnsupportedModelError: The pieces do not give the model's logits, or cannot be run.
            NonFiniteError: Logits are NaN or infinite.

        """
        if isinstance(bridge, LayeredModel):
            return bridge
        # It runs the pieces, so that it stands above them.
        from circuits.forward.check import check_once

        check_once(bridge)
        return in_pieces(bridge)

    @property
    def n_layers(self) -> int:
        return len(self.layers)

    @property
    def n_heads(self) -> int:
        return self.layers[0].n_heads

    @property
    def n_kv_heads(self) -> int:
        return self.layers[0].n_kv_heads

    @cached_property
    def d_model(self) -> int:
        return self.layers[0].query.weight.shape[2]

    @property
    def dtype(self) -> torch.dtype:
        return self.layers[0].query.weight.dtype

    @property
    def device(self) -> torch.device:
        """Where it reads tokens, and gives logits."""
        return device_of(self.bridge)

    @property
    def devices(self) -> tuple[torch.device, ...]:
        """Every device that weights are on."""
        return devices_of(self.bridge)

    def graph(self, mlps: Mlps = "path", spans: Spans | None = None) -> ModelGraph:
        """The model's nodes, receivers and edges; `mlps` and `spans` as in `ModelGraph`."""
        parallel = any(layer.parallel for layer in self.layers)
        return ModelGraph(self.n_layers, self.n_heads, self.n_kv_heads, parallel, mlps, spans)

    def embed(self, tokens: Int[Tensor, "prompt pos"]) -> Float[Tensor, "prompt pos d_model"]:
        """resid_pre of the first layer, from the bridge itself (scaling, learned positions).

        Every forward pass starts here, so this is where position tables are made long enough:
        asking positions for their maximum in every layer would make a GPU wait.
        """
        self.tables.reserve(tokens.shape[1])
        return self.bridge(tokens, stop_at_layer=0)

    def unembed(self, resid: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch vocab"]:
        """Logits of a final residual stream."""
        logits = self.unembed_weights(self.norm_final(resid)).to(self.device)
        cap = self.logit_soft_cap
        return logits if cap is None else cap * torch.tanh(logits / cap)


def in_pieces(bridge: TransformerBridge) -> LayeredModel:
    """A bridge taken apart without a check: for the check itself."""
    tables = PositionTables(bridge)
    layers = tuple(Layer(**parts) for parts in layer_parts(bridge, tables))
    cap = float(getattr(bridge.cfg, "output_logits_soft_cap", -1.0) or -1.0)
    soft_cap = cap if cap > 0 else None
    if "ln_final" not in bridge._modules:
        raise NotImplementedError("logits are not read through a final norm")
    multiplier = logit_multiplier(bridge)

    def unembed(normed: Tensor) -> Tensor:
        logits = bridge.unembed(normed)
        return logits if multiplier == 1.0 else logits * multiplier

    norm_final = entering(bridge.ln_final, bridge.ln_final, bridge)
    read = entering(unembed, bridge.unembed, bridge)
    return LayeredModel(bridge, layers, norm_final, read, soft_cap, tables)


def in_float32(model: LayeredModel) -> LayeredModel:
    """The model itself, or a copy in float32 of one of lower precision.

    >>> in_float32(layered) is layered  # it is float32 already
    True
    """
    if model.dtype.itemsize >= torch.float32.itemsize:
        return model
    copied = deepcopy(model.bridge)
    # TransformerLens's own `to` reads all weights again for each of them.
    nn.Module.to(copied, torch.float32)
    copied.cfg.dtype = torch.float32
    # The same pieces, which were checked when the model was taken apart.
    return in_pieces(copied)
