"""Discoveries repeated over seeds on the toy: what they share, keep and refuse."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from circuits import Circuit, Discovery, DiscoveryConfig, PruningRule, load_model, load_reference
from circuits.discover import run_discovery
from circuits.discovery.kept import WORK_DIRECTORY
from circuits.discovery.pipeline import Pipeline
from circuits.discovery.store import EXACT_FILE
from circuits.errors import MismatchError, ResumeError, SettingError
from circuits.runtime.executors import EXECUTORS
from circuits.runtime.processes import PROCESSES
from circuits.runtime.progress import Progress
from circuits.runtime.workers import Workers
from circuits.studies import LuckySeedWarning, SeedRun, discover_seeds
from circuits.studies.repeated import Repeated
from tests.circuits.conftest import RULE
from tests.circuits.prompts import ToyTask
from tests.circuits.runtime.jobs import LosingKind

CONFIG = DiscoveryConfig(
    method="app",
    n_prompts=2,
    n_mean_prompts=4,
    n_sampled_paths=4,
    selection=RULE,
    pruning=PruningRule("biggest", 0.2, 0.5, 0.1),
    seed=1,
)


class StoppedError(Exception):
    pass


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    return tmp_path_factory.mktemp("seeds") / "study"


@pytest.fixture(scope="module")
def heard():
    return []


@pytest.fixture(scope="module")
def checks():
    return []


@pytest.fixture(scope="module")
def study(toy, directory, heard, checks):
    """Stopped after the first seed, and gone on with."""

    def stop(line: str) -> None:
        if line.startswith("seed 2"):
            raise StoppedError

    settings = {"seeds": 2, "config": CONFIG, "against": "path-patching", "directory": directory}
    with pytest.raises(StoppedError):
        discover_seeds(*toy, **settings, progress=Progress(notes=stop))
    assert sorted(path.name for path in directory.iterdir()) == ["seed-1"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("circuits.forward.check.check_once", checks.append)
        return discover_seeds(
            *toy, **settings, progress=lambda *step: heard.append(step), resume=True
        )


def test_the_default_against_another_method_on_the_same_prompts(toy) -> None:
    few = {"n_prompts": 4, "n_mean_prompts": 6, "n_validation_prompts": 6, "n_held_out_prompts": 6}
    config, heard = DiscoveryConfig(keep=70.0, **few), []
    study = discover_seeds(
        *toy, seeds=1, config=config, against="path-patching", progress=lambda *s: heard.append(s)
    )
    (run,) = study.runs
    assert run.found.sizes is not None
    assert run.found.performance == run.found.sizes.point.held_out.value
    assert run.against is not None
    assert run.against.config == config.with_method("path-patching")
    parts = [part for _, part in heard]
    assert parts == sorted(parts)
    assert parts[-1] == 1.0


@pytest.fixture
def no_run(monkeypatch):
    monkeypatch.setattr(Pipeline, "__init__", lambda *_: pytest.fail("began a run"))


def test_a_run_is_what_its_seed_gives_alone(toy, study) -> None:
    assert [run.seed for run in study.runs] == [1, 2]
    assert study.reported == 1
    alone = run_discovery(*toy, replace(CONFIG, seed=2))
    shared = study.runs[1].found
    assert shared.circuit.connections == alone.circuit.connections
    assert shared.performance == pytest.approx(alone.performance, rel=1e-4)
    assert 0 < len(alone.circuit) < 12
    cost, whole = (one.cost.of("patching").flops for one in (shared, alone))
    assert cost < whole / 2, "the sweep among all heads was there"
    assert alone.config == shared.config


def test_runs_are_compared_on_the_same_prompts(study) -> None:
    for run in study.runs:
        assert run.against.config == replace(run.found.config, method="path-patching")
        assert run.against.behaviour == run.found.behaviour
        assert run.heads == run.found.circuit.compare(run.against.circuit)
        shared = run.found.circuit.connections & run.against.circuit.connections
        assert run.edges.true_positives == shared
    assert study.figures["edge recall"].values[1] == study.runs[0].edges.recall


def test_each_run_is_saved_where_it_is_found_again(study, directory) -> None:
    for run in study.runs:
        saved = Discovery.load(directory / f"seed-{run.seed}")
        assert saved == run.found
        assert Discovery.load(directory / f"seed-{run.seed}" / "against") == run.against


def test_what_is_there_is_not_run_again(toy, study, directory, no_run, heard, checks) -> None:
    settings = {"config": CONFIG, "against": "path-patching", "directory": directory}
    again = discover_seeds(*toy, seeds=(2, 1), **settings)
    assert again.reported == 1
    assert [run.found for run in again.runs] == [run.found for run in study.runs[::-1]]
    (one,) = discover_seeds(*toy, seeds=[2], config=CONFIG, directory=directory).runs
    assert one.against is None
    fractions = [fraction for stage, fraction in heard if stage == "seeds"]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1.0
    assert len(checks) == 1, "the model is checked once for all seeds"


def test_other_settings_are_run_but_nothing_known_is_measured_again(toy, study, directory) -> None:
    changed = replace(CONFIG, memory_bytes=10**9)
    (again,) = discover_seeds(*toy, seeds=1, config=changed, directory=directory).runs
    assert again.found.config.memory_bytes == 10**9
    assert again.found.cost.of("patching").flops == 0
    assert again.found.circuit == study.runs[0].found.circuit
    with pytest.raises(ResumeError, match="but it has another metric"):
        discover_seeds(
            *toy,
            seeds=1,
            config=replace(CONFIG, metric="prob_diff"),
            directory=directory,
            resume=True,
        )


def test_a_reference_is_checked_before_any_work(toy, no_run) -> None:
    with pytest.raises(MismatchError, match="3 layers x 4 heads"):
        discover_seeds(*toy, config=CONFIG, against=load_reference("ioi-gpt2"))
    with pytest.raises(MismatchError, match="different models"):
        discover_seeds(*toy, config=CONFIG, against=Circuit.of_heads(["0.1"], 2, 2))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"seeds": 0}, SettingError, "seeds must be at least 1"),
        ({"seeds": ()}, SettingError, "seeds must be at least 1"),
        ({"seeds": (1, 2, 1)}, SettingError, "each seed can be run once; got 1, 2, 1"),
        ({"against": "app"}, SettingError, "cannot be compared with itself"),
        ({"against": "path-patchin"}, SettingError, "did you mean 'path-patching'"),
        ({"resume": True}, ResumeError, "in no directory"),
    ],
)
def test_nonsense(toy, no_run, settings, error, message: str) -> None:
    with pytest.raises(error, match=message):
        discover_seeds(*toy, config=CONFIG, **settings)


def test_resume_needs_a_begun_study(toy, tmp_path) -> None:
    with pytest.raises(ResumeError, match="which holds none"):
        discover_seeds(*toy, config=CONFIG, directory=tmp_path, resume=True)


def test_where_there_is_no_circuit_every_seed_says_so(toy) -> None:
    bridge, _ = toy
    task = ToyTask(bridge, reverse=True)
    config = replace(CONFIG, n_prompts=8, n_mean_prompts=8)
    study = discover_seeds(bridge, task, seeds=3, config=config, against="path-patching")
    assert list(study.refusals) == [1, 2, 3]
    assert study.head_counts == {}
    assert not study.figures["performance"].known


class TestWorkers:
    def same(self, study, other) -> bool:
        pairs = zip(study.runs, other.runs, strict=True)
        return all(
            replace(mine, cost=its.cost) == its
            for one, two in pairs
            for mine, its in ((one.found, two.found), (one.against, two.against))
        )

    def test_they_find_what_one_process_finds(self, toy, study, tmp_path, monkeypatch) -> None:
        settings = {"seeds": 2, "config": CONFIG, "against": "path-patching"}
        heard = []
        with ThreadPoolExecutor(2) as pool:
            workers = Workers(pool, count=2)
            found = discover_seeds(
                *toy,
                **settings,
                directory=tmp_path,
                workers=workers,
                progress=lambda _, part: heard.append(part),
            )
            assert self.same(found, study)
            assert heard == sorted(heard)
            assert (heard[0], heard[-1]) == (0.0, 1.0)
            monkeypatch.setattr(Workers, "run", lambda _, jobs, *__: iter(jobs))
            again = discover_seeds(
                *toy, **settings, directory=tmp_path, workers=workers, resume=True
            )
            assert self.same(again, found), "nothing was left to run"

    @pytest.mark.filterwarnings("ignore::circuits.behaviour.WeakTaskWarning")
    def test_a_lost_process_changes_nothing(self, tiny, tmp_path) -> None:
        model, config = load_model(tiny), replace(CONFIG, ignore_behaviour=True)
        alone = discover_seeds(model, "ioi", seeds=2, config=config)
        kind = LosingKind(PROCESSES, f"seed-2/{WORK_DIRECTORY}/{EXACT_FILE}")
        with EXECUTORS.with_entry(kind):
            workers = Workers("losing", count=2)
            given = {"directory": tmp_path, "workers": workers}
            found = discover_seeds(model, "ioi", seeds=2, config=config, **given)
        assert kind.opened[0].marker.exists()
        pairs = zip(found.runs, alone.runs, strict=True)
        assert all(replace(a.found, cost=b.found.cost) == b.found for a, b in pairs)

    def test_they_need_a_directory(self, toy, no_run) -> None:
        with pytest.raises(SettingError, match="workers save what they find: give a directory"):
            discover_seeds(*toy, config=CONFIG, workers=Workers())

    def test_what_a_worker_cannot_do_is_raised(self, toy, tmp_path, monkeypatch) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise MismatchError("other weights")

        monkeypatch.setattr("circuits.discovery.session.Session.open", refuse)
        with ThreadPoolExecutor(1) as pool, pytest.raises(MismatchError, match="other weights"):
            discover_seeds(*toy, config=CONFIG, directory=tmp_path, workers=Workers(pool))


def test_a_lucky_seed_is_warned_of(toy, found, monkeypatch) -> None:
    def in_session(self, session, progress):
        lucky = 99.0 if session.config.seed == 1 else 50.0 + session.config.seed % 3
        return SeedRun(replace(found, config=session.config, performance=lucky))

    monkeypatch.setattr(Repeated, "in_session", in_session)
    with pytest.warns(
        LuckySeedWarning, match=r"seed 1, the seed that is reported.*is 99,"
    ) as warned:
        discover_seeds(*toy, config=CONFIG)
    assert len(warned) == 1
