"""Which model a result came from, down to its weights."""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
import xxhash
from pydantic import StrictInt
from torch import Tensor
from transformer_lens.model_bridge import TransformerBridge

from circuits.errors import MismatchError
from circuits.forward.extraction import architecture_of, has_parallel_mlp, n_kv_heads_of
from circuits.graph import Mlps, ModelGraph
from circuits.tasks import Spans

_Versions = tuple[tuple[str, int, int], ...]
_hashes: WeakKeyDictionary[TransformerBridge, tuple[_Versions, str]] = WeakKeyDictionary()


@dataclass(frozen=True)
class ModelIdentity:
    """A model's name and shape, and a hash of its weights (XXH3, 128 bits, hexadecimal).

    Attributes:
        name: The model's name, as `load_model` takes it where it can be loaded.
        architecture: The class of the model.
        n_layers: Layers.
        n_heads: Query heads in each.
        n_kv_heads: Key/value heads in each.
        d_model: Width of the residual stream.
        d_head: Width of a head.
        dtype: Of the weights, for example "float32".
        weight_hash: Differs where weights or their dtype do, wherever they are stored; it is no
            signature.
        parallel_mlp: Whether a layer's MLP reads what its heads read, and not what they write;
            None in runs that were saved before it was noted.

    >>> identity = identify(model)
    >>> identity.name, identity.dtype, identity.graph().n_edges
    ('tiny-gemma3', 'float32', 108)
    """

    name: str
    architecture: str
    n_layers: StrictInt
    n_heads: StrictInt
    n_kv_heads: StrictInt
    d_model: StrictInt
    d_head: StrictInt
    dtype: str
    weight_hash: str
    parallel_mlp: bool | None = None

    def graph(self, mlps: Mlps = "path", spans: Spans | None = None) -> ModelGraph:
        """Nodes, receivers and edges of such a model."""
        sizes = self.n_layers, self.n_heads, self.n_kv_heads
        return ModelGraph(*sizes, bool(self.parallel_mlp), mlps, spans)


def identify(bridge: TransformerBridge) -> ModelIdentity:
    """Name, shape and weight hash of a model.

    Hashing reads every weight (about 0.1 seconds per GB where they are in memory); the result is
    kept until a weight is changed by an in-place operation.

    >>> identify(model) == found.provenance.model
    True
    """
    config = bridge.cfg
    return ModelIdentity(
        name=str(config.model_name),
        architecture=architecture_of(bridge),
        n_layers=config.n_layers,
        n_heads=config.n_heads,
        n_kv_heads=n_kv_heads_of(bridge),
        d_model=config.d_model,
        d_head=config.d_head,
        dtype=str(next(bridge.parameters()).dtype).removeprefix("torch."),
        weight_hash=_weight_hash(bridge),
        parallel_mlp=has_parallel_mlp(bridge),
    )


def check_weights(bridge: TransformerBridge, identity: ModelIdentity) -> None:
    """Check that a model has the weights that a circuit was discovered on.

    Raises:
        MismatchError: It has others.

    >>> from dataclasses import replace
    >>> check_weights(model, found.provenance.model)
    >>> check_weights(model, replace(found.provenance.model, weight_hash="0" * 32))
    Traceback (most recent call last):
    circuits.errors.MismatchError: the circuit was discovered on tiny-gemma3 with weights 0000...
    """
    found = identify(bridge)
    if found.weight_hash != identity.weight_hash:
        raise MismatchError(
            f"the circuit was discovered on {identity.name} with weights "
            f"{identity.weight_hash[:12]}, but {found.name} has {found.weight_hash[:12]}; load "
            "the same model and pass it"
        )


def in_use(identity: ModelIdentity) -> list[TransformerBridge]:
    """The models with these weights that something else keeps alive, the last used one last."""
    known = [b for b, (_, digest) in list(_hashes.items()) if digest == identity.weight_hash]
    return [bridge for bridge in known if identify(bridge) == identity]


def _weight_hash(bridge: TransformerBridge) -> str:
    weights = dict(sorted(bridge.state_dict().items()))
    versions = tuple(
        (name, tensor.data_ptr(), _version(tensor)) for name, tensor in weights.items()
    )
    known = _hashes.pop(bridge, None)
    if known is not None and known[0] == versions:
        # Behind all others again: it is the one that was used last.
        _hashes[bridge] = known
        return known[1]
    digest = xxhash.xxh3_128()
    for name, tensor in weights.items():
        digest.update(f"{name} {tuple(tensor.shape)} {tensor.dtype}\n".encode())
        digest.update(_bytes_of(tensor))
    _hashes[bridge] = (versions, digest.hexdigest())
    return digest.hexdigest()


def _version(tensor: Tensor) -> int:
    return 0 if tensor.is_inference() else tensor._version


def _bytes_of(tensor: Tensor) -> memoryview:
    # numpy knows no bfloat16, hence the view as bytes.
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data
