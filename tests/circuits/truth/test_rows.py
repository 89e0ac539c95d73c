"""What is said of a discovery beside the truth."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from circuits import Circuit, Discovery, Edge, Head, Receiver
from circuits.components import Connection
from circuits.discovery.pipeline import Pipeline
from circuits.discovery.session import Session
from circuits.pruning import Pruning
from circuits.truth import contestants, load_truth
from circuits.truth.bench import run_of
from circuits.truth.reasons import reasons
from circuits.truth.rows import row_of

NAME = "compiled-induction"
BY_NAME = {contestant.name: contestant for contestant in contestants()}
PATH = Edge(Head(0, 2), Receiver(Head(1, 1), "k"), -1.0)
ANSWER = Edge(Head(1, 1), Receiver.logits(), -1.0)


@pytest.fixture(scope="module")
def truth():
    return load_truth(NAME)


class Finished(Pipeline):
    """A run that finds what it is given."""

    def __init__(self, run: Pipeline, found: Discovery) -> None:
        vars(self).update(vars(run))
        self.found = found

    def discover(self) -> Discovery:
        return self.found


@pytest.fixture(scope="module")
def run(truth):
    return run_of(truth, BY_NAME["path-patching-exact"])


@pytest.fixture(scope="module")
def dense(run):
    return run.discover()


def circuit_of(*edges: Edge) -> Circuit:
    return Circuit(frozenset(edge.sender for edge in edges), frozenset(edges), 3, 3)


def test_finds_the_known_circuit(truth, run) -> None:
    row = row_of(truth, "dense", run)
    assert row.precision == row.recall == row.auc == 1.0
    assert row.found == row.true_heads == {Head(0, 2), Head(1, 1)}
    assert row.paths is not None
    assert row.paths.precision == row.paths.recall == 1.0
    assert row.performance == pytest.approx(100, abs=0.1)
    assert row.reasons == ()


def test_pruning_keeps_distractors_that_move_and_app_drops_them(truth) -> None:
    merged, app = (
        row_of(truth, name, run_of(truth, BY_NAME[name]))
        for name in ("merged-flap", "app-merged-flap-exact")
    )
    assert merged.recall == 1.0
    assert merged.precision is not None and merged.precision < 1.0
    assert merged.paths is None
    assert app.precision == app.recall == 1.0
    assert app.candidates == len(merged.found) < 9


def test_nothing_found_has_no_precision(truth, run, dense) -> None:
    row = row_of(truth, "x", Finished(run, replace(dense, circuit=circuit_of())))
    assert (row.precision, row.recall) == (None, 0.0)
    assert row.paths is not None
    assert (row.paths.precision, row.paths.recall) == (None, 0.0)
    assert row.paths.missed == truth.connections


def test_paths_are_counted(truth, run, dense) -> None:
    wrong = Edge(Head(0, 2), Receiver.logits(), -0.1)
    row = row_of(truth, "x", Finished(run, replace(dense, circuit=circuit_of(ANSWER, wrong))))
    assert row.recall == 1.0
    assert row.paths is not None
    assert (row.paths.precision, row.paths.recall) == (0.5, 0.5)
    assert row.paths.false == {wrong.connection}
    assert row.paths.missed == {Connection(Head(0, 2), Receiver(Head(1, 1), "k"))}


def test_better_score_of_merged_prunings_counts(truth, run, dense) -> None:
    first, second = torch.zeros(3, 3), torch.zeros(3, 3)
    first[0, 2], second[1, 1], second[2, 2] = 2.0, 3.0, 2.5
    pruned = replace(dense, effects=None, scores={"flap": first, "contrastive-flap": second})
    # 0.2 is below 2.2 and above the six others; 1.1 is above all seven.
    row = row_of(truth, "x", Finished(run, pruned))
    assert row.auc == pytest.approx((6 + 7) / 14)
    assert row.reasons == ()


def test_missed_heads_are_explained_by_their_paths(truth, run, dense) -> None:
    (line,) = reasons(truth, replace(dense, circuit=circuit_of(ANSWER)), run.session)
    effect = dense.effects.of(PATH.sender, PATH.receiver)
    assert line.startswith(f"{PATH.connection}: {effect:+.3f}, which does not exceed ")
    unseen, answer = reasons(truth, replace(dense, circuit=circuit_of()), run.session)
    assert unseen == f"{PATH.connection} was not looked at, for 1.1 was not found"
    assert answer.startswith("1.1 -> logits: ")


def test_pruned_heads_and_high_limits_are_named(truth, run, dense) -> None:
    kept = {"flap": Pruning(frozenset({Head(1, 1)}), (0.9,), (50.0,), 0)}
    scores = torch.tensor([[0.0, 0.0, 0.5], [0.0, 2.0, 0.0], [0.0, 0.0, 0.0]])
    pruned = replace(dense, prunings=kept, scores={"flap": scores})
    (line,) = reasons(truth, replace(pruned, circuit=circuit_of(ANSWER)), run.session)
    effect = dense.effects.of(PATH.sender, PATH.receiver)
    scored = "flap 0.5 of at most 2"
    assert line == f"0.2 was pruned ({scored}), though {PATH.connection} has exactly {effect:+.3f}"
    high = replace(dense.config, selection=replace(dense.config.selection, min_effect=9.0))
    strict = replace(dense, circuit=circuit_of(ANSWER), config=high)
    (line,) = reasons(truth, strict, run.session)
    assert line.endswith("no effect on 1.1.k exceeds 9.000, the least that counts")


def test_false_heads_are_explained_by_the_path_that_let_them_in(truth, run, dense) -> None:
    weak, strong = (Edge(Head(0, n), PATH.receiver, effect) for n, effect in ((0, 0.1), (1, -0.2)))
    wrong = replace(dense, circuit=circuit_of(ANSWER, PATH, weak, strong))
    lines = reasons(truth, wrong, run.session)
    assert [line.partition(" stood out")[0] for line in lines] == [str(strong), str(weak)]


def test_without_known_paths_all_into_the_circuit_count() -> None:
    """A saturated softmax: the estimate is 0 behind it, until a sample of zeros is run exactly."""
    truth = load_truth("hand-ioi")
    config = BY_NAME["path-patching-sweep"].config(truth.record.shape, seed=0)
    unknown = replace(truth, record=replace(truth.record, connections=None))
    for verify in (False, True):
        session = Session.of(truth.model, truth.task, replace(config, verify=verify))
        found = Pipeline(session).discover()
        for known, n_lines in ((truth, 2), (unknown, 7)):
            lines = reasons(known, found, session)
            assert len(lines) == (0 if verify else n_lines)
            assert verify or any(
                line.startswith("0.6 -> 1.6.k: estimated as ") and "exactly -1.333" in line
                for line in lines
            )
