"""Small models of TransformerLens's own architecture, from weights in memory, with word tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from torch import Tensor
from transformer_lens.config import TransformerBridgeConfig
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources import build_bridge_from_module
from transformer_lens.model_bridge.sources.native import NativeModel
from transformers import PreTrainedTokenizerFast

from circuits.errors import ModelError, SettingError
from circuits.model.tokenizers import remember_tokenizer


@dataclass(frozen=True)
class NativeShape:
    """Sizes of a small model.

    Attributes:
        n_layers: Blocks.
        n_heads: Heads of each block.
        d_model: Width of the residual stream.
        d_head: Width of a head; the heads together need not be as wide as the residual stream.
        d_vocab: Tokens known.
        n_ctx: Longest prompt, in tokens.
        d_mlp: Width of the MLPs; None for attention alone.
        normalization: "LN", or None for a residual stream that is read as it is.
        activation: Of the MLPs.

    Raises:
        SettingError: A size is not positive.

    """

    n_layers: int
    n_heads: int
    d_model: int
    d_head: int
    d_vocab: int
    n_ctx: int
    d_mlp: int | None = None
    normalization: Literal["LN"] | None = "LN"
    activation: Literal["gelu", "relu"] = "gelu"

    def __post_init__(self) -> None:
        for name in ("n_layers", "n_heads", "d_model", "d_head", "d_vocab", "n_ctx", "d_mlp"):
            size = getattr(self, name)
            if size is not None and size < 1:
                raise SettingError(f"{name} must be at least 1, got {size}")


def native_module(shape: NativeShape) -> NativeModel:
    """A model of this shape with PyTorch's own random weights, to be trained or filled."""
    return NativeModel(_config(shape))


def native_model(
    shape: NativeShape, weights: Mapping[str, Tensor], words: Sequence[str], name: str
) -> TransformerBridge:
    """A model ready for `discover_circuit`, whose tokens are the given words.

    Args:
        shape: Its sizes.
        weights: By the names that `native_module(shape).state_dict()` has.
        words: The word of each token id; prompts are split at spaces, the first word pads.
        name: What results call the model.

    Raises:
        ModelError: The weights, or the number of words, do not fit the shape.

    """
    if len(words) != shape.d_vocab:
        raise ModelError(f"{name} has {shape.d_vocab} tokens, but {len(words)} words were given")
    config = _config(shape)
    module = NativeModel(config)
    try:
        module.load_state_dict(dict(weights))
    except RuntimeError as error:
        reason = " ".join(str(error).split())
        raise ModelError(f"the weights of {name} do not fit its shape: {reason}") from error
    module.eval().requires_grad_(False)
    bridge = build_bridge_from_module(
        module, "TransformerLensNative", tl_config=config, tokenizer=None, model_name=name
    )
    remember_tokenizer(bridge, word_tokenizer(words))
    return bridge


def word_tokenizer(words: Sequence[str]) -> PreTrainedTokenizerFast:
    """A tokenizer that knows these words, their number the token id, and pads with the first."""
    tokenizer = Tokenizer(
        WordLevel({word: number for number, word in enumerate(words)}, unk_token=words[0])
    )
    tokenizer.pre_tokenizer = WhitespaceSplit()  # type: ignore[assignment]
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token=words[0], unk_token=words[0]
    )


def _config(shape: NativeShape) -> TransformerBridgeConfig:
    mlp: dict[str, Any] = {"attn_only": True} if shape.d_mlp is None else {"d_mlp": shape.d_mlp}
    return TransformerBridgeConfig(
        d_model=shape.d_model,
        d_head=shape.d_head,
        n_layers=shape.n_layers,
        n_ctx=shape.n_ctx,
        n_heads=shape.n_heads,
        d_vocab=shape.d_vocab,
        normalization_type=shape.normalization,
        act_fn=shape.activation,
        positional_embedding_type="standard",
        **mlp,
    )
