"""Studies: a search over all settings, on the toy and from the command line."""

import json
from dataclasses import replace

import optuna
import pytest

from circuits import Discovery, DiscoveryConfig, PruningRule, SelectionRule, discover_study
from circuits.components import all_heads
from circuits.discover import run_discovery
from circuits.discovery.patcher import EdgePatcher
from circuits.errors import SettingError
from circuits.patching.paths import edge_sums
from circuits.runtime.progress import SILENT
from circuits.studies.grid import best
from circuits.studies.trials import THRESHOLDS, _best_first, _loss
from circuits.studies.tuning import STUDY_STAGES
from tests.circuits.cli.command_line import FEW, circuits, error_of
from tests.circuits.conftest import ON_DISCOVERY, RULE
from tests.circuits.prompts import ToyTask

KEEP = 60.0
CONFIG = DiscoveryConfig(
    method="app",
    n_prompts=4,
    n_mean_prompts=10,
    selection=replace(RULE, threshold=THRESHOLDS[0], logits_threshold=1.0),
    pruning=PruningRule("biggest", 0.2, 0.6, 0.05),
)


@pytest.fixture(scope="module")
def heard():
    return []


@pytest.fixture(scope="module")
def study(toy, heard):
    def hear(stage, fraction):
        heard.append((stage, fraction))

    return discover_study(*toy, n_trials=20, keep=KEEP, config=CONFIG, progress=hear)


def test_what_is_chosen_is_the_smallest_that_keeps_enough(study):
    assert study.n_trials == 20
    assert study.keeps_enough
    enough = [point for point in study.points if point.performance >= KEEP]
    assert len(study.best.circuit) == min(len(point.circuit) for point in enough)
    assert len({point.circuit.heads for point in study.points}) == len(study.points) > 2
    assert set(study.pareto) <= set(study.points)
    sizes = [len(p.circuit) for p in sorted(study.pareto, key=lambda p: p.performance)]
    assert sizes == sorted(sizes)


def test_the_given_settings_are_tried_first(study):
    assert study.points[0].selection == CONFIG.selection
    assert study.points[0].pruning == replace(CONFIG.pruning_rule, full_curve=True)


def test_a_trial_is_what_a_discovery_of_its_settings_estimates(toy, study):
    for point in study.points[:2]:
        rough = replace(CONFIG, selection=point.selection, pruning=point.pruning, verify=False)
        alone = run_discovery(*toy, rough)
        assert alone.circuit.heads == point.circuit.heads
        assert len(alone.circuit.edges) == len(point.circuit.edges)
        assert len(alone.candidates) == point.n_candidates
        assert alone.performance == pytest.approx(point.performance, rel=1e-4)


def test_the_found_circuit_is_what_a_discovery_of_its_config_finds(toy, study):
    assert study.found.verification is not None
    again = run_discovery(*toy, study.found.config)
    assert again.circuit.heads == study.found.circuit.heads
    assert again.candidates == study.found.candidates
    assert again.performance == pytest.approx(study.found.performance, rel=1e-4)
    evaluated = study.found.evaluate(config=ON_DISCOVERY).performance.value
    assert evaluated == pytest.approx(study.found.performance, rel=1e-6)


def test_stages_and_progress(study, heard):
    assert tuple(stage.stage for stage in study.cost.stages) == STUDY_STAGES
    assert tuple(dict.fromkeys(stage for stage, _ in heard)) == STUDY_STAGES
    for stage in STUDY_STAGES:
        fractions = [fraction for name, fraction in heard if name == stage]
        assert fractions == sorted(fractions)
        assert (fractions[0], fractions[-1]) == (0.0, 1.0)


def test_one_sweep_serves_every_trial(toy, monkeypatch):
    config = replace(CONFIG, method="path-patching")
    sweeps = []

    def counted(*arguments, **options):
        sweeps.append(arguments)
        return edge_sums(*arguments, **options)

    monkeypatch.setattr("circuits.discovery.patcher.edge_sums", counted)
    discover_study(*toy, n_trials=3, keep=KEEP, config=config)
    assert len(sweeps) == 1


def test_the_same_seed_the_same_study_and_a_quiet_one(toy, capfd):
    before = optuna.logging.get_verbosity()
    first, second = (discover_study(*toy, n_trials=3, config=CONFIG) for _ in range(2))
    assert first.points == second.points
    assert first.found.circuit == second.found.circuit
    assert optuna.logging.get_verbosity() == before
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("engine", ["exact", "sweep"])
def test_without_pruning_only_the_rule_varies(toy, engine):
    config = replace(CONFIG, method="path-patching", engine=engine)
    found = discover_study(*toy, n_trials=4, config=config)
    assert {point.pruning for point in found.points} == {None}
    assert {point.n_candidates for point in found.points} == {12}
    assert found.found.prunings == {}
    assert found.found.candidates == set(all_heads(3, 4))
    assert run_discovery(*toy, found.found.config).circuit.heads == found.found.circuit.heads


def test_a_rule_that_tests_significance_has_no_thresholds_to_vary(toy):
    rule = SelectionRule(kind="significance", false_discovery_rate=0.3)
    config = replace(CONFIG, selection=rule, n_prompts=8)
    found = discover_study(*toy, n_trials=4, config=config)
    assert found.points[0].selection == rule
    rules = [point.selection for point in found.points]
    assert len({r.min_effect for r in rules}) == len(rules)
    assert {replace(r, min_effect=0.01) for r in rules} == {rule}
    again = run_discovery(*toy, found.found.config)
    assert again.circuit.heads == found.found.circuit.heads
    with pytest.raises(
        SettingError, match=r"4 prompts give p-values .* give at least [67] prompts"
    ):
        discover_study(*toy, n_trials=4, config=replace(config, n_prompts=4))


def test_nothing_is_tried_where_there_is_no_circuit(toy, tmp_path):
    bridge, _ = toy
    config = replace(CONFIG, n_prompts=8)
    found = discover_study(bridge, ToyTask(bridge, reverse=True), config=config)
    assert found.found.verdict.refuses
    assert (found.points, found.n_trials, found.keeps_enough) == ((), 0, False)
    assert [stage.stage for stage in found.cost.stages] == ["behaviour"]
    found.save(tmp_path)
    assert Discovery.load(tmp_path) == found.found


def test_a_shortfall_always_costs_more_than_heads():
    losses = [_loss(*a, 75.0) for a in ((0.2, 80.0), (0.9, 75.0), (0.0, 74.0), (0.0, 10.0))]
    assert losses == sorted(losses)


def test_what_is_verified_first(study):
    order = _best_first(study.points, KEEP)
    assert order[0] == best(study.points, KEEP)
    assert all(point.performance >= KEEP for point in order)
    assert [len(p.circuit) for p in order] == sorted(len(p.circuit) for p in order)
    (only,) = _best_first(study.points, 1000.0)
    assert only.performance == max(point.performance for point in study.points)


def test_a_circuit_that_falls_short_when_verified_gives_way_to_the_next(toy, monkeypatch):
    """The first choice is refused by saying that its verified circuit is empty."""
    find, refused = EdgePatcher.find, []

    def finding(self, rules, progress=SILENT):
        (grown,) = find(self, rules, progress)
        if self.settings.verify and not refused:
            refused.extend(rules)
            none = replace(grown.circuit, heads=frozenset(), edges=frozenset())
            return [replace(grown, circuit=none)]
        return [grown]

    monkeypatch.setattr(EdgePatcher, "find", finding)
    found = discover_study(*toy, n_trials=20, keep=KEEP, config=CONFIG)
    assert refused
    assert found.best.selection != refused[0]
    assert found.keeps_enough


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"n_trials": 0}, "n_trials must be at least 1"),
        ({"keep": 101.0}, "keep must be a percentage"),
        ({"config": DiscoveryConfig(method="flap")}, "patches no paths"),
    ],
)
def test_nonsense_is_refused_before_anything_runs(toy, settings, message):
    with pytest.raises(SettingError, match=message):
        discover_study(*toy, **settings, progress=lambda *_: pytest.fail("ran"))


@pytest.fixture
def command(tiny):
    return ("study", "ioi", "--model", tiny, *FEW, "--trials", "4")


def test_the_command_shows_and_saves(command, tmp_path):
    run = tmp_path / "run"
    shown = circuits(*command, "--out", run, "--keep", "1")
    assert shown.exit_code == 0
    assert "Pareto front of 4 trials" in shown.stdout
    assert "◀ chosen" in shown.stdout
    assert "Trying settings …" in shown.stderr
    printed = json.loads(circuits(*command, "--keep", "1", "--out", run, "--json").stdout)
    saved = json.loads((run / "study.json").read_text())
    assert printed["points"] == saved["points"]
    assert saved["n_trials"] == 4
    assert sum(point["chosen"] for point in saved["points"]) == 1
    assert {"rule", "pruning", "n_candidates", "heads", "pareto"} <= saved["points"][0].keys()
    assert Discovery.load(run).performance == printed["found"]["performance"]


def test_bad_input_is_refused_before_a_model_is_loaded(monkeypatch):
    monkeypatch.setattr("circuits.model.load_model", lambda *_, **__: pytest.fail("loaded a model"))
    assert "n_trials must be at least 1" in error_of("study", "ioi", "--trials", "0", code=2)
    assert "no such option: --cliff" in error_of("study", "ioi", "--cliff", "first", code=2)
    assert "did you mean 'ioi'" in error_of("study", "oii", code=2)
