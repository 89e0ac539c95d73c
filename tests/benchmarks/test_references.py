"""References of ours are what exact searches found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.exact import references
from benchmarks.references import main, reference_of
from circuits import list_references, load_reference
from circuits.references import Reference


def test_every_finished_search_is_shipped_as_it_is() -> None:
    for task, found in references().items():
        shipped = load_reference(f"{task}-{found.provenance.model.name}")
        assert shipped.circuit == found.circuit
        assert shipped.made_with is not None
        assert shipped.made_with["performance"] == found.performance
    ours = [name for name in list_references() if load_reference(name).is_ours]
    assert len(ours) == len(references()) > 0


def test_writes_what_is_finished(found, tmp_path, capsys) -> None:
    config = replace(found.config, method="path-patching", engine="exact")
    exact = replace(found, config=config)
    exact.save(tmp_path / "searches" / "toy")
    (tmp_path / "searches" / "unfinished" / "work").mkdir(parents=True)
    (tmp_path / "out").mkdir()
    main(tmp_path / "searches", tmp_path / "out")
    (written,) = (tmp_path / "out").iterdir()
    reference = Reference.from_json(written.read_text())
    assert written.stem == reference.name
    assert reference.circuit == found.circuit
    assert reference.made_with is not None
    assert reference.made_with["config"]["n_prompts"] == found.config.n_prompts
    assert f"{len(found.circuit)} heads" in capsys.readouterr().out


def test_other_searches_are_refused(found) -> None:
    with pytest.raises(ValueError, match="a dense exact search, runs/toy holds app by sweep"):
        reference_of(found, Path("runs/toy"))
