"""From a name or a path to a TransformerBridge that our forward pass reproduces."""

from __future__ import annotations

import re
import warnings
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources import build_bridge_from_module
from transformer_lens.model_bridge.sources.transformers import determine_architecture_from_hf_config
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    PreTrainedConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from circuits.errors import (
    ModelError,
    ModelOptionError,
    UnsupportedModelError,
    quoted,
)
from circuits.forward import LayeredModel
from circuits.model.catalogue import ADAPTER_FILE, CONFIG_FILE, DEFAULT_MODEL, model_directory
from circuits.model.identity import ModelIdentity, check_weights, in_use
from circuits.model.placement import Devices, Placement
from circuits.model.quiet import quiet_transformers
from circuits.model.tokenizers import has_tokenizer, read_tokenizer, remember_tokenizer
from circuits.runtime.progress import Note
from circuits.runtime.told import check_regular, told_as

_DTYPES = {"float64": torch.float64, "float32": torch.float32}
_DTYPES |= {"bfloat16": torch.bfloat16, "float16": torch.float16}
_SEE_MODELS = "see `circuits models` for ones that work"


_MERGE = "merge it first (merge_and_unload of PEFT), and load the model that this gives"
_ADAPTER_WEIGHT = re.compile(r"(^|\.)(lora_|modules_to_save\.|base_layer\.)")
_MASK = "masked_bias"
"""Of older versions of transformers: what a mask put in the place of what is not seen."""


class UnusedWeightsWarning(UserWarning):
    """A checkpoint has weights that the model it describes has no place for.

    >>> import warnings
    >>> warnings.simplefilter("error", UnusedWeightsWarning)
    """


def load_model(
    name_or_path: str | Path = DEFAULT_MODEL,
    *,
    device: Devices | None = None,
    dtype: torch.dtype | str = torch.float32,
    check: bool = True,
    progress: Note | None = None,
) -> TransformerBridge:
    """Load a causal language model, ready for `discover_circuit`.

    The model is in evaluation mode, needs no gradients and runs eager attention. Its tokenizer, as
    published, is `tokenizer_of(model)`.

    Args:
        name_or_path: A name of `list_models()`, any Hugging Face name (perhaps `@` and a revision
            behind it), or a checkpoint directory.
        device: By default "cuda" where there is one, else "cpu". "auto" spreads the layers over all
            GPUs, and so do the other ways of transformers' `device_map`, or a mapping of modules.
        dtype: float32, bfloat16, float16 or float64.
        check: Compare our forward pass with the model's own now, and not when it is first used.
        progress: Called with a line of text when a step takes long.

    Raises:
        UnknownModelError: No model goes by this name, or the path holds no checkpoint.
        DownloadError: The model could not be fetched.
        NotEnoughSpaceError: The cache's disk has too little room.
        NotEnoughMemoryError: The model does not fit into memory.
        UnsupportedModelError: Circuits cannot be searched in its architecture.
        ModelOptionError: The dtype or the device does not exist, or not here.
        NonFiniteError: Its logits are NaN or infinite.
        ModelError: The checkpoint is broken, or has an adapter; the base of all these.

    Warns:
        UnusedWeightsWarning: The checkpoint has weights that the model has no place for.

    >>> from transformers import LlamaConfig, LlamaForCausalLM
    >>> sizes = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2}
    >>> LlamaForCausalLM(LlamaConfig(**sizes)).save_pretrained(directory / "tiny")
    >>> load_model(directory / "tiny", dtype="float64").cfg.n_layers
    2
    """
    chosen_dtype = _dtype(dtype)
    placement = Placement.of(device, chosen_dtype)
    directory = model_directory(name_or_path, progress)
    bridge = _loaded(directory, str(name_or_path), chosen_dtype, placement)
    if check:
        LayeredModel.of(bridge)
    return bridge


def model_of(identity: ModelIdentity) -> TransformerBridge:
    """The model that a result came from: the one in use, or loaded again by its name.

    Raises:
        ModelError: It cannot be loaded.
        MismatchError: What goes by its name here has other weights.

    >>> from circuits.model import identify
    >>> model_of(identify(model)) is model  # still in use, so that nothing is loaded
    True
    """
    # Of several the last used that reads a task's text: a bridge may be booted without a tokenizer.
    known = sorted(in_use(identity), key=has_tokenizer)
    bridge = known[-1] if known else load_model(identity.name, dtype=identity.dtype)
    check_weights(bridge, identity)
    return bridge


def _loaded(
    directory: Path, name: str, dtype: torch.dtype, placement: Placement
) -> TransformerBridge:
    """The model in a directory, with its tokenizer remembered."""
    check_regular(directory)
    _refuse_adapter(directory, name)
    config = _read_config(directory, name)
    architecture = _causal_architecture(config, name)
    _check_sizes(config, directory, name)
    tokenizer = read_tokenizer(directory)
    model = _read_weights(directory, name, config, dtype, placement)
    placement.place(model, name)
    bridge = _wrap(model, architecture, name, tokenizer)
    bridge.eval().requires_grad_(False)
    if tokenizer is not None:
        remember_tokenizer(bridge, tokenizer)
    return bridge


def _dtype(dtype: torch.dtype | str) -> torch.dtype:
    chosen = _DTYPES.get(dtype) if isinstance(dtype, str) else dtype
    if chosen is None or chosen not in _DTYPES.values():
        raise ModelOptionError(f"dtype must be one of {', '.join(_DTYPES)}, got {dtype}")
    return chosen


def _read_config(directory: Path, name: str) -> PreTrainedConfig:
    what = f"transformers cannot read the configuration of {name}"
    config_file = directory / CONFIG_FILE
    with told_as(UnsupportedModelError, what, _SEE_MODELS, [config_file]), quiet_transformers():
        return AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)


def _causal_architecture(config: PreTrainedConfig, name: str) -> str:
    """Name the class of a decoder-only model. Raises UnsupportedModelError for any other."""
    given = config.architectures
    named = [one for one in given if isinstance(one, str)] if isinstance(given, list) else []
    declared = ", ".join(named or [str(config.model_type)])
    try:
        architecture = determine_architecture_from_hf_config(config)
    except (ValueError, TypeError, AttributeError, LookupError):
        architecture = ""
    causal = set(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES.values())
    if config.is_encoder_decoder or not causal & {architecture, *named}:
        reason = "is not a causal language model (it is an encoder, or has one)"
    elif architecture not in causal:
        reason = "is not known to TransformerLens as a causal language model"
    elif getattr(config, "quantization_config", None) is not None:
        reason = "has quantised weights, whose heads cannot be taken apart"
    else:
        return architecture
    raise UnsupportedModelError(f"{name} ({declared}) {reason}: {_SEE_MODELS}")


def _check_sizes(config: PreTrainedConfig, directory: Path, name: str) -> None:
    """A number in `config.json` must not decide how much memory is taken, or how long it takes."""
    files = [path for path in directory.iterdir() if path.suffix in (".safetensors", ".bin")]
    n_bytes = sum(path.stat().st_size for path in files)
    width = getattr(config, "hidden_size", None)
    for size in ("vocab_size", "num_hidden_layers"):
        number = getattr(config, size, None)
        # Each token has a vector of this width, and each layer at least a norm.
        if isinstance(number, int) and isinstance(width, int) and number * width > n_bytes > 0:
            raise ModelError(
                f"the weights of {name} cannot be read: {CONFIG_FILE} announces {size} "
                f"{quoted(number)} of width {quoted(width)}, and their files have {n_bytes} bytes; "
                "download or save the checkpoint again"
            )


def _read_weights(
    directory: Path,
    name: str,
    config: PreTrainedConfig,
    dtype: torch.dtype,
    placement: Placement,
) -> PreTrainedModel:
    what = f"the weights of {name} cannot be read as {CONFIG_FILE} describes them"
    advice = "download or save the checkpoint again"
    with told_as(ModelError, what, advice), quiet_transformers():
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            directory,
            config=config,
            dtype=dtype,
            # FLOPs are counted, patterns seen, and experts run in float64, in eager mode only.
            attn_implementation="eager",
            experts_implementation="eager",
            local_files_only=True,
            trust_remote_code=False,
            output_loading_info=True,
            **placement.settings,
        )
    model, report = loaded
    _check_used(name, sorted(report["unexpected_keys"]))
    missing = sorted(report["missing_keys"])
    if missing:
        raise ModelError(
            f"the checkpoint of {name} lacks {len(missing)} of its weights ({missing[0]} for one), "
            "which would be random numbers: download or save it again, "
            "with all weights of the language model"
        )
    return model


def _check_used(name: str, unused: list[str]) -> None:
    """Refuse an adapter among the weights; warn of others that the model has no place for."""
    if adapter := [key for key in unused if _ADAPTER_WEIGHT.search(key)]:
        raise ModelError(
            f"the weights of {name} have an adapter among them ({len(adapter)} of them, "
            f"{adapter[0]} for one), which would be left out: {_MERGE}"
        )
    unused = [key for key in unused if not key.endswith(_MASK)]
    if unused:
        warnings.warn(
            f"weights of {name} are not used ({len(unused)} of them, {unused[0]} for one): its "
            "config.json announces none of these; where they belong to the model, what is loaded "
            "is not the one that was trained",
            UnusedWeightsWarning,
            stacklevel=5,
        )


def _refuse_adapter(directory: Path, name: str) -> None:
    if (directory / ADAPTER_FILE).is_file():
        raise ModelError(
            f"{name} has an adapter beside its weights ({ADAPTER_FILE}), which would be left out: "
            f"{_MERGE}; where it is merged already, remove {ADAPTER_FILE}"
        )


def _wrap(
    model: PreTrainedModel,
    architecture: str,
    name: str,
    tokenizer: PreTrainedTokenizerBase | None,
) -> TransformerBridge:
    # TransformerLens changes the tokenizer it is given, so it gets a copy.
    copied, what = deepcopy(tokenizer), f"TransformerLens cannot wrap {name}, a {architecture}"
    with told_as(UnsupportedModelError, what, _SEE_MODELS):
        return build_bridge_from_module(
            model, architecture, hf_config=model.config, tokenizer=copied, model_name=name
        )
