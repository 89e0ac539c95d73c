"""Tokenizers as their authors made them.

TransformerLens gives its bridges a tokenizer that puts a start token before every text, which most
models here were not trained on and which shifts every position; prompts are written with the
original one instead.
"""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path
from weakref import WeakKeyDictionary

from transformer_lens.model_bridge import TransformerBridge
from transformers import AutoTokenizer, PreTrainedTokenizerBase

from circuits.errors import ModelError
from circuits.model.catalogue import CONFIG_FILE, DEFAULT_MODEL, has_vocabulary, model_directory
from circuits.model.quiet import quiet_transformers
from circuits.runtime.progress import Note
from circuits.runtime.told import check_regular, told_as

_FILES = (CONFIG_FILE, "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")

_originals: WeakKeyDictionary[TransformerBridge, PreTrainedTokenizerBase] = WeakKeyDictionary()


def load_tokenizer(
    name: str | Path = DEFAULT_MODEL, progress: Note | None = None
) -> PreTrainedTokenizerBase:
    """Load a model's tokenizer with its own conventions, without loading the model.

    Raises:
        ModelError: The model has no tokenizer, or one that cannot be read.
        UnknownModelError: No model goes by this name, or the path holds no checkpoint.
        DownloadError: The tokenizer could not be fetched.

    >>> load_tokenizer("smollm2-135m").tokenize("When Mary and John")
    ['When', 'ĠMary', 'Ġand', 'ĠJohn']
    """
    tokenizer = read_tokenizer(model_directory(name, progress, weights=False))
    if tokenizer is None:
        raise ModelError(f"{name} has no tokenizer: give a model that has one, or pass token ids")
    return tokenizer


def read_tokenizer(directory: Path) -> PreTrainedTokenizerBase | None:
    """Read the tokenizer in a checkpoint directory, None where there is none. Raises ModelError."""
    # transformers makes up an empty tokenizer for a directory without one.
    if not has_vocabulary(directory):
        return None
    check_regular(directory)
    advice = "download the model again, or remove the tokenizer's files and pass token ids"
    what, files = f"the tokenizer in {directory} cannot be read", map(directory.joinpath, _FILES)
    with told_as(ModelError, what, advice, files), quiet_transformers():
        tokenizer = _from_pretrained(directory)
        # What is wrong in its files may show only when a text is read.
        tokenizer(["The"])
        return tokenizer


def remember_tokenizer(bridge: TransformerBridge, tokenizer: PreTrainedTokenizerBase) -> None:
    """Note which tokenizer a bridge was booted from, for `tokenizer_of`."""
    _originals[bridge] = tokenizer


def has_tokenizer(bridge: TransformerBridge) -> bool:
    """Whether `tokenizer_of` finds one."""
    return bridge in _originals or getattr(bridge, "tokenizer", None) is not None


def tokenizer_of(bridge: TransformerBridge) -> PreTrainedTokenizerBase:
    """Return the tokenizer of a bridge's model, free of the start token of TransformerLens.

    Exact for bridges from `load_model`. For others the tokenizer's files are read again from where
    they came; where they are gone, a copy that adds no start token stands in for it.

    Raises:
        ModelError: The bridge has no tokenizer.

    >>> tokenizer_of(model)("w1 w2 w3")["input_ids"]
    [1, 2, 3]
    """
    original = _originals.get(bridge)
    if original is not None:
        return original
    present = getattr(bridge, "tokenizer", None)
    if present is None:
        raise ModelError(
            "this model has no tokenizer: pass token ids (PromptPairs), "
            "or boot the bridge with tokenizer=AutoTokenizer.from_pretrained(…)"
        )
    reread = _reread(present)
    return _without_start_token(present) if reread is None else reread


def _from_pretrained(name: str | Path) -> PreTrainedTokenizerBase:
    return AutoTokenizer.from_pretrained(name, local_files_only=True, trust_remote_code=False)


def _reread(present: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase | None:
    if not present.name_or_path:
        return None
    try:
        with quiet_transformers():
            reread = _from_pretrained(present.name_or_path)
    except Exception:
        # Files that are gone, or of something else by now, raise anything.
        return None
    # A name can be reused: the files must still hold the vocabulary that the bridge speaks.
    return reread if reread.get_vocab().items() <= present.get_vocab().items() else None


def _without_start_token(present: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    copied = deepcopy(present)
    if getattr(copied, "add_bos_token", False):
        copied.add_bos_token = False
    return copied
