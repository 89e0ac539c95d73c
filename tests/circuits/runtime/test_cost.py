from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from circuits.errors import UnknownNameError
from circuits.forward import Activations, LayeredModel
from circuits.metrics import logit_diff
from circuits.patching import effect_table
from circuits.runtime import cost as cost_module
from circuits.runtime.cost import Cost, CostMeter, FlopCounter, StageCost, peak_memory
from circuits.runtime.progress import Progress
from circuits.scores import attribution_scores


def test_counts_matrix_products() -> None:
    """A multiplication and an addition count as two."""
    meter = CostMeter()
    with meter.stage("small"):
        torch.ones(3, 5) @ torch.ones(5, 7)
    with meter.stage("nothing"):
        torch.ones(3) + 1
    with meter.stage("batched"):
        torch.ones(2, 3, 5) @ torch.ones(2, 5, 7)
    assert [(stage.stage, stage.flops) for stage in meter.stages] == [
        ("small", 2 * 3 * 5 * 7),
        ("nothing", 0),
        ("batched", 2 * 2 * 3 * 5 * 7),
    ]
    assert all(stage.seconds > 0 for stage in meter.stages)
    assert all(stage.peak_memory_bytes > 0 for stage in meter.stages)


def test_backward_passes_count() -> None:
    meter, weight = CostMeter(), torch.ones(5, 7, requires_grad=True)
    with meter.stage("both"):
        (torch.ones(3, 5) @ weight).sum().backward()
    assert meter.stages[0].flops == 2 * (2 * 3 * 5 * 7)


def test_torch_counts_the_same(bridge, pairs) -> None:
    def work() -> None:
        model = LayeredModel.of(bridge)
        effect_table(model, pairs)
        attribution_scores(Activations(model, pairs, logit_diff))
        bridge(pairs.clean)

    work()
    with FlopCounter() as counter:
        work()
    with FlopCounterMode(display=False) as slow:
        work()
    assert counter.flops == slow.get_total_flops() > 0


def test_progress_of_a_stage() -> None:
    heard: list[tuple[str, float]] = []
    meter = CostMeter(Progress(lambda *what: heard.append(what)))
    with meter.stage("work") as report:
        report(0.25)
    assert heard == [("work", 0.0), ("work", 0.25), ("work", 1.0)]


def test_a_failed_stage_is_not_counted() -> None:
    heard: list[tuple[str, float]] = []
    meter = CostMeter(Progress(lambda *what: heard.append(what)))
    with pytest.raises(RuntimeError, match="broken"), meter.stage("work"):
        raise RuntimeError("broken")
    assert meter.stages == []
    assert heard == [("work", 0.0)]
    with meter.stage("next"):
        pass
    assert len(meter.stages) == 1


def test_speed_is_that_of_all_stages() -> None:
    meter = CostMeter()
    assert meter.flops_per_second == 0
    for _ in range(2):
        with meter.stage("small"):
            torch.ones(3, 5) @ torch.ones(5, 7)
    seconds = sum(stage.seconds for stage in meter.stages)
    assert meter.flops_per_second == pytest.approx(2 * 2 * 3 * 5 * 7 / seconds)


def test_sums() -> None:
    cost = Cost((StageCost("a", 30, 1.5, 100), StageCost("b", 12, 0.5, 300)), 6)
    assert (cost.flops, cost.seconds, cost.peak_memory_bytes) == (42, 2.0, 300)
    assert cost.forward_passes == 7
    assert cost.of("b").flops == 12
    with pytest.raises(UnknownNameError, match="unknown stage 'c'; known stages: a, b"):
        cost.of("c")
    assert Cost((), 6).peak_memory_bytes == 0


def test_peak_memory_is_in_bytes() -> None:
    before = peak_memory()
    held = torch.ones(64, 1 << 20)
    assert peak_memory() >= max(before, held.nbytes)
    assert peak_memory() < 1 << 40


def test_earlier_processes_count() -> None:
    now = (StageCost("a", 30, 1.5, 100), StageCost("b", 12, 0.5, 300))
    cost = Cost(now, 6, (StageCost("b", 6, 1.0, 400), StageCost("c", 12, 0.25, 1)))
    assert (cost.flops, cost.seconds, cost.peak_memory_bytes) == (60, 3.25, 400)
    assert cost.forward_passes == 10
    assert cost.of("b").flops == 12
    assert cost.whole == (now[0], StageCost("b", 18, 1.5, 400), StageCost("c", 12, 0.25, 1))


def test_what_is_spent_is_told_as_it_is_spent(monkeypatch) -> None:
    """Also of a stage that is under way, or cut off; the parts are the whole."""
    told: list[StageCost] = []
    meter = CostMeter(spent=told.append)
    monkeypatch.setattr(cost_module, "_SECONDS_BETWEEN", 0.0)
    with meter.stage("whole"):
        for _ in range(3):
            torch.ones(3, 5) @ torch.ones(5, 7)
            meter.tell()
    assert [part.flops for part in told] == [210, 210, 210, 0]
    assert sum(part.seconds for part in told) == pytest.approx(meter.stages[0].seconds, abs=0.1)
    meter.tell()
    assert len(told) == 4, "nothing is under way"
    with pytest.raises(KeyboardInterrupt), meter.stage("cut off"):
        torch.ones(3, 5) @ torch.ones(5, 7)
        raise KeyboardInterrupt
    assert (told[-1].stage, told[-1].flops) == ("cut off", 210)
    assert [stage.stage for stage in meter.stages] == ["whole"]


def test_it_is_told_at_most_once_a_second() -> None:
    told: list[StageCost] = []
    meter = CostMeter(spent=told.append)
    with meter.stage("whole"):
        for _ in range(100):
            meter.tell()
    assert len(told) == 2


def test_on_windows_which_has_no_module_resource() -> None:
    """In a process of its own: here it is imported already. What psutil needs differs there."""
    program = (
        "import psutil, sys; sys.modules['resource'] = None\n"
        "from circuits.runtime.cost import peak_memory\n"
        "print(peak_memory())"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert finished.returncode == 0, finished.stderr
    assert int(finished.stdout) > 2**20


def test_the_peak_that_windows_tells(monkeypatch) -> None:
    told = SimpleNamespace(memory_info=lambda: SimpleNamespace(rss=5, peak_wset=7))
    monkeypatch.setattr(cost_module, "resource", None)
    monkeypatch.setattr(cost_module.psutil, "Process", lambda: told)
    assert peak_memory() == 7
