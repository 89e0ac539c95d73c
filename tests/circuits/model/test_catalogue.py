"""Names of models: empty ones, and those with a revision behind them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import RevisionNotFoundError

from circuits.errors import UnknownModelError
from circuits.model.catalogue import check_name, model_directory

FILES = ("config.json", "tokenizer.json", "model.safetensors")


def repository(path: Path) -> Path:
    path.mkdir(parents=True)
    for name in FILES:
        (path / name).write_text("{}")
    return path


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str | None]]:
    """A hub with all revisions but "gone", of which "old" is in the cache; what was downloaded."""
    downloaded: list[tuple[str, str | None]] = []
    old = repository(tmp_path / "old")

    def cached(name: str, file: str, revision: str | None = None) -> str | None:
        assert "@" not in name
        return str(old / file) if revision == "old" else None

    def snapshot(name: str, *, revision: str | None, **_: Any) -> str:
        if revision == "gone":
            raise RevisionNotFoundError.__new__(RevisionNotFoundError)
        downloaded.append((name, revision))
        return str(repository(tmp_path / f"{revision}"))

    monkeypatch.setattr(huggingface_hub, "try_to_load_from_cache", cached)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot)
    return downloaded


@pytest.mark.parametrize("name", ["someone/model", "gpt2"])
def test_a_revision(hub: list[tuple[str, str | None]], tmp_path: Path, name: str) -> None:
    check_name(f"{name}@new")
    assert model_directory(f"{name}@new") == tmp_path / "new"
    assert model_directory(name) == tmp_path / "None"
    assert model_directory(f"{name}@old") == tmp_path / "old"
    assert hub == [(name, "new"), (name, None)]
    with pytest.raises(UnknownModelError, match=r"no model '.*@gone' .*no revision gone of it"):
        model_directory(f"{name}@gone")


def test_a_directory_with_such_a_name_comes_first(hub: list[Any], tmp_path: Path) -> None:
    assert model_directory(str(repository(tmp_path / "mine@new"))) == tmp_path / "mine@new"
    assert hub == []


def test_the_default_model_has_no_revisions() -> None:
    for look_up in (check_name, model_directory):
        with pytest.raises(UnknownModelError, match=r"comes from PyPI and has no revisions"):
            look_up("smollm2-135m@main")


@pytest.mark.parametrize("name", ["", "  "])
def test_an_empty_name(name: str) -> None:
    for look_up in (check_name, model_directory):
        with pytest.raises(UnknownModelError, match="the name of the model is empty"):
            look_up(name)
