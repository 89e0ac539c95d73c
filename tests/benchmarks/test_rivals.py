"""The default and its rivals on a toy: the same prompts, the same test, kept and shown."""

from __future__ import annotations

import json

import pytest

from benchmarks import rivals
from benchmarks.rivals_figure import front, rivals_figure
from benchmarks.rivals_table import by_task, markdown
from circuits import DiscoveryConfig
from circuits.discovery.pipeline import Pipeline
from circuits.discovery.session import Session

FEW = {"n_prompts": 4, "n_mean_prompts": 10, "n_validation_prompts": 6, "n_held_out_prompts": 8}


@pytest.fixture(scope="module")
def row(toy):
    session = Session.of(*toy, DiscoveryConfig(**FEW))
    found = rivals.measure_default(Pipeline(session))
    n_heads = len(found["ways"]["default"]["heads"])
    return found | {"ways": found["ways"] | rivals.measure_rivals(Pipeline(session), n_heads)}


def test_every_way_is_measured(row) -> None:
    assert list(row["ways"]) == [
        "default",
        "top-n by attribution",
        "heads by EAP-IG",
        "threshold rule (app)",
        "grid of 16 thresholds",
        "best of 200 random",
    ]
    for way in row["ways"].values():
        value, low, high = way["held_out"]
        assert low <= value <= high
        assert way["front"][0]["heads"] == way["heads"]


def test_random_circuits_are_as_large_as_the_default(row) -> None:
    default, random = row["ways"]["default"], row["ways"]["best of 200 random"]
    assert len(random["heads"]) == len(default["heads"])


def test_the_table_and_the_figure_have_every_seed(row) -> None:
    rows = {f"ioi {seed}": row for seed in (0, 1, 10, 2)}
    assert len(by_task(rows)["ioi"]) == 4
    text = markdown({"rows": rows})
    size = len(row["ways"]["default"]["heads"])
    assert f"| ioi | default | 4 | {size}.0 ± 0.0 |" in text
    passes = row["passes"]
    search = sum(passes.values()) - passes["validation"] - passes["evaluation"]
    assert f" | {search:.1f} | {passes['validation']:.1f} | " in text
    figure = rivals_figure("ioi", [row, row])
    assert [len(trace.x) for trace in figure.data if trace.name == "default"] == [2]
    means = front([row["ways"]["default"]])
    assert [heads for heads, _ in means] == sorted(heads for heads, _ in means)


def test_what_is_known_is_not_measured_again(row, toy, tmp_path, monkeypatch) -> None:
    asked: list[str] = []

    def measured(run):
        asked.append(f"default {run.session.config.seed}")
        return row | {"ways": {"default": row["ways"]["default"]}}

    def others(run, n_heads):
        asked.append(f"rivals {run.session.config.seed}")
        return {name: way for name, way in row["ways"].items() if name != "default"}

    monkeypatch.setattr(rivals, "measure_default", measured)
    monkeypatch.setattr(rivals, "measure_rivals", others)
    monkeypatch.setattr(rivals, "load_model", lambda name, device: toy[0])
    monkeypatch.setattr(rivals, "get_task", lambda name: toy[1])
    monkeypatch.setattr(rivals, "Pipeline", lambda session: type("Run", (), {"session": session}))
    out = tmp_path / "rivals.json"
    rivals.main(task=["toy"], seeds=2, rival_seeds=1, out=out)
    assert asked == ["default 0", "default 1", "rivals 0"]
    rivals.main(task=["toy"], seeds=3, rival_seeds=2, out=out)
    assert asked[3:] == ["default 2", "rivals 1"]
    assert set(json.loads(out.read_text())["rows"]) == {"toy 0", "toy 1", "toy 2"}


def test_the_default_is_measured_again_on_other_code(row, toy, tmp_path, monkeypatch) -> None:
    asked, out = [], tmp_path / "rivals.json"
    old = row | {"machine": row["machine"] | {"commit": "0000000"}}
    out.write_text(json.dumps({"model": "toy", "rows": {"toy 0": old, "toy 1": row}}))

    def measured(run):
        asked.append(run.session.config.seed)
        return row | {"ways": {"default": row["ways"]["default"]}}

    monkeypatch.setattr(rivals, "measure_default", measured)
    monkeypatch.setattr(rivals, "load_model", lambda name, device: toy[0])
    monkeypatch.setattr(rivals, "get_task", lambda name: toy[1])
    monkeypatch.setattr(rivals, "Pipeline", lambda session: type("Run", (), {"session": session}))
    for again, expected in ((False, []), (True, [0]), (True, [0])):
        rivals.main(task=["toy"], model="toy", seeds=2, rival_seeds=0, again=again, out=out)
        assert asked == expected
    again_known = json.loads(out.read_text())["rows"]["toy 0"]
    assert again_known["machine"] == row["machine"]
    assert again_known["ways"].keys() == row["ways"].keys()
