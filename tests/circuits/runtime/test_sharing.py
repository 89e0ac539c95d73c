"""Parts of a computation: computed once, in their order, with what they took."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import torch

from circuits.errors import InputError, SettingError
from circuits.runtime.files import DamagedFileWarning
from circuits.runtime.progress import Progress
from circuits.runtime.sharing import Sharing, last_used, shared
from circuits.runtime.workers import Workers


@dataclass(frozen=True)
class Squared:
    """A matrix of ones times itself; leaves a file for each time that it is computed."""

    size: int
    place: Path

    @property
    def key(self) -> dict[str, int]:
        return {"size": self.size}

    def __call__(self, progress: Progress) -> dict[str, torch.Tensor]:
        if self.size < 1:
            raise InputError("nothing to square")
        (self.place / f"{self.size}-{len([*self.place.iterdir()])}").touch()
        ones = torch.ones(self.size, self.size)
        return {"square": ones @ ones}

    @property
    def n_computed(self) -> int:
        return len([*self.place.glob(f"{self.size}-*")])


@pytest.fixture
def sharing(tmp_path):
    with ThreadPoolExecutor(2) as pool, shared(Workers(pool), tmp_path / "work") as one:
        yield one


@pytest.fixture
def parts(tmp_path) -> list[Squared]:
    place = tmp_path / "computed"
    place.mkdir()
    return [Squared(size, place) for size in (3, 1, 2)]


def sizes(found) -> list[int]:
    return [int(tensors["square"][0, 0]) for tensors in found]


def test_the_results_are_in_the_order_of_the_parts(sharing, parts) -> None:
    assert sizes(sharing.run(parts)) == [3, 1, 2]


def test_what_is_kept_is_not_computed_again(sharing, parts) -> None:
    sharing.run(parts[:2])
    assert sizes(sharing.run(parts)) == [3, 1, 2]
    assert [part.n_computed for part in parts] == [1, 1, 1]


def test_what_is_forgotten_leaves_nothing(sharing, parts) -> None:
    sharing.run(parts)
    sharing.forget(parts[:1])
    assert len([*(sharing.directory / "parts").iterdir()]) == 2
    sharing.forget(parts)
    assert not [*sharing.directory.iterdir()]


def test_a_damaged_part_is_computed_again(sharing, parts) -> None:
    sharing.run(parts[:1])
    (file,) = (sharing.directory / "parts").iterdir()
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.warns(DamagedFileWarning, match="is damaged"):
        assert sizes(sharing.run(parts[:1])) == [3]
    assert parts[0].n_computed == 2


def test_flops_are_those_of_what_was_computed(sharing, parts) -> None:
    heard: list[int] = []
    sharing.on_flops = heard.append
    sharing.run(parts)
    sharing.run(parts)
    assert sorted(heard) == [2 * size**3 for size in (1, 2, 3)]


def test_a_part_that_fails_ends_it_and_those_before_are_kept(sharing, parts) -> None:
    sharing.workers = replace(sharing.workers, count=1)
    with pytest.raises(InputError, match="nothing to square"):
        sharing.run([parts[0], Squared(0, parts[0].place)])
    sharing.run(parts[:1])
    assert parts[0].n_computed == 1


def test_workers_stay_and_leave_no_empty_directory(parts, tmp_path) -> None:
    with shared(Workers(count=1), tmp_path / "work") as sharing:
        assert isinstance(sharing, Sharing)
        first = sharing.workers.executor
        assert sizes(sharing.run(parts[:1])) + sizes(sharing.run(parts[1:])) == [3, 1, 2]
        assert sharing.workers.executor is first
        sharing.forget(parts)
    assert not (tmp_path / "work").exists()


def test_workers_need_a_directory() -> None:
    with pytest.raises(SettingError, match="give a directory"), shared(Workers(), None):
        pass
    with shared(None, None) as nobody:
        assert nobody is None


def test_what_was_made_last_is_kept_and_nothing_else() -> None:
    made: list[str] = []

    def make() -> int:
        made.append("one")
        return len(made)

    assert (last_used("a", make), last_used("a", make)) == (1, 1)
    assert (last_used("b", make), last_used("a", make)) == (2, 3)
