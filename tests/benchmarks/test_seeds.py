"""The benchmark of seeds: what it asks for, keeps and shows of a study that is made by hand."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from benchmarks import seeds
from benchmarks.publish import kept
from circuits import Circuit, Overlap, SeedStudy
from circuits.studies import SeedRun
from circuits.tasks import list_tasks


@pytest.fixture
def studied(found, monkeypatch):
    """The benchmark with a study that is made by hand; what was asked for."""
    asked: list[dict] = []

    def discover_seeds(bridge, task, **settings):
        settings.pop("progress").note("a line")
        asked.append(settings)
        runs = [
            SeedRun(
                replace(found, config=replace(found.config, seed=seed), performance=90.0 + seed),
                found,
                found.circuit.compare(Circuit.of_heads(["2.1", *["0.0", "0.1"][:seed]], 3, 4)),
                Overlap.of(found.circuit.connections, found.circuit.connections),
            )
            for seed in range(settings["seeds"])
        ]
        return SeedStudy(tuple(runs), reported=0, against=settings["against"])

    monkeypatch.setattr(seeds, "discover_seeds", discover_seeds)
    monkeypatch.setattr(seeds, "load_model", lambda name: None)
    return asked


def test_tasks_are_measured_kept_and_shown(studied, found, tmp_path) -> None:
    out, where = tmp_path / "seeds.json", {"model": "toy", "runs": tmp_path / "runs"}
    seeds.main(task=["docstring"], seeds=2, n_prompts=4, out=out, **where)
    seeds.main(task=["ioi"], seeds=2, n_prompts=5, out=out, **where)
    assert [asked["config"].n_prompts for asked in studied] == [4, 5]
    assert {asked["against"] for asked in studied} == {"path-patching"}
    assert studied[1]["directory"] == tmp_path / "runs" / "ioi"
    assert (tmp_path / "runs" / "ioi" / "seeds.json").is_file()
    measured = json.loads(out.read_text())
    assert list(measured["tasks"]) == [
        name for name in list_tasks() if name in ("ioi", "docstring")
    ]
    recall = measured["tasks"]["ioi"]["figures"]["head recall"]
    text = seeds.markdown(measured)
    row = next(line for line in text.splitlines() if line.startswith("| ioi"))
    assert f"| ioi | 5 | 90.5 ± 0.7 | {found.performance:.1f} ± 0.0 |" in row
    assert f"{recall['mean']:.2f} ± {recall['sd']:.2f} | 1.00 ± 0.00 | 1.00 ± 0.00" in row
    assert "mean ± SD over 2 seeds" in text
    about = {"model": "toy", "seeds": 2}
    assert kept(out, about) == measured
    assert kept(out, {**about, "seeds": 3}) == {}


def test_means_are_over_tasks_and_the_papers_are_beside() -> None:
    def task(precision: float | None) -> dict:
        known = {"mean": precision}
        figures = {"performance": 90.0, "heads": 4.0, "edges": None, "sparsity": 0.5}
        figures |= dict.fromkeys(seeds._RATES, precision)
        return {
            "n_prompts": 2,
            "figures": dict.fromkeys(seeds._RATES, known),
            "runs": [{"figures": figures, "against": {"figures": figures}}],
            "machine": {"torch": "2", "commit": "abc1234"},
        }

    tasks = {"ioi": task(0.8), "docstring": task(0.6), "other": task(None)}
    text = seeds.markdown({"model": "m", "seeds": 1, "tasks": tasks})
    assert "| 0.80 ± 0.00 | 0.80 ± 0.00 | 0.80 ± 0.00 | 0.80 ± 0.00 | 0.56 / 0.54 |" in text
    assert "| mean |  |  |  |  |  |  |  |  | 0.70 | 0.70 | 0.70 | 0.70 |  |" in text
    assert "none" in text
