"""What others register is taken by name, and runs with it are read where it is not there."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pytest
import torch

from circuits import Circuit, Discovery, Edge, Head, Receiver, discover_circuit
from circuits.discovery.methods import METHODS, Method
from circuits.errors import SettingError
from circuits.forward.activations import Activations, Batch
from circuits.graph import ModelGraph
from circuits.metrics import METRICS, logit_diff
from circuits.model import tokenizer_of
from circuits.patching import ESTIMATORS, EdgeSums, effect_table, path_effects
from circuits.patching.paths import receiver_estimator
from circuits.pruning import PruningRule
from circuits.runtime.progress import Progress
from circuits.scores.registry import SCORERS, ScoreSettings
from circuits.search import SEARCHES, EdgeSource, Grown, SelectionRule
from circuits.tasks import PromptPairs
from circuits.truth import contestants, load_truth
from circuits.truth.bench import run_of
from tests.circuits.conftest import RULE, toy_discovery

TOO_MUCH = 1.25
"""What the toy estimator gives of every effect."""


class LastHeads:
    """The higher its number, the better a head."""

    name = "last-heads"
    description = "a head's number"
    cut = "share"

    def score(
        self, activations: Activations, graph: ModelGraph, settings: ScoreSettings
    ) -> torch.Tensor:
        assert len(activations.clean_metric) == len(activations.pairs)
        return torch.arange(len(graph.heads)).float().view(graph.n_layers, graph.n_heads)


class Exaggerates:
    """Exact effects, a quarter too large, those on the logits, too."""

    name = "exaggerates"
    description = "too much of everything"
    is_exact = False
    has_remainders = False

    def add(
        self,
        batch: Batch,
        heads: tuple[Head, ...],
        sums: EdgeSums,
        max_rows: int,
        progress: Progress,
    ) -> None:
        changes_into = receiver_estimator("exact").open(batch, max_rows, 0)
        graph = sums.changes.graph
        for receiver in graph.receivers:
            senders = tuple(h for h in heads if graph.reads(receiver, h))
            if senders:
                changes = TOO_MUCH * changes_into(receiver, senders)
                sums.add([receiver], senders, changes[..., None])
        progress(1.0)


class OneHead:
    """The sender of the largest effect on the logits."""

    name = "one-head"
    description = "the strongest sender to the logits"

    def find(
        self, source: EdgeSource, rules: Sequence[SelectionRule], progress: Progress
    ) -> list[Grown]:
        graph, effects = source.graph, source.estimates(progress).effects
        into_logits = effects.into(Receiver.logits()).nan_to_num(0.0)
        head = graph.senders[int(into_logits.abs().argmax())]
        edge = Edge(head, Receiver.logits(), effects.of(head, Receiver.logits()))
        circuit = Circuit(frozenset({head}), frozenset({edge}), graph.n_layers, graph.n_heads)
        return [Grown(circuit, effects) for _ in rules]


def twice_the_difference(logits: torch.Tensor, pairs: PromptPairs) -> torch.Tensor:
    return 2 * logit_diff(logits, pairs)


BY_LAST = Method("by-last", "prune by number, then patch paths", ("last-heads",), True)
TOY = {"method": "by-last", "engine": "exaggerates", "search": "one-head"}


@pytest.fixture
def registered() -> Iterator[None]:
    entries = (
        (SCORERS, LastHeads()),
        (ESTIMATORS, Exaggerates()),
        (SEARCHES, OneHead()),
        (METRICS, twice_the_difference),
        (METHODS, BY_LAST),
    )
    with ExitStack() as stack:
        for registry, entry in entries:
            stack.enter_context(registry.with_entry(entry))
        yield


@pytest.fixture(scope="module")
def pairs(toy):
    return toy[1].sample(tokenizer_of(toy[0]), n=10, seed=0)[:4]


@pytest.mark.usefixtures("registered")
class TestByName:
    @pytest.mark.parametrize("how", [{"method": "last-heads"}, {"prune_by": "last-heads"}])
    def test_a_score(self, toy, how) -> None:
        rule = PruningRule("fixed", fixed_sparsity=0.5)
        found = toy_discovery(*toy, pruning=rule, **how)
        assert found.candidates == {Head(n // 4, n % 4) for n in range(6, 12)}
        assert found.scores["last-heads"].flatten().tolist() == list(range(12))
        assert found.prunings.keys() == {"last-heads"}
        assert toy_discovery(*toy, **{**how, "pruning": None}).config.pruning_rule.cliff == "share"

    def test_an_estimator_and_verification_of_it(self, toy, pairs) -> None:
        settings = {"method": "path-patching", "engine": "exaggerates"}
        rough = toy_discovery(*toy, verify=False, **settings)
        exact = path_effects(toy[0], pairs, Receiver.parse("2.1.v"))
        torch.testing.assert_close(
            rough.effects.effects(Receiver.parse("2.1.v")), TOO_MUCH * exact, equal_nan=True
        )
        verified = toy_discovery(*toy, **settings)
        truth = toy_discovery(*toy, method="path-patching", engine="exact")
        assert verified.circuit.connections == truth.circuit.connections
        assert verified.verification.verified > 0
        assert verified.verification.largest_error > 0.01
        table = effect_table(toy[0], pairs, engine="exaggerates")
        torch.testing.assert_close(table.values, rough.effects.values, equal_nan=True)

    def test_its_p_values_are_of_what_it_estimates(self, toy) -> None:
        rule = SelectionRule(kind="significance", min_effect=0.005, false_discovery_rate=0.1)
        settings = {"n_prompts": 10, "method": "path-patching", "selection": rule}
        found = toy_discovery(*toy, engine="exaggerates", **settings)
        assert 0 < len(found.circuit) < 12

    def test_what_it_estimated_is_kept_by_its_name(self, toy, tmp_path) -> None:
        settings = {"method": "path-patching", "engine": "exaggerates", "verify": False}
        first = toy_discovery(*toy, directory=tmp_path, **settings)
        assert (tmp_path / "work" / "estimated-exaggerates.safetensors").exists()
        again = toy_discovery(*toy, directory=tmp_path, **settings)
        assert again.cost.of("patching").flops == 0 < first.cost.of("patching").flops
        assert again.circuit == first.circuit
        swept = toy_discovery(*toy, directory=tmp_path, **{**settings, "engine": "sweep"})
        assert swept.cost.of("patching").flops > 0

    def test_a_search(self, toy) -> None:
        found = toy_discovery(*toy, search="one-head", selection=RULE)
        (edge,) = found.circuit.edges
        assert found.circuit.heads == {edge.sender}
        assert edge.receiver == Receiver.logits()
        assert abs(edge.effect) == found.effects.into(edge.receiver).nan_to_num().abs().max()

    def test_a_metric_as_a_function(self, toy) -> None:
        plain, twice = (
            toy_discovery(*toy, metric=metric) for metric in (logit_diff, twice_the_difference)
        )
        assert twice.config.metric == "twice_the_difference"
        assert twice.behaviour.clean_metric == pytest.approx(2 * plain.behaviour.clean_metric)
        assert twice.circuit.connections == plain.circuit.connections
        assert toy_discovery(*toy, metric="twice_the_difference").circuit == twice.circuit

    def test_a_method(self, toy) -> None:
        found = toy_discovery(*toy, method="by-last", pruning=None)
        assert found.config.scorers == ("last-heads",)
        assert found.effects is not None
        assert found.circuit.heads <= found.candidates != set()

    def test_all_together(self, toy) -> None:
        found = toy_discovery(*toy, metric=twice_the_difference, pruning=None, **TOY)
        assert len(found.circuit) == 1
        assert found.circuit.heads <= found.candidates

    def test_the_benchmark_of_known_circuits_has_the_score(self) -> None:
        by_name = {one.name: one for one in contestants()}
        assert by_name["last-heads"].method == "last-heads"
        assert {"app-exaggerates", "path-patching-exaggerates"} <= by_name.keys()
        truth = load_truth("compiled-induction")
        found = run_of(truth, by_name["last-heads"]).discover()
        assert found.prunings.keys() == {"last-heads"}


def test_elsewhere_it_is_unknown() -> None:
    for registry, name in ((SCORERS, "last-heads"), (SEARCHES, "one-head")):
        assert name not in registry
    assert "last-heads" not in {one.name for one in contestants()}


def test_where_it_is_not_registered_it_is_refused(toy) -> None:
    for name, value in TOY.items():
        with pytest.raises(SettingError, match=f"unknown {name} '{value}'"):
            discover_circuit(*toy, **{"method": "app", name: value})


def test_its_runs_are_read_where_it_is_not(toy, registered, tmp_path) -> None:
    found = toy_discovery(*toy, metric=twice_the_difference, pruning=None, **TOY)
    found.save(tmp_path / "run")
    assert Discovery.load(tmp_path / "run") == found
    code = (
        "import io\n"
        "from rich.console import Console\n"
        "from circuits import Discovery\n"
        f"found = Discovery.load({str(tmp_path / 'run')!r})\n"
        "print(found.config.method, found.config.engine, found.config.search, *found.scores)\n"
        "found.save('again')\n"
        "from circuits.report import write_report\n"
        "from circuits.cli.tables.discovery import discovery\n"
        "write_report(['again'], 'report.html')\n"
        "Console(file=io.StringIO(), width=200).print(discovery(found))\n"
        "print('shown')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["by-last", "exaggerates", "one-head", "last-heads", "shown"]
    assert "exaggerates" in (tmp_path / "report.html").read_text(encoding="utf-8")
    assert Discovery.load(tmp_path / "again") == found
