"""Language models: loading them, and running their forward pass in pieces."""

from transformer_lens.model_bridge import TransformerBridge

from circuits.model.attention import AttentionPattern, attention_patterns, patterns_by_layer
from circuits.model.catalogue import DEFAULT_MODEL, CatalogueEntry, list_models
from circuits.model.check import check_reproduces
from circuits.model.errors import ModelError
from circuits.model.identity import ModelIdentity, identify
from circuits.model.layers import Layer, LayeredModel, in_float32
from circuits.model.loading import load_model
from circuits.model.runs import LayerRun, PairedRun, paired_runs
from circuits.model.tokenizers import load_tokenizer, tokenizer_of

__all__ = [
    "DEFAULT_MODEL",
    "AttentionPattern",
    "CatalogueEntry",
    "Layer",
    "LayerRun",
    "LayeredModel",
    "ModelError",
    "ModelIdentity",
    "PairedRun",
    "TransformerBridge",
    "attention_patterns",
    "check_reproduces",
    "identify",
    "in_float32",
    "list_models",
    "load_model",
    "load_tokenizer",
    "paired_runs",
    "patterns_by_layer",
    "tokenizer_of",
]
