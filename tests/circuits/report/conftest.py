from __future__ import annotations

from dataclasses import replace

import pytest

from circuits import Circuit, EvaluationConfig
from circuits.evaluation import SavedEvaluation
from circuits.report import SavedRun
from circuits.runtime.cost import Cost
from circuits.tasks import PromptPair, Task
from circuits.tasks.registry import TASKS

HOSTILE = "</script><script>hacked()</script>'\"><img src=x onerror=hacked()>&amp;"


class HostileTask(Task):
    name = HOSTILE
    description = f"Say {HOSTILE}."

    def draw(self, rng, variant, words):
        return PromptPair(f"clean {HOSTILE}", f"corrupted {HOSTILE}", (HOSTILE,), ("b",))


@pytest.fixture(scope="session")
def saved(found, tmp_path_factory):
    """The directory of a run, not evaluated."""
    directory = tmp_path_factory.mktemp("runs") / "toy"
    found.save(directory)
    return directory


@pytest.fixture(scope="session")
def evaluated(found):
    config = EvaluationConfig(prompts="discovery", n_resamples=20)
    return SavedEvaluation.of(found.circuit, config, found.evaluate(config=config))


@pytest.fixture(scope="session")
def run(saved):
    return SavedRun.load(saved)


@pytest.fixture(scope="session")
def other(run):
    """The same run with a head less."""
    circuit = run.found.circuit
    rest = circuit.restricted_to(sorted(circuit.heads)[1:])
    return replace(run, name="runs/other", found=replace(run.found, circuit=rest))


@pytest.fixture(scope="session")
def empty(run):
    """What a search that found nothing leaves."""
    return replace(
        run.found,
        circuit=Circuit.of_heads([], 3, 4),
        performance=float("nan"),
        prunings={},
        scores={},
        effects=None,
        verification=None,
    )


@pytest.fixture
def hostile_task():
    with TASKS.with_entry(HostileTask):
        yield


@pytest.fixture
def hostile(run, hostile_task):
    """A run whose every name was written by someone who means harm."""
    found = run.found
    source = found.provenance
    stages = tuple(replace(stage, stage=HOSTILE) for stage in found.cost.stages)
    return replace(
        run,
        name=HOSTILE,
        digests={HOSTILE: HOSTILE},
        found=replace(
            found,
            provenance=replace(
                source,
                task=HOSTILE,
                model=replace(source.model, name=HOSTILE, weight_hash=HOSTILE),
                versions={HOSTILE: HOSTILE},
            ),
            prunings={f"{HOSTILE}{n}": p for n, p in enumerate(found.prunings.values())},
            scores={f"{HOSTILE}{n}": s for n, s in enumerate(found.scores.values())},
            cost=Cost(stages, found.cost.forward_pass_flops),
        ),
    )
