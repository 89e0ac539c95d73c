from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save

from circuits.components import Head, Receiver
from circuits.discovery.store import (
    EXACT_FILE,
    PRUNED_FILE,
    SWEPT_FILE,
    Workspace,
    owner,
    prompt_digest,
)
from circuits.forward import LayeredModel
from circuits.patching.effects import SweptSums
from circuits.pruning import Pruning
from tests.circuits.conftest import shared_model
from tests.circuits.prompts import ragged_pairs

KEY = {"model": "abc", "prompts": "def"}
LAST = {"candidates": ["0.1", "2.3"]}
RECEIVER = Receiver.parse("2.3.k")
SENDERS = (Head(0, 1), Head(1, 2))
PRUNED = (
    {"flap": Pruning(frozenset({Head(1, 1)}), (0.2, 0.4), (98.76543210987654, 1 / 3), 0)},
    {"flap": torch.arange(12.0).view(3, 4)},
)


def sums(batches: int = 1) -> SweptSums:
    made = SweptSums(3, 4, 2, n_prompts=4, batch_size=1)
    for number in range(batches):
        for part in (made.changes, made.remainders):
            part.add_logits(SENDERS, torch.tensor([[1.0], [2.0]]) + number)
        made.finish_batch(torch.tensor([number]), torch.tensor([1.0]), torch.tensor([0.1]))
    return made


@pytest.fixture(params=["memory", "disk"])
def reopen(request, tmp_path):
    """Opens the same workspace again: on disk anew, in memory the very same."""
    opened: dict[str, Workspace] = {}

    def open_again() -> Workspace:
        if request.param == "memory" and opened:
            return opened["workspace"]
        where = None if request.param == "memory" else tmp_path / "work"
        opened["workspace"] = Workspace(LayeredModel.of(shared_model("llama")), KEY, where)
        return opened["workspace"]

    return open_again


def on_disk(tmp_path, key=KEY) -> Workspace:
    return Workspace(LayeredModel.of(shared_model("llama")), key, tmp_path / "work")


def assert_same_sums(found: SweptSums | None, expected: SweptSums) -> None:
    assert found is not None
    for name, tensor in expected.tensors().items():
        torch.testing.assert_close(
            found.tensors()[name], tensor, rtol=0, atol=0, equal_nan=True, msg=name
        )


class TestBoth:
    def test_a_new_one_holds_nothing(self, reopen) -> None:
        workspace = reopen()
        assert workspace.sweep(LAST) is None
        assert workspace.pruned({}) is None
        assert len(workspace.known) == 0

    def test_what_is_kept_comes_back_under_its_key_alone(self, reopen) -> None:
        workspace = reopen()
        workspace.keep_sweep(LAST, sums())
        workspace.keep_pruned({"step": 0.05}, PRUNED)
        again = reopen()
        assert_same_sums(again.sweep(LAST), sums())
        for other in ({}, {"candidates": None}, {**LAST, "more": 1}):
            assert again.sweep(other) is None
        prunings, scores = again.pruned({"step": 0.05})
        assert prunings == PRUNED[0]
        assert torch.equal(scores["flap"], PRUNED[1]["flap"])
        assert again.pruned({"step": 0.1}) is None

    def test_the_latest_replaces_what_was_kept(self, reopen) -> None:
        workspace = reopen()
        workspace.keep_sweep(LAST, sums(1))
        workspace.keep_sweep(LAST, sums(2))
        assert_same_sums(reopen().sweep(LAST), sums(2))
        workspace.keep_sweep({"candidates": None}, sums(1))
        assert reopen().sweep(LAST) is None

    def test_going_on_with_a_sweep_leaves_what_is_kept_alone(self, reopen) -> None:
        """Until it is kept again: a batch that is not finished never counts."""
        workspace, mine = reopen(), sums(1)
        workspace.keep_sweep(LAST, mine)
        for begun in (mine, reopen().sweep(LAST)):
            begun.changes.add_logits(SENDERS, torch.tensor([[7.0], [7.0]]))
            begun.finish_batch(torch.tensor([1]), torch.tensor([1.0]), torch.tensor([0.1]))
        assert_same_sums(reopen().sweep(LAST), sums(1))

    def test_exact_effects_come_back(self, reopen) -> None:
        third = 1 / 3
        reopen().known.add(RECEIVER, SENDERS, [third, float("nan")])
        reopen().known.add(RECEIVER, SENDERS[1:], [-2e-9])
        known = reopen().known
        assert known.missing(Receiver.parse("2.2.k"), SENDERS) == ()
        expected = torch.tensor([third, -2e-9])
        found = known.everything(RECEIVER)
        assert torch.equal(torch.stack([found[0, 1], found[1, 2]]), expected)
        assert len(known) == 2


class TestOnDisk:
    def test_nothing_is_written_before_there_is_something_to_keep(self, tmp_path) -> None:
        workspace = on_disk(tmp_path)
        workspace.sweep(LAST)
        assert list(tmp_path.iterdir()) == []
        assert owner(tmp_path / "work") is None
        workspace.keep_sweep(LAST, sums())
        assert owner(tmp_path / "work") == KEY

    def test_another_model_or_other_prompts_find_nothing_and_replace_it(self, tmp_path) -> None:
        workspace, other = on_disk(tmp_path), {**KEY, "prompts": "other"}
        workspace.keep_sweep(LAST, sums())
        workspace.keep_pruned({}, PRUNED)
        workspace.known.add(RECEIVER, SENDERS, [0.1, 0.2])
        stranger = on_disk(tmp_path, other)
        assert stranger.sweep(LAST) is None
        assert stranger.pruned({}) is None
        assert len(stranger.known) == 0
        assert len(on_disk(tmp_path).known) == 2, "looking replaces nothing"
        stranger.known.add(RECEIVER, SENDERS[:1], [0.5])
        assert len(on_disk(tmp_path).known) == 0
        assert len(on_disk(tmp_path, other).known) == 1
        assert on_disk(tmp_path, other).sweep(LAST) is None

    @pytest.mark.parametrize("damage", ["truncated", "emptied", "overwritten", "removed"])
    def test_damaged_files_are_computed_again(self, tmp_path, damage: str) -> None:
        workspace = on_disk(tmp_path)
        workspace.keep_sweep(LAST, sums())
        workspace.keep_pruned({}, PRUNED)
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
        assert again.sweep(LAST) is None
        assert again.pruned({}) is None
        again.keep_sweep(LAST, sums(2))
        assert_same_sums(on_disk(tmp_path).sweep(LAST), sums(2))

    def test_sums_over_prompts_of_an_older_version_are_computed_again(self, tmp_path) -> None:
        """Its tables lacked the axis of prompts, and its key did not say so."""
        workspace = on_disk(tmp_path)
        workspace.keep_sweep(LAST, sums())
        older = {
            name: tensor if name == "progress" else tensor.double().sum(-1)
            for name, tensor in sums().tensors().items()
        }
        label = {"key": json.dumps({**KEY, **LAST}, sort_keys=True), "note": ""}
        (tmp_path / "work" / SWEPT_FILE).write_bytes(save(older, metadata=label))
        again = on_disk(tmp_path)
        assert again.sweep(LAST) is None
        again.keep_sweep(LAST, sums(2))
        assert_same_sums(on_disk(tmp_path).sweep(LAST), sums(2))

    def test_a_sweep_cut_off_at_any_byte_is_whole_or_not_there(self, tmp_path) -> None:
        on_disk(tmp_path).keep_sweep(LAST, sums())
        file = tmp_path / "work" / SWEPT_FILE
        whole = file.read_bytes()
        workspace = on_disk(tmp_path)
        for size in range(0, len(whole), 97):
            file.write_bytes(whole[:size])
            assert workspace.sweep(LAST) is None

    def test_a_journal_that_was_cut_off_gives_what_was_whole(self, tmp_path) -> None:
        workspace = on_disk(tmp_path)
        for sender, effect in zip(SENDERS, (0.1, 0.2), strict=True):
            workspace.known.add(RECEIVER, [sender], [effect])
        file = tmp_path / "work" / EXACT_FILE
        file.write_bytes(file.read_bytes()[:-3])
        again = on_disk(tmp_path)
        assert again.known.missing(RECEIVER, SENDERS) == SENDERS[1:]


def test_a_digest_tells_all_prompts_apart_that_differ_in_what_matters() -> None:
    pairs = ragged_pairs()
    changed = [replace(pairs, **{name: getattr(pairs, name) + 1}) for name in ("clean", "template")]
    changed += [replace(pairs, end=pairs.end - 1), replace(pairs, wrong=pairs.correct)]
    changed += [replace(pairs, corrupted=pairs.corrupted.flip(0)), pairs[:4], ragged_pairs(seed=1)]
    digests = [prompt_digest(some) for some in (pairs, *changed)]
    assert len(set(digests)) == len(digests)
    assert prompt_digest(ragged_pairs()) == digests[0]
    assert prompt_digest(replace(pairs, clean_text=("other",) * 5)) == digests[0]
