"""Tensors in a file, with what they depend on and a checksum."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor
from xxhash import xxh3_128

from circuits.runtime.files import DamagedFileWarning, write_atomically


@dataclass(frozen=True, eq=False)
class KeptTensors:
    """Tensors with what they depend on, as JSON, and a note of what goes with them."""

    key: str
    note: str
    tensors: dict[str, Tensor]

    @classmethod
    def read(cls, path: Path) -> KeptTensors | None:
        """What a file holds; None where it is missing or damaged: it is computed again then."""
        if not path.exists():
            return None
        try:
            if not path.is_file():
                raise OSError("a pipe might never end")
            with safe_open(path, "pt") as file:
                label = file.metadata() or {}
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            found = cls(label.get("key", ""), label.get("note", ""), tensors)
            # Versions without checksums kept such files, too.
            if label.get("checksum", found.checksum) == found.checksum:
                return found
        except (OSError, SafetensorError):
            pass
        warn_of_damage(path)
        return None

    def write(self, path: Path) -> None:
        """Replace a file at once."""
        label = {"key": self.key, "note": self.note, "checksum": self.checksum}
        write_atomically({path: save(self.tensors, metadata=label)})

    @property
    def checksum(self) -> str:
        """A hash of all of it."""
        digest = xxh3_128(f"{self.key}\n{self.note}\n".encode())
        for name, tensor in sorted(self.tensors.items()):
            digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
            digest.update(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data)
        return digest.hexdigest()


def warn_of_damage(path: Path, part: str = "") -> None:
    """Say that a file, or a part of it, is left out. Whoever asked is four calls up."""
    left_out = f": {part} cannot be read and are left out" if part else " and is left out"
    held = "they" if part else "it"
    warnings.warn(
        f"{path} is damaged{left_out}; what {held} held is computed again",
        DamagedFileWarning,
        stacklevel=5,
    )
