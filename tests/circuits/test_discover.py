from __future__ import annotations

import inspect
import math
import re
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from scipy.stats import false_discovery_control, permutation_test

from circuits import Circuit, Discovery, Receiver, SelectionRule, discover_circuit
from circuits.ablation import MeanOutputs, ablated_metric
from circuits.behaviour import WeakTaskWarning
from circuits.components import HEAD_INPUTS, Node, all_heads
from circuits.discover import run_discovery
from circuits.discovery.config import DiscoveryConfig
from circuits.discovery.methods import method_names
from circuits.discovery.pipeline import STAGES
from circuits.discovery.uses import OF_A_CHOICE, OF_ACDC
from circuits.errors import NoEffectError, SettingError, TaskError
from circuits.forward import Activations, LayeredModel
from circuits.metrics import logit_diff
from circuits.model import tokenizer_of
from circuits.model.tokenizers import remember_tokenizer
from circuits.patching import ESTIMATORS, effect_table, path_effects
from circuits.patching.paths import edge_sums
from circuits.patching.plan import plan_work
from circuits.pruning import PruningRule
from circuits.scores import head_scores
from circuits.scores.attribution import attribution_scores
from circuits.search import ThresholdSelector
from circuits.search.grow import grow, receivers_of
from tests.circuits.conftest import ON_DISCOVERY, RULE, toy_discovery
from tests.circuits.families import tiny_model
from tests.circuits.prompts import ToyTask, word_tokenizer


def paths(discovery: Discovery) -> set[tuple[Node, Receiver]]:
    return {(edge.sender, edge.receiver) for edge in discovery.circuit.edges}


@pytest.mark.parametrize("method", method_names())
def test_every_method(toy, method: str) -> None:
    found = toy_discovery(*toy, method=method)
    assert found.circuit.heads <= found.candidates
    assert found.config.method == method
    prunes = method not in ("in-context", "path-patching")
    assert bool(found.prunings) == prunes
    assert bool(found.scores) == (method != "path-patching")
    if not prunes:
        assert found.candidates == set(all_heads(3, 4))
    if found.config.patches_paths:
        assert found.effects is not None
        assert {edge.sender for edge in found.circuit.edges} == found.circuit.heads
    else:
        assert found.effects is None
        assert found.circuit.edges == frozenset()
        assert found.circuit.heads == found.candidates
    again = found.evaluate(config=ON_DISCOVERY).performance.value
    expected = found.performance if found.sizes is None else found.sizes.point.search.value
    assert again == pytest.approx(expected, rel=1e-6)


def test_merged_is_the_union_of_the_prunings(toy) -> None:
    alone = [
        toy_discovery(*toy, method=name).circuit.heads for name in ("flap", "contrastive-flap")
    ]
    assert toy_discovery(*toy, method="merged-flap").circuit.heads == alone[0] | alone[1]
    published = toy_discovery(*toy, method="app", prune_by="merged-flap")
    assert published.candidates == alone[0] | alone[1]


def test_stage_by_stage(toy) -> None:
    """What discovery reports is what the pieces give when one calls them alone."""
    bridge, task = toy
    found = toy_discovery(bridge, task, verify=False)
    everything = task.sample(tokenizer_of(bridge), n=10, seed=0)
    pairs, model = everything[:4], LayeredModel.of(bridge)
    expected = attribution_scores(Activations(model, pairs, logit_diff))
    torch.testing.assert_close(found.scores["attribution"], expected)
    table = effect_table(model, pairs, found.candidates)
    assert grow(table.into, ThresholdSelector(RULE, model.graph()), model.graph()) == found.circuit
    assert found.verification is None
    means = MeanOutputs.of(model, everything)
    heads = [found.circuit.heads, frozenset(all_heads(3, 4))]
    kept, full = ablated_metric(model, pairs, means, heads, logit_diff).mean(1)
    assert found.performance == pytest.approx(float(kept / full * 100), rel=1e-4)
    assert found.behaviour.n_prompts == 4
    assert found.behaviour.accuracy == 1.0


def test_the_published_recipe_scores_by_flap_and_its_contrast(toy) -> None:
    bridge, task = toy
    found = toy_discovery(bridge, task, prune_by="merged-flap", verify=False)
    pairs, model = task.sample(tokenizer_of(bridge), n=10, seed=0)[:4], LayeredModel.of(bridge)
    for name, statistic, contrast in (
        ("flap", "WIFV", None),
        ("contrastive-flap", "WIFN", "published"),
    ):
        torch.testing.assert_close(
            found.scores[name], head_scores(model, pairs, statistic, contrast)
        )


def test_exact_and_reference_give_the_same_circuit(toy) -> None:
    exact, twin = (toy_discovery(*toy, engine=engine) for engine in ("exact", "reference"))
    assert len(exact.circuit) > 1
    assert exact.circuit.heads == twin.circuit.heads
    assert paths(exact) == paths(twin)
    torch.testing.assert_close(
        exact.effects.values, twin.effects.values, rtol=0, atol=1e-4, equal_nan=True
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_verified_circuit_is_the_exact_one(toy, seed: int) -> None:
    settings = {"method": "path-patching", "seed": seed}
    exact = toy_discovery(*toy, engine="exact", **settings)
    found = toy_discovery(*toy, **settings)
    assert paths(found) == paths(exact)
    seen = found.verification
    assert seen is not None
    assert 0 < seen.verified <= seen.estimated
    estimated = toy_discovery(*toy, verify=False, **settings)
    assert (seen.flipped > 0) >= (paths(estimated) != paths(found))


def test_exact_effects_are_recorded_for_what_the_search_reached(toy) -> None:
    bridge, task = toy
    found = toy_discovery(bridge, task, engine="exact", method="path-patching")
    pairs = task.sample(tokenizer_of(bridge), n=10, seed=0)[:4]
    reached = {Receiver.logits()} | {
        Receiver(head, i) for head in found.circuit.heads if head.layer for i in HEAD_INPUTS
    }
    for receiver in reached:
        torch.testing.assert_close(
            found.effects.effects(receiver),
            path_effects(bridge, pairs, receiver),
            rtol=0,
            atol=1e-5,
            equal_nan=True,
        )
    for edge in found.circuit.edges:
        assert edge.effect == found.effects.of(edge.sender, edge.receiver)


def test_the_same_seed_the_same_circuit(toy, found) -> None:
    again, other = toy_discovery(*toy), toy_discovery(*toy, seed=1)
    assert again.circuit == found.circuit
    assert again.performance == found.performance
    assert replace(again, cost=found.cost) == found
    assert other.behaviour != found.behaviour


@pytest.mark.parametrize(
    ("engine", "memory_bytes"),
    [("sweep", 1), ("sweep", 1 << 30), ("exact", 1), ("reference", 1 << 30)],
)
def test_progress_rises_in_every_stage(toy, engine: str, memory_bytes: int) -> None:
    heard: list[tuple[str, float]] = []
    toy_discovery(
        *toy,
        engine=engine,
        memory_bytes=memory_bytes,
        progress=lambda stage, fraction: heard.append((stage, fraction)),
    )
    assert tuple(dict.fromkeys(stage for stage, _ in heard)) == STAGES
    assert [stage for stage, _ in heard] == sorted(
        (stage for stage, _ in heard), key=STAGES.index
    ), "a stage is over when the next begins"
    for stage in STAGES:
        fractions = [fraction for name, fraction in heard if name == stage]
        assert fractions == sorted(fractions)
        assert (fractions[0], fractions[-1]) == (0.0, 1.0)
        assert max(fractions) <= 1.0


def test_memory_changes_nothing(toy, found) -> None:
    split = toy_discovery(*toy, memory_bytes=1)
    assert split.circuit.heads == found.circuit.heads
    assert paths(split) == paths(found)


def test_cost(found) -> None:
    assert tuple(stage.stage for stage in found.cost.stages) == STAGES
    flops = {stage.stage: stage.flops for stage in found.cost.stages}
    is_known = found.circuit.heads == found.candidates
    free = {"evaluation"} if is_known else set()
    assert {name for name, count in flops.items() if not count} == free
    behaviour = found.cost.of("behaviour").flops
    assert found.cost.forward_pass_flops * 2 == behaviour
    assert found.cost.forward_passes == found.cost.flops / found.cost.forward_pass_flops


def test_a_task_the_model_cannot_do_warns(toy) -> None:
    bridge, _ = toy
    with pytest.warns(WeakTaskWarning, match="a circuit for toy on this model means little"):
        toy_discovery(bridge, ToyTask(bridge, reverse=True), method="flap")


class TestGate:
    ENOUGH = {"n_prompts": 8, "method": "path-patching"}  # noqa: RUF012

    def test_a_task_the_model_does_is_searched(self, toy) -> None:
        found = toy_discovery(*toy, **self.ENOUGH)
        assert found.verdict is not None
        assert found.verdict.kind == "behaviour"
        assert len(found.circuit) > 0

    def test_too_few_prompts_are_said_to_be_too_few(self, found) -> None:
        assert found.verdict.kind == "no power"
        assert "4 prompts cannot show" in found.verdict.reason
        assert len(found.circuit) > 0

    @pytest.mark.parametrize("method", ["app", "flap"])
    def test_a_task_the_model_cannot_do_has_no_circuit(self, toy, method: str) -> None:
        """Said in words, after the first stage, and without a warning."""
        bridge, _ = toy
        found = toy_discovery(bridge, ToyTask(bridge, reverse=True), n_prompts=8, method=method)
        assert found.verdict.refuses
        assert found.verdict == found.behaviour.verdict
        assert found.circuit == Circuit.of_heads([], 3, 4)
        assert math.isnan(found.performance)
        assert [stage.stage for stage in found.cost.stages] == ["behaviour"]
        assert (found.prunings, found.scores, found.effects) == ({}, {}, None)

    @pytest.mark.parametrize("n_prompts", [2, 8])
    def test_prompts_that_corrupt_nothing_have_no_circuit(self, toy, n_prompts: int) -> None:
        bridge, _ = toy
        found = toy_discovery(bridge, ToyTask(bridge, corrupts=False), n_prompts=n_prompts)
        assert found.behaviour.clean_metric == found.behaviour.corrupted_metric
        assert found.verdict.refuses
        assert "corrupting the prompts changes nothing" in found.verdict.reason

    def test_it_can_be_ignored(self, toy) -> None:
        bridge, _ = toy
        task = ToyTask(bridge, reverse=True)
        with pytest.warns(WeakTaskWarning, match="means little"):
            found = toy_discovery(bridge, task, ignore_behaviour=True, **self.ENOUGH)
        assert found.verdict.kind == "ignored"
        assert found.verdict.reason == found.behaviour.verdict.reason
        assert len(found.circuit) > 0
        nothing = ToyTask(bridge, corrupts=False)
        with pytest.warns(WeakTaskWarning), pytest.raises(NoEffectError, match="that difference"):
            toy_discovery(bridge, nothing, ignore_behaviour=True, **self.ENOUGH)


class TestSignificance:
    RULE = SelectionRule(kind="significance", min_effect=0.005, false_discovery_rate=0.1)
    SETTINGS = {"n_prompts": 10, "method": "path-patching", "selection": RULE}  # noqa: RUF012

    def test_what_is_kept_is_what_the_prompts_agree_on(self, toy) -> None:
        """P-values by scipy from the sweep's changes, prompt by prompt; effects exact."""
        bridge, task = toy
        found = toy_discovery(bridge, task, **self.SETTINGS)
        model, pairs = LayeredModel.of(bridge), task.sample(tokenizer_of(bridge), n=10, seed=0)
        plan = plan_work(model, pairs, all_heads(3, 4))
        activations = Activations(model, pairs, logit_diff)
        sums = edge_sums(activations, ESTIMATORS.get("sweep"), all_heads(3, 4), plan)
        assert 0 < len(found.circuit) < 12
        for receiver in receivers_of(found.circuit, model.graph()):
            below = 3 if receiver.head is None else receiver.head.layer
            by_prompt = sums.changes.into(receiver).double().numpy()
            least = 0.005 * (activations.clean_metric - activations.corrupted_metric).double()
            one_sided = [
                permutation_test(
                    (sign * by_prompt - least.numpy(),),
                    np.mean,
                    permutation_type="samples",
                    n_resamples=np.inf,
                    alternative="greater",
                    axis=1,
                ).pvalue
                for sign in (-1, 1)
            ]
            p_values = np.minimum(1, 2 * np.minimum(*one_sided))
            significant = false_discovery_control(p_values) <= 0.1
            exact = path_effects(model, pairs, receiver)[:below].flatten()
            expected = {
                head
                for head, passes, effect in zip(
                    all_heads(below, 4), significant, exact.tolist(), strict=True
                )
                if passes and abs(effect) > 0.005
            }
            assert {s for s, r in paths(found) if r == receiver} == expected

    def test_every_engine_finds_the_same(self, toy) -> None:
        swept, exact = (toy_discovery(*toy, engine=e, **self.SETTINGS) for e in ("sweep", "exact"))
        assert paths(swept) == paths(exact)
        pruned = toy_discovery(*toy, **{**self.SETTINGS, "method": "app"})
        assert pruned.circuit.heads <= pruned.candidates
        assert pruned.verification is not None

    def test_progress_rises(self, toy) -> None:
        heard: list[float] = []
        toy_discovery(
            *toy,
            engine="exact",
            progress=lambda stage, part: stage == "patching" and heard.append(part),
            **self.SETTINGS,
        )
        assert heard == sorted(heard)
        assert (heard[0], heard[-1]) == (0.0, 1.0)

    def test_too_few_prompts_are_refused_with_the_number_it_takes(self, toy) -> None:
        with pytest.raises(SettingError, match=r"4 prompts .* of 12 senders .*at least 8 prompts"):
            toy_discovery(*toy, **{**self.SETTINGS, "n_prompts": 4})
        assert toy_discovery(*toy, **{**self.SETTINGS, "n_prompts": 8}).verdict.kind == "behaviour"


def test_every_setting_reaches_the_config(toy) -> None:
    settings = {
        "method": "contrastive-flap",
        "engine": "exact",
        "verify": False,
        "n_prompts": 3,
        "seed": 5,
        "metric": "prob_diff",
        "selection": SelectionRule(distance="linear"),
        "pruning": PruningRule("fixed"),
        "contrast": "paired",
        "n_mean_prompts": 7,
        "memory_bytes": 123456,
        "ignore_behaviour": True,
        "n_templates": 2,
        "search": "top-n",
        "n_edges": 11,
        "prune_by": "flap",
        "n_sampled_paths": 3,
    }
    every = {one.name for one in fields(DiscoveryConfig)}
    assert settings.keys() == every - {*OF_A_CHOICE, *OF_ACDC, "mlps", "positions"}
    found = discover_circuit(*toy, **settings)
    assert found.config == DiscoveryConfig(**settings)
    assert len(found.circuit) == 3
    bridge, task = toy
    pairs = task.sample(tokenizer_of(bridge), n=3, seed=5)
    expected = head_scores(bridge, pairs, "WIFN", "paired")
    torch.testing.assert_close(found.scores["contrastive-flap"], expected)
    assert run_discovery(*toy, DiscoveryConfig(**settings)).circuit == found.circuit


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": "magic"}, "unknown method 'magic'"),
        ({"engine": "fast"}, "unknown engine 'fast'"),
        ({"metric": "kl_loss"}, "unknown metric 'kl_loss'"),
        ({"metric": lambda logits, pairs: logits}, "a metric of one's own needs a name"),
        ({"n_prompts": 0}, "n_prompts must be at least 1"),
        ({"keep": None, "method": "in-context"}, "method 'in-context' needs keep"),
        ({"keep": 90.0, "method": "app"}, "method 'app' has no use for keep (got 90)"),
        ({"prune_by": "flap"}, "method 'in-context' has no use for prune_by (got flap)"),
        ({"selection": SelectionRule(threshold=2.0)}, "'in-context' has no use for threshold"),
        ({"n_prompt": 4}, "unknown setting 'n_prompt'; did you mean 'n_prompts'?"),
    ],
)
def test_nonsense_is_refused_before_anything_runs(toy, settings, message: str) -> None:
    with pytest.raises(SettingError, match=re.escape(message)):
        discover_circuit(*toy, **settings, progress=lambda *_: pytest.fail("ran"))


def test_the_signature_shows_every_setting() -> None:
    shown = inspect.signature(discover_circuit).parameters
    named = ["model", "task", "directory", "workers", "progress", "overwrite"]
    assert list(shown)[:6] == named
    assert list(shown)[6:] == [one.name for one in fields(DiscoveryConfig)]
    assert shown["n_prompts"].default == DiscoveryConfig().n_prompts
    assert shown["selection"].default == SelectionRule()


def test_an_unknown_task(toy) -> None:
    with pytest.raises(TaskError, match="did you mean 'ioi'"):
        discover_circuit(toy[0], "iou")


@pytest.mark.parametrize("family", ["gpt2", "gpt-neox", "llama", "attention-only"])
def test_other_families(family: str) -> None:
    bridge = tiny_model(family)
    remember_tokenizer(bridge, word_tokenizer())
    found = toy_discovery(bridge, ToyTask(bridge))
    assert 1 < len(found.circuit) < 12
    assert found.provenance.model.name == f"tiny-{family}"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_other_dtypes(toy, found, dtype: torch.dtype) -> None:
    bridge = tiny_model("gemma3").to(dtype)
    remember_tokenizer(bridge, word_tokenizer())
    again = toy_discovery(bridge, toy[1])
    assert again.provenance.model.dtype == str(dtype).removeprefix("torch.")
    if dtype == torch.float64:
        assert again.circuit.heads == found.circuit.heads
