"""Methods that choose edges on a toy: measured, kept and shown."""

from __future__ import annotations

import json
from concurrent.futures import Future

import pytest

from benchmarks import edges
from benchmarks.edges_table import markdown, summary
from circuits import DiscoveryConfig
from circuits.evaluation import MIB_SHARES

FEW = {"n_prompts": 4, "n_validation_prompts": 4, "n_held_out_prompts": 4, "keep": 50.0}


@pytest.fixture(scope="module")
def row(toy):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("circuits.edge_search.choose.MOST_LEFT_OUT", 3)
        return edges.measure(*toy, DiscoveryConfig("eap", mlps="nodes", **FEW))


def test_a_method_is_measured(row) -> None:
    assert row["ranking"] == "eap"
    assert row["edges"] >= row["nodes"] - 1
    assert list(row["signed"]["faithfulness"]) == [str(share) for share in MIB_SHARES]
    assert row["signed"]["faithfulness"]["1.0"] == pytest.approx(1)
    for name in ("held_out", "cpr", "cmd"):
        value, low, high = row[name]
        assert low <= value <= high
    assert row["passes"]["ranking"] > 1


def test_the_tables_have_every_task_method_and_seed(row) -> None:
    rows = {f"{task} {seed} {method}": row | {"method": method}
            for task in ("ioi", "greater-than") for seed in (0, 1, 10)
            for method in ("eap", "random")}  # fmt: skip
    short = row | {"method": "random", "reaches": False}
    measured = {"model": "toy", "rows": rows | {"ioi 0 random": short}}
    text = markdown(measured)
    assert f"| ioi | eap | 3 | {row['edges']} ± 0 |" in text
    assert f"|  | random | 3 | {row['edges']} ± 0 |" in text
    assert f" | {row['passes']['behaviour'] + row['passes']['ranking']:.0f} | " in text
    alone = {name: row[name] for name in row if name not in ("cpr", "cmd", "signed", "absolute")}
    unranked = {"ioi 0 acdc": alone | {"method": "acdc"}, **rows}
    unranked = markdown({"model": "toy", "rows": unranked})
    assert f"| ioi | acdc | 1 | {row['edges']} ± 0 |" in unranked
    assert "|  |  |  |  | " in unranked
    shown = f"{row['edges']}: {row['held_out'][0]:.0f} %"
    assert f"| random | {shown}* | {shown} |" in summary(measured)


def test_what_is_known_is_not_measured_again(row, tmp_path, monkeypatch) -> None:
    asked: list[str] = []

    class Alone:
        def __init__(self, *_: object, **__: object) -> None: ...

        def shutdown(self, *, cancel_futures: bool) -> None: ...

        def submit(self, _: object, model: str, device: str, task: str, method: str, seed: int):
            asked.append(f"{task} {method} {seed}")
            (done := Future()).set_result(row)
            return done

    monkeypatch.setattr(edges, "ProcessPoolExecutor", Alone)
    out = tmp_path / "edges.json"
    edges.main(task=["ioi"], method=["eap"], seeds=1, out=out)
    edges.main(task=["ioi"], method=["eap", "gim"], seeds=2, out=out)
    assert asked == ["ioi eap 0", "ioi gim 0", "ioi eap 1", "ioi gim 1"]
    assert set(json.loads(out.read_text())["rows"]) == {
        f"ioi {seed} {method}" for seed in (0, 1) for method in ("eap", "gim")
    }
