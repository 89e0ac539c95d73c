"""The benchmark of seeds on the toy: one study, its table, and where it goes on."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from benchmarks import seeds
from circuits import PruningRule, SelectionRule
from circuits.config import DiscoveryConfig

SMALL = DiscoveryConfig(
    n_prompts=3,
    n_mean_prompts=6,
    selection=SelectionRule(threshold=0.8, logits_threshold=0.6, min_effect=0.001),
    pruning=PruningRule("biggest", 0.2, 0.5, 0.1),
)


@pytest.fixture
def small(toy, monkeypatch):
    """The benchmark of a toy task, with settings that are quick; what was asked for."""
    asked: list[DiscoveryConfig] = []

    def config(**settings):
        asked.append(replace(SMALL, **settings))
        return asked[-1]

    monkeypatch.setattr(seeds, "DiscoveryConfig", config)
    monkeypatch.setattr(seeds, "load_model", lambda name: toy[0])
    monkeypatch.setattr(seeds, "get_task", lambda name: toy[1])
    monkeypatch.setattr(seeds, "list_tasks", lambda: ("toy",))
    return asked


def test_a_task_is_measured_kept_and_told(small, tmp_path) -> None:
    out, few = tmp_path / "seeds.json", {"model": "toy", "n_prompts": 3, "runs": tmp_path / "runs"}
    seeds.main(seeds=2, out=out, **few)
    assert [config.n_prompts for config in small] == [3]
    measured = json.loads(out.read_text())
    task = measured["tasks"]["toy"]
    assert task["against"] == "path-patching"
    assert (tmp_path / "runs" / "toy" / "seed-1" / "against" / "circuit.json").is_file()
    assert (tmp_path / "runs" / "toy" / "seeds.json").is_file()
    recall, dense = task["figures"]["head recall"], task["runs"][0]["against"]
    text = seeds.markdown(measured)
    assert f"{recall['mean']:.2f} ± {recall['sd']:.2f}" in text
    assert f"{sum(run['against']['figures']['heads'] for run in task['runs']) / 2:.1f} ±" in text
    assert dense["figures"]["heads"] == len(dense["heads"])
    assert "mean ± SD over 2 seeds" in text
    assert seeds.tasks_kept(out, {"model": "toy", "seeds": 2, "n_prompts": 3}).keys() == {"toy"}
    assert seeds.tasks_kept(out, {"model": "toy", "seeds": 3, "n_prompts": 3}) == {}


def test_means_are_over_tasks_and_the_papers_are_beside() -> None:
    def task(precision: float | None) -> dict:
        known = {"mean": precision}
        figures = {"performance": 90.0, "heads": 4.0, "edges": None, "sparsity": 0.5}
        figures |= dict.fromkeys(seeds._RATES, precision)
        return {
            "figures": dict.fromkeys(seeds._RATES, known),
            "runs": [{"figures": figures, "against": {"figures": figures}}],
            "machine": {"torch": "2", "commit": "abc1234"},
        }

    tasks = {"ioi": task(0.8), "docstring": task(0.6), "other": task(None)}
    text = seeds.markdown({"model": "m", "seeds": 1, "n_prompts": 2, "tasks": tasks})
    assert "| 0.80 ± 0.00 | 0.80 ± 0.00 | 0.80 ± 0.00 | 0.80 ± 0.00 | 0.56 / 0.54 |" in text
    assert "| mean |  |  |  |  |  |  |  | 0.70 | 0.70 | 0.70 | 0.70 |  |" in text
    assert "none" in text
