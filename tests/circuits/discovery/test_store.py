from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from math import isnan

import pytest
import torch
from safetensors.torch import save

from circuits.components import Head, Node, Receiver
from circuits.discovery.store import (
    EXACT_FILE,
    PRUNED_FILE,
    SWEPT_FILE,
    Store,
    owner,
)
from circuits.graph import ModelGraph
from circuits.patching import EdgeSums
from circuits.pruning import Pruning
from circuits.runtime.files import DamagedFileWarning
from tests.circuits.prompts import ragged_pairs

GRAPH = ModelGraph(n_layers=3, n_heads=4, n_kv_heads=2)
KEY = {"model": "abc", "prompts": "def"}
LAST = {"candidates": ["0.1", "2.3"]}
RECEIVER = Receiver.parse("2.3.k")
SENDERS = (Head(0, 1), Head(1, 2))
PRUNED = (
    {"flap": Pruning(frozenset({Head(1, 1)}), (0.2, 0.4), (98.76543210987654, 1 / 3), 0)},
    {"flap": torch.arange(12.0).view(3, 4)},
)


def sums(batches: int = 1, *, has_remainders: bool = True) -> EdgeSums:
    made = EdgeSums(GRAPH, n_prompts=4, batch_size=1, has_remainders=has_remainders)
    for number in range(batches):
        changes = torch.tensor([[[1.0]], [[2.0]]]) + number
        made.add([Receiver.logits()], SENDERS, changes, changes if has_remainders else None)
        made.finish_batch(torch.tensor([number]), torch.tensor([1.0]), torch.tensor([0.1]))
    return made


@pytest.fixture(params=["memory", "disk"])
def reopen(request, tmp_path):
    """Opens the same store again: on disk anew, in memory the very same."""
    opened: dict[str, Store] = {}

    def open_again() -> Store:
        if request.param == "memory" and opened:
            return opened["store"]
        where = None if request.param == "memory" else tmp_path / "work"
        opened["store"] = Store(GRAPH, KEY, where)
        return opened["store"]

    return open_again


def on_disk(tmp_path, key=KEY) -> Store:
    return Store(GRAPH, key, tmp_path / "work")


def learn(store: Store, senders: Sequence[Node], effects: Sequence[float]) -> None:
    """As what measures them does."""
    store.known.put(RECEIVER, senders, effects)
    store.learn(RECEIVER, senders, effects)


def known(store: Store) -> list[float]:
    return [store.known.of(sender, RECEIVER) for sender in SENDERS]


def assert_same_sums(found: EdgeSums | None, expected: EdgeSums) -> None:
    assert found is not None
    assert found.tensors().keys() == expected.tensors().keys()
    for name, tensor in expected.tensors().items():
        torch.testing.assert_close(
            found.tensors()[name], tensor, rtol=0, atol=0, equal_nan=True, msg=name
        )


class TestBoth:
    def test_a_new_one_holds_nothing(self, reopen) -> None:
        store = reopen()
        assert store.estimates("sweep", LAST) is None
        assert store.pruned({}) is None
        assert store.known.n_known == 0

    def test_what_is_kept_comes_back_under_its_key_alone(self, reopen) -> None:
        store = reopen()
        store.keep_estimates("sweep", LAST, sums())
        store.keep_pruned({"step": 0.05}, PRUNED)
        again = reopen()
        assert_same_sums(again.estimates("sweep", LAST), sums())
        for other in ({}, {"candidates": None}, {**LAST, "more": 1}):
            assert again.estimates("sweep", other) is None
        prunings, scores = again.pruned({"step": 0.05})
        assert prunings == PRUNED[0]
        assert torch.equal(scores["flap"], PRUNED[1]["flap"])
        assert again.pruned({"step": 0.1}) is None

    def test_the_latest_replaces_what_was_kept(self, reopen) -> None:
        store = reopen()
        store.keep_estimates("sweep", LAST, sums(1))
        store.keep_estimates("sweep", LAST, sums(2))
        assert_same_sums(reopen().estimates("sweep", LAST), sums(2))
        store.keep_estimates("sweep", {"candidates": None}, sums(1))
        assert reopen().estimates("sweep", LAST) is None

    def test_going_on_with_a_sweep_leaves_what_is_kept_alone(self, reopen) -> None:
        """Until it is kept again: a batch that is not finished never counts."""
        store, mine = reopen(), sums(1)
        store.keep_estimates("sweep", LAST, mine)
        for begun in (mine, reopen().estimates("sweep", LAST)):
            changes = torch.full((2, 1, 1), 7.0)
            begun.add([Receiver.logits()], SENDERS, changes, changes)
            begun.finish_batch(torch.tensor([1]), torch.tensor([1.0]), torch.tensor([0.1]))
        assert_same_sums(reopen().estimates("sweep", LAST), sums(1))

    def test_exact_effects_come_back(self, reopen) -> None:
        third = 1 / 3
        learn(reopen(), SENDERS, [third, float("nan")])
        learn(reopen(), SENDERS[1:], [-2e-9])
        found = reopen().known
        assert torch.equal(
            found.into(RECEIVER)[[GRAPH.column(sender) for sender in SENDERS]],
            torch.tensor([third, -2e-9]),
        )
        assert found.of(SENDERS[0], Receiver.parse("2.2.k")) == found.of(SENDERS[0], RECEIVER)
        assert found.n_known == 2

    def test_estimates_are_kept_by_the_estimator(self, reopen) -> None:
        store = reopen()
        store.keep_estimates("sweep", LAST, sums(1))
        store.keep_estimates("rough", LAST, sums(2, has_remainders=False))
        assert_same_sums(reopen().estimates("sweep", LAST), sums(1))
        rough = reopen().estimates("rough", LAST)
        assert_same_sums(rough, sums(2, has_remainders=False))
        assert rough.normalised().remainders is None
        assert reopen().estimates("other", LAST) is None


class TestOnDisk:
    def test_nothing_is_written_before_there_is_something_to_keep(self, tmp_path) -> None:
        store = on_disk(tmp_path)
        store.estimates("sweep", LAST)
        assert list(tmp_path.iterdir()) == []
        assert owner(tmp_path / "work") is None
        store.keep_estimates("sweep", LAST, sums())
        assert owner(tmp_path / "work") == KEY

    def test_another_model_or_other_prompts_find_nothing_and_replace_it(self, tmp_path) -> None:
        store, other = on_disk(tmp_path), {**KEY, "prompts": "other"}
        store.keep_estimates("sweep", LAST, sums())
        store.keep_pruned({}, PRUNED)
        learn(store, SENDERS, [0.1, 0.2])
        stranger = on_disk(tmp_path, other)
        assert stranger.estimates("sweep", LAST) is None
        assert stranger.pruned({}) is None
        assert stranger.known.n_known == 0
        assert on_disk(tmp_path).known.n_known == 2, "looking replaces nothing"
        learn(stranger, SENDERS[:1], [0.5])
        assert on_disk(tmp_path).known.n_known == 0
        assert on_disk(tmp_path, other).known.n_known == 1
        assert on_disk(tmp_path, other).estimates("sweep", LAST) is None

    @pytest.mark.parametrize("damage", ["truncated", "emptied", "overwritten", "removed"])
    def test_damaged_files_are_computed_again(self, tmp_path, damage: str) -> None:
        store = on_disk(tmp_path)
        store.keep_estimates("sweep", LAST, sums())
        store.keep_pruned({}, PRUNED)
        for name in (SWEPT_FILE, PRUNED_FILE):
            file = tmp_path / "work" / name
            content = file.read_bytes()
            if damage == "removed":
                file.unlink()
            elif damage == "overwritten":
                file.write_bytes(b"\xff" * len(content))
            else:
                file.write_bytes(content[: len(content) // 2 if damage == "truncated" else 0])
        again = on_disk(tmp_path)
        expected = nullcontext() if damage == "removed" else pytest.warns(DamagedFileWarning)
        with expected:
            assert again.estimates("sweep", LAST) is None
        with expected:
            assert again.pruned({}) is None
        again.keep_estimates("sweep", LAST, sums(2))
        assert_same_sums(on_disk(tmp_path).estimates("sweep", LAST), sums(2))

    def test_a_flipped_bit_never_gives_another_number(self, tmp_path) -> None:
        """Not in what is measured, and not in what is estimated or pruned."""
        store = on_disk(tmp_path)
        store.keep_estimates("sweep", LAST, sums())
        store.keep_pruned({}, PRUNED)
        for name in (SWEPT_FILE, PRUNED_FILE):
            file = tmp_path / "work" / name
            whole = file.read_bytes()
            for place in range(0, len(whole), 61):
                damaged = bytearray(whole)
                damaged[place] ^= 4
                file.write_bytes(damaged)
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", DamagedFileWarning)
                    estimates, pruned = store.estimates("sweep", LAST), store.pruned({})
                if name == SWEPT_FILE and estimates is not None:
                    assert_same_sums(estimates, sums())
                if name == PRUNED_FILE and pruned is not None:
                    assert pruned[0] == PRUNED[0]
                    assert torch.equal(pruned[1]["flap"], PRUNED[1]["flap"])
            file.write_bytes(whole)

    def test_a_pipe_is_not_waited_for(self, tmp_path) -> None:
        store = on_disk(tmp_path)
        store.keep_pruned({}, PRUNED)
        for name in (PRUNED_FILE, EXACT_FILE):
            (tmp_path / "work" / name).unlink()
            os.mkfifo(tmp_path / "work" / name)
        with pytest.warns(DamagedFileWarning, match=f"{PRUNED_FILE} is damaged"):
            assert store.pruned({}) is None
        assert owner(tmp_path / "work") == {}
        assert on_disk(tmp_path).known.n_known == 0

    def test_a_damaged_beginning_loses_no_effect(self, tmp_path) -> None:
        learn(on_disk(tmp_path), SENDERS, [0.1, 0.2])
        file = tmp_path / "work" / EXACT_FILE
        file.write_bytes(b"?" + file.read_bytes()[1:])
        with pytest.warns(DamagedFileWarning):
            assert on_disk(tmp_path).known.n_known == 2

    def test_sums_over_prompts_of_an_older_version_are_computed_again(self, tmp_path) -> None:
        """Its tables lacked the axis of prompts, and its key did not say so."""
        store = on_disk(tmp_path)
        store.keep_estimates("sweep", LAST, sums())
        older = {
            name: tensor if name == "progress" else tensor.double().sum(-1)
            for name, tensor in sums().tensors().items()
        }
        label = {"key": json.dumps({**KEY, **LAST}, sort_keys=True), "note": ""}
        (tmp_path / "work" / SWEPT_FILE).write_bytes(save(older, metadata=label))
        again = on_disk(tmp_path)
        assert again.estimates("sweep", LAST) is None
        again.keep_estimates("sweep", LAST, sums(2))
        assert_same_sums(on_disk(tmp_path).estimates("sweep", LAST), sums(2))

    def test_a_sweep_cut_off_at_any_byte_is_whole_or_not_there(self, tmp_path) -> None:
        on_disk(tmp_path).keep_estimates("sweep", LAST, sums())
        file = tmp_path / "work" / SWEPT_FILE
        whole = file.read_bytes()
        store = on_disk(tmp_path)
        for size in range(0, len(whole), 97):
            file.write_bytes(whole[:size])
            with pytest.warns(DamagedFileWarning):
                assert store.estimates("sweep", LAST) is None

    def test_a_journal_that_was_cut_off_gives_what_was_whole(self, tmp_path) -> None:
        store = on_disk(tmp_path)
        for sender, effect in zip(SENDERS, (0.1, 0.2), strict=True):
            learn(store, [sender], [effect])
        file = tmp_path / "work" / EXACT_FILE
        file.write_bytes(file.read_bytes()[:-3])
        first, second = known(on_disk(tmp_path))
        assert first == pytest.approx(0.1)
        assert isnan(second)


def test_a_digest_tells_all_prompts_apart_that_differ_in_what_matters() -> None:
    pairs = ragged_pairs()
    changed = [replace(pairs, **{name: getattr(pairs, name) + 1}) for name in ("clean", "template")]
    changed += [replace(pairs, end=pairs.end - 1), replace(pairs, wrong=pairs.correct)]
    changed += [replace(pairs, corrupted=pairs.corrupted.flip(0)), pairs[:4], ragged_pairs(seed=1)]
    digests = [some.digest for some in (pairs, *changed)]
    assert len(set(digests)) == len(digests)
    assert ragged_pairs().digest == digests[0]
    assert replace(pairs, clean_text=("other",) * 5).digest == digests[0]
