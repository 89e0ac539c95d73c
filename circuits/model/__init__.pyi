from .attention import AttentionPattern, attention_patterns
from .catalogue import DEFAULT_MODEL, CatalogueEntry, list_models
from .identity import ModelIdentity, check_weights, identify
from .loading import UnusedWeightsWarning, load_model, model_of
from .tokenizers import load_tokenizer, tokenizer_of

__all__ = [
    "DEFAULT_MODEL",
    "AttentionPattern",
    "CatalogueEntry",
    "ModelIdentity",
    "UnusedWeightsWarning",
    "attention_patterns",
    "check_weights",
    "identify",
    "list_models",
    "load_model",
    "load_tokenizer",
    "model_of",
    "tokenizer_of",
]
