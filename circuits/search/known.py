"""What is known of one receiver's effects, and how far off the estimates among them may be."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from circuits.components import Receiver


@dataclass(eq=False)
class Known:
    """Estimates of the effects on a receiver, and exact ones where paths were run.

    Attributes:
        receiver: The one of its unit that stands for all.
        estimate: Of each sender; NaN where there is no path.
        left_out: What each estimate may leave out.
        rounding: Error of an estimate that leaves nothing out.
        is_exact: Whether the estimator says that these estimates leave nothing out.
        exact: Effects that were run exactly; NaN for all others.
        sampled: Mask of those of them that were drawn at random.
        curvatures: Of all verified edges that have one: of which not everything is rounding.

    """

    receiver: Receiver
    estimate: Float[Tensor, " sender"]
    left_out: Float[Tensor, " sender"]
    rounding: float
    is_exact: bool
    exact: Float[Tensor, " sender"] = field(init=False)
    sampled: Bool[Tensor, " sender"] = field(init=False)
    curvatures: Float[Tensor, " edge"] = field(init=False)

    def __post_init__(self) -> None:
        self.exact = torch.full_like(self.estimate, torch.nan)
        self.sampled = torch.zeros_like(self.estimate, dtype=torch.bool)
        self.curvatures = self.estimate[:0]

    def learn(self, columns: list[int], exact: list[float]) -> None:
        """Take in exact effects of some senders."""
        self.exact[columns] = torch.tensor(exact, dtype=self.exact.dtype)
        beyond_rounding = self.says_something | (self.errors_made > self.rounding)
        self.curvatures = self.relative_errors[self.verified & beyond_rounding]

    @property
    def effects(self) -> Float[Tensor, " sender"]:
        """Exact effects where they are known, else estimates."""
        return self.exact.where(self.verified, self.estimate)

    @property
    def verified(self) -> Bool[Tensor, " sender"]:
        """Mask of the edges that were run exactly."""
        return ~self.exact.isnan()

    @property
    def left(self) -> Bool[Tensor, " sender"]:
        """Mask of the edges that are estimated alone."""
        return ~self.estimate.isnan() & self.exact.isnan()

    @property
    def errors_made(self) -> Float[Tensor, " sender"]:
        """Errors of the estimates; NaN where no exact effect is known."""
        return (self.exact - self.estimate).abs()

    @property
    def relative_errors(self) -> Float[Tensor, " sender"]:
        """Errors beyond rounding, relative to what the estimates may leave out: curvatures."""
        beyond = (self.errors_made - self.rounding).clamp(min=0)
        return beyond / (self.left_out + self.rounding)

    @property
    def error_seen(self) -> Float[Tensor, " edge"]:
        """Errors of the verified edges."""
        return self.errors_made[self.verified]

    @property
    def says_something(self) -> Bool[Tensor, " sender"]:
        """Mask of the estimates that may leave out more than rounding.

        A gradient that vanishes gives an estimate of 0 that says to leave nothing out. Where it
        does, its curvature has no scale, and is no measure of others.
        """
        return self.left_out > self.rounding

    def errors(self, curvature: float) -> Float[Tensor, " sender"]:
        """How far each estimate may be off; 0 where an exact effect is known."""
        granted = curvature * (self.left_out + self.rounding) + self.rounding
        return granted.where(self.left, 0.0)
