"""The checks of types and shapes that every other test runs under."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest
import torch
from jaxtyping import Float
from torch import Tensor

from circuits.patching.edge_values import checked_scale
from circuits.statistics import Estimate
from tests.checked import checked, without_checks

Weights = Float[Tensor, "receiver sender"]
VIOLATION = "violates type hint"


@checked
def product(left: Float[Tensor, "row inner"], right: Float[Tensor, "inner column"]) -> Weights:
    return left @ right


@checked
def doubled(values: Float[Tensor, " n"], times: int = 2) -> Float[Tensor, " n"]:
    return values.repeat(times)


@checked
def named(weights: Weights, *others: Weights, scale: float | int = 1) -> list[Weights]:
    return [scale * one for one in (weights, *others)]


@checked
def later(other: Later) -> int:  # Not there yet when the function is made.
    return other.count


@checked
def yielded(
    n: int, values: Float[Tensor, " n"], *others: Float[Tensor, " n"], **named: Float[Tensor, " n"]
) -> Iterator[Float[Tensor, " n"]]:
    yield from values.expand(n, *values.shape)


@checked
def misnamed() -> int:
    yield 1


@checked
@dataclass(frozen=True)
class Later:
    count: int
    values: Float[Tensor, " n"] = field(default_factory=lambda: torch.zeros(2))
    others: Float[Tensor, " n"] = field(default_factory=lambda: torch.zeros(2))


class TestShapes:
    def test_axes_of_one_name_are_equally_long(self) -> None:
        assert product(torch.zeros(2, 3), torch.zeros(3, 4)).shape == (2, 4)
        with pytest.raises(TypeError, match=VIOLATION):
            product(torch.zeros(2, 3), torch.zeros(4, 2))

    def test_also_those_of_what_is_returned(self) -> None:
        assert doubled(torch.zeros(3), times=1).shape == (3,)
        with pytest.raises(TypeError, match=VIOLATION):
            doubled(torch.zeros(3))

    def test_a_call_has_names_of_its_own(self) -> None:
        assert len(doubled(torch.zeros(3), 1)) + len(doubled(torch.zeros(4), 1)) == 7

    def test_those_of_an_alias(self) -> None:
        assert len(named(torch.zeros(1, 2), torch.zeros(1, 2), scale=3)) == 2
        with pytest.raises(TypeError, match=VIOLATION):
            named(torch.zeros(1, 2), torch.zeros(2, 2))

    def test_fields_of_a_dataclass(self) -> None:
        assert Later(1, torch.zeros(3), torch.zeros(3)).count == 1
        with pytest.raises(TypeError, match=VIOLATION):
            Later(1, torch.zeros(3), torch.zeros(4))


class TestTypes:
    def test_arguments_and_fields(self) -> None:
        with pytest.raises(TypeError, match=VIOLATION):
            doubled(torch.zeros(3), times=1.0)
        with pytest.raises(TypeError, match=VIOLATION):
            Later("one")

    def test_of_what_is_made_later_nothing_is_known(self) -> None:
        assert later(Later(3)) == 3

    def test_a_generator_is_given_the_right_types_when_it_is_called(self) -> None:
        assert len(list(yielded(3, torch.zeros(2)))) == 3
        with pytest.raises(TypeError, match=VIOLATION):
            yielded(3, "three")
        with pytest.raises(TypeError, match=VIOLATION):
            yielded(3, torch.zeros(2), torch.zeros(2), torch.zeros(3))
        with pytest.raises(TypeError, match=VIOLATION):
            yielded(3, torch.zeros(2), other=torch.zeros(3))

    def test_and_is_what_it_says(self) -> None:
        with pytest.raises(TypeError, match=VIOLATION):
            misnamed()

    def test_where_it_is_run_other_axes_may_have_its_names(self) -> None:
        def taken(values: Float[Tensor, " n"]) -> list[Tensor]:
            return list(given)

        given = yielded(3, torch.zeros(2))
        assert len(checked(taken)(torch.zeros(5))) == 3

    def test_the_function_looks_the_same(self) -> None:
        assert doubled.__name__ == "doubled"
        assert doubled.__module__ == __name__


class TestWhatIsChecked:
    """Functions, methods and dataclasses of the packages, as they are imported."""

    def test_functions(self) -> None:
        with pytest.raises(TypeError, match=VIOLATION):
            checked_scale("1")

    def test_methods_and_dataclasses(self) -> None:
        with pytest.raises(TypeError, match=VIOLATION):
            Estimate(1, 0.0, 2.0)
        with pytest.raises(TypeError, match=VIOLATION):
            Estimate(1.0, 0.0, 2.0).scaled("2")

    def test_unless_they_are_to_be_let_through(self) -> None:
        with without_checks():
            assert Estimate(1, 0.0, 2.0).value == 1
        with pytest.raises(TypeError, match=VIOLATION):
            Estimate(1, 0.0, 2.0)
