"""Which token positions a corrupted prompt can change, and moving between two layouts of them.

Before the first difference of a pair nothing changes, and nothing after the answer's position
matters: only what lies between is computed. Norms, MLPs and projections see these tokens packed
in one row; attention sees them as `[prompt, slot]`, padded.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from einops import rearrange, reduce
from jaxtyping import Bool, Float, Int
from torch import Tensor

from circuits.tasks import PromptPairs


@dataclass(frozen=True, eq=False)
class ActivePositions:
    """A packed set of (prompt, position) tokens."""

    prompt: Int[Tensor, " token"]
    position: Int[Tensor, " token"]
    end: Int[Tensor, " prompt"]

    @classmethod
    def between_difference_and_end(cls, pairs: PromptPairs) -> ActivePositions:
        """Every position from a pair's first difference to where the answer is read."""
        positions = torch.arange(pairs.clean.shape[1], device=pairs.clean.device)
        active = (positions >= pairs.first_difference[:, None]) & (positions <= pairs.end[:, None])
        prompt, position = active.nonzero(as_tuple=True)
        return cls(prompt, position, pairs.end)

    @classmethod
    def at_end(cls, pairs: PromptPairs) -> ActivePositions:
        """The position of each prompt where the answer is read, and no other."""
        return cls(torch.arange(len(pairs), device=pairs.end.device), pairs.end, pairs.end)

    def __len__(self) -> int:
        return len(self.prompt)

    @cached_property
    def slot(self) -> Int[Tensor, " token"]:
        """Running number of each token within its prompt."""
        first = torch.searchsorted(self.prompt, self.prompt)
        return torch.arange(len(self), device=self.prompt.device) - first

    @cached_property
    def n_slots(self) -> int:
        return int(self.slot.max()) + 1

    @cached_property
    def slot_position(self) -> Int[Tensor, "prompt slot"]:
        """Position of each slot; padding slots repeat the prompt's first position."""
        table = self.position[torch.searchsorted(self.prompt, self._prompts)]
        table = table[:, None].repeat(1, self.n_slots)
        table[self.prompt, self.slot] = self.position
        return table

    @property
    def n_prompts(self) -> int:
        return len(self.end)

    @cached_property
    def end_token(self) -> Int[Tensor, " prompt"]:
        """Index among the packed tokens of each prompt's answer position."""
        is_end: Bool[Tensor, " token"] = self.position == self.end[self.prompt]
        return is_end.nonzero()[:, 0]

    def pack(self, x: Float[Tensor, "prompt pos *rest"]) -> Float[Tensor, " token *rest"]:
        """Take these tokens out of a full [prompt, pos] tensor."""
        return x[self.prompt.to(x.device), self.position.to(x.device)]

    def ends(self, x: Float[Tensor, "*batch token rest"]) -> Float[Tensor, "*batch prompt rest"]:
        """Take the answer positions out of packed tokens."""
        return x[..., self.end_token.to(x.device), :]

    def to_slots(
        self, x: Float[Tensor, "*batch token head d_head"]
    ) -> Float[Tensor, "*batch prompt slot head d_head"]:
        """Packed tokens to padded [prompt, slot]; padding is zero."""
        padded = x.new_zeros(*x.shape[:-3], self.n_prompts, self.n_slots, *x.shape[-2:])
        padded[..., self.prompt.to(x.device), self.slot.to(x.device), :, :] = x
        return padded

    def from_slots(
        self, x: Float[Tensor, "*batch prompt slot head d_head"]
    ) -> Float[Tensor, "*batch token head d_head"]:
        """Padded [prompt, slot] back to packed tokens."""
        return x[..., self.prompt.to(x.device), self.slot.to(x.device), :, :]

    def sum_by_prompt(
        self, x: Float[Tensor, "*batch token unit"]
    ) -> Float[Tensor, "*batch prompt unit"]:
        """Add up each prompt's tokens, in an order that is the same on every device."""
        slots = self.to_slots(rearrange(x, "... token unit -> ... token unit 1"))
        return reduce(slots, "... prompt slot unit 1 -> ... prompt unit", "sum")

    def overwrite(
        self,
        full: Float[Tensor, "prompt pos head d_head"],
        new: Float[Tensor, "*batch token head d_head"],
    ) -> Float[Tensor, "*batch prompt pos head d_head"]:
        """A full [prompt, pos] tensor for every batch entry, with these tokens replaced."""
        merged = full.expand(*new.shape[:-3], *full.shape).clone()
        merged[..., self.prompt.to(new.device), self.position.to(new.device), :, :] = new
        return merged

    @cached_property
    def _prompts(self) -> Int[Tensor, " prompt"]:
        return torch.arange(self.n_prompts, device=self.prompt.device)
