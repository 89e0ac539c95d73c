"""What every edge changes, prompt by prompt: the sums that effects are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
from einops import rearrange, reduce
from jaxtyping import Float, Int
from torch import Tensor

from circuits.components import Node, Receiver
from circuits.errors import NonFiniteError
from circuits.graph import ModelGraph
from circuits.patching.edge_values import EdgeEstimates, EdgeValues, checked_scale


class EdgeSums:
    """What an estimator finds, batch by batch: one number for each edge and prompt.

    What is added stays on its device until a batch is finished, so that a GPU never waits.

    Attributes:
        changes: Changes of the metric; NaN before a prompt is measured.
        remainders: Sizes of what they leave out; None where the estimator gives none.
        scale: Clean minus corrupted metric, summed over prompts.
        batches: How many batches are in the sums.
        batch_size: Prompts in a batch.

    >>> sums = EdgeSums(graph, n_prompts=4, batch_size=4)
    >>> sums.add([Receiver.logits()], [Head(1, 2)], changes=-torch.ones(1, 4, 1))
    >>> sums.finish_batch(torch.arange(4), clean=2 * torch.ones(4), corrupted=torch.zeros(4))
    >>> sums.is_whole, sums.normalised().effects.of(Head(1, 2), Receiver.logits())
    (True, -0.5)
    """

    def __init__(
        self, graph: ModelGraph, n_prompts: int, batch_size: int, *, has_remainders: bool = True
    ) -> None:
        """Begin with no batch: NaN for every edge and prompt."""
        self.changes = EdgeValues.unknown(graph, n_prompts)
        self.remainders = EdgeValues.unknown(graph, n_prompts) if has_remainders else None
        self.scale, self.batches, self.batch_size = 0.0, 0, batch_size
        self._waiting: list[tuple[EdgeValues, list[int], list[int], Tensor]] = []

    @property
    def is_whole(self) -> bool:
        """Whether every prompt is in the sums."""
        # Batches are counted, and may be smaller than their size.
        known = ~self.changes.values.isnan()
        return bool(reduce(known, "receiver sender prompt -> prompt", "any").all())

    def add(
        self,
        receivers: Iterable[Receiver],
        senders: Iterable[Node],
        changes: Float[Tensor, "sender prompt receiver"],
        remainders: Float[Tensor, "sender prompt receiver"] | None = None,
    ) -> None:
        """Add the edges from some senders to some receivers, for the prompts of a batch."""
        graph = self.changes.graph
        rows = [graph.row(receiver) for receiver in receivers]
        columns = [graph.column(sender) for sender in senders]
        for kind, values in ((self.changes, changes), (self.remainders, remainders)):
            if kind is not None and values is not None:
                self._waiting.append((kind, rows, columns, values))

    def finish_batch(
        self,
        prompts: Int[Tensor, " prompt"],
        clean: Float[Tensor, " prompt"],
        corrupted: Float[Tensor, " prompt"],
    ) -> None:
        """Take in a batch: which prompts they are, and their clean and corrupted metric.

        A remainder that is no number is infinite: nothing is known of that estimate's error.

        Raises:
            NonFiniteError: A change is NaN or infinite.

        """
        self.take_in(prompts)
        self.scale += float((clean.cpu().double() - corrupted.cpu().double()).sum())
        self.batches += 1

    def take_in(self, prompts: Int[Tensor, " prompt"]) -> None:
        """Take in what was added of some of a batch's prompts. Raises as `finish_batch` does."""
        for kind, rows, columns, values in self._waiting:
            row, column = (torch.tensor(places, dtype=torch.long) for places in (rows, columns))
            place = (row[:, None, None], column[:, None], prompts.cpu())
            found = values.float().cpu()
            if kind is self.changes:
                _check_changes(found)
            else:
                found = found.nan_to_num(torch.inf, torch.inf)
            kind.values[place] = rearrange(found, "sender prompt unit -> unit sender prompt")
        self._waiting.clear()

    def forget(self) -> None:
        """Leave out what was added and not yet taken in."""
        self._waiting.clear()

    def normalised(self) -> EdgeEstimates:
        """Normalised effects, and remainders in the same unit.

        Raises:
            NoEffectError: Clean and corrupted metric are equal.

        """
        scale = checked_scale(self.scale)
        remainders = self.remainders
        return EdgeEstimates(
            _summed(self.changes, scale),
            None if remainders is None else _summed(remainders, abs(scale)),
        )

    def tensors(self) -> dict[str, Tensor]:
        """Everything by name, for saving."""
        progress = torch.tensor([self.scale, self.batches, self.batch_size], dtype=torch.float64)
        named = {"progress": progress, "changes": self.changes.values}
        return named if self.remainders is None else named | {"remainders": self.remainders.values}

    @classmethod
    def of_tensors(cls, graph: ModelGraph, tensors: Mapping[str, Tensor]) -> EdgeSums:
        """What `tensors` gave. Raises KeyError where something is missing."""
        scale, batches, batch_size = tensors["progress"].tolist()
        changes, remainders = EdgeValues(graph, tensors["changes"]), tensors.get("remainders")
        found = cls(graph, changes.values.shape[-1], int(batch_size), has_remainders=False)
        found.scale, found.batches, found.changes = scale, int(batches), changes
        found.remainders = None if remainders is None else EdgeValues(graph, remainders)
        return found

    @classmethod
    def joined(cls, parts: Sequence[tuple[Int[Tensor, " prompt"], EdgeSums]]) -> EdgeSums:
        """Whole sums of some of the prompts each, with the places of these among all of them."""
        first, n_prompts = parts[0][1], sum(len(prompts) for prompts, _ in parts)
        has_remainders = first.remainders is not None
        found = cls(first.changes.graph, n_prompts, n_prompts, has_remainders=has_remainders)
        for prompts, sums in parts:
            found.changes.values[..., prompts] = sums.changes.values
            if found.remainders is not None and sums.remainders is not None:
                found.remainders.values[..., prompts] = sums.remainders.values
            found.scale += sums.scale
        found.batches = 1
        return found


def _check_changes(changes: Float[Tensor, "sender prompt receiver"]) -> None:
    bad = ~reduce(changes.isfinite(), "sender prompt receiver -> prompt", "all")
    if bad.any():
        raise NonFiniteError(
            f"an effect is NaN or infinite on {int(bad.sum())} of {len(bad)} prompts that were run "
            "together, so that nothing can be told from it: load the model in float32 or bfloat16 "
            "(dtype, --dtype)"
        )


def _summed(values: EdgeValues, scale: float) -> EdgeValues:
    """Sums over all prompts divided by `scale`; NaN before every prompt is measured."""
    summed = values.values.sum(-1, dtype=torch.float64) / scale
    return EdgeValues(values.graph, summed.float())
