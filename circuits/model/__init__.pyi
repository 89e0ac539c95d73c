from .attention import AttentionPattern, attention_patterns
from .catalogue import DEFAULT_MODEL, CatalogueEntry, list_models
from .check import check_reproduces
from .identity import ModelIdentity, identify
from .loading import load_model
from .tokenizers import load_tokenizer, tokenizer_of

__all__ = [
    "DEFAULT_MODEL",
    "AttentionPattern",
    "CatalogueEntry",
    "ModelIdentity",
    "attention_patterns",
    "check_reproduces",
    "identify",
    "list_models",
    "load_model",
    "load_tokenizer",
    "tokenizer_of",
]
