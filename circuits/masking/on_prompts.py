"""Runs with weighted edges of any number of prompts, as many at once as memory holds."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Tensor

from circuits.circuit import every_edge
from circuits.components import Node
from circuits.forward import LayeredModel
from circuits.forward.activations import PROMPTS_TOGETHER, Activations, Batch
from circuits.forward.finite import check_finite
from circuits.forward.prompts import readable
from circuits.graph import ModelGraph
from circuits.masking.node_outputs import NodeOutputs
from circuits.masking.run import WeightedEdges
from circuits.runtime.memory import free_share
from circuits.runtime.progress import SILENT, Progress
from circuits.runtime.shrinking import Shrinking

Along = Literal["present", "clean"]
_COPIES = 6
"""What each sender gives is held about so many times: corrupted, changed, now, and towards."""
_MOST_CIRCUITS = 8
_ENOUGH_BYTES = 1 << 30
"""More is not faster."""
_PROMPTS, _CIRCUITS = Shrinking("prompts"), Shrinking("circuits")


@dataclass(frozen=True, eq=False)
class MaskedSlopes:
    """A run with weighted edges.

    Attributes:
        metric: Of each prompt.
        gradients: Of each prompt's metric by the weight of each edge.

    """

    metric: Float[Tensor, " prompt"]
    gradients: Float[Tensor, "receiver sender prompt"]


class MaskedRuns:
    """A model on some prompts, with a weight for every edge of the graph of EAP-IG.

    What senders give on clean and on corrupted prompts is computed once, and kept where memory
    allows.

    >>> runs = MaskedRuns(activations)
    >>> whole = runs.every_edge
    >>> runs.metrics(torch.stack([whole, 0 * whole])).shape
    torch.Size([2, 4])
    >>> runs.slopes(whole).gradients.shape  # by receiver, sender and prompt
    torch.Size([40, 16, 4])
    """

    def __init__(self, activations: Activations, memory_bytes: int | None = None) -> None:
        """Of the activations' prompts; without `memory_bytes`, in a safe share of what is free."""
        self.activations, self._memory_bytes = activations, memory_bytes

    @cached_property
    def graph(self) -> ModelGraph:
        """The nodes and edges: MLPs and the embedding are nodes."""
        return self.activations.graph("nodes")

    @cached_property
    def every_edge(self) -> Float[Tensor, "receiver sender"]:
        """The weights of the whole model: 1 for every edge, 0 where there is none."""
        return every_edge(self.graph).float()

    def metrics(
        self,
        weights: Float[Tensor, "circuit receiver sender"],
        progress: Progress = SILENT,
        like: Float[Tensor, "receiver sender"] | None = None,
    ) -> Float[Tensor, "circuit prompt"]:
        """The metric of each prompt, for the weights of several circuits.

        What circuits have in common with weights that they are `like`, from the embedding up, is
        run once: those are best put in the order of where they begin to differ.

        Raises:
            MismatchError: There are not as many weights as edges.
            NonFiniteError: The metric of a prompt is NaN or infinite.

        """
        return self._of_circuits("metric", weights, progress, like)

    def divergences(
        self,
        weights: Float[Tensor, "circuit receiver sender"],
        progress: Progress = SILENT,
        like: Float[Tensor, "receiver sender"] | None = None,
    ) -> Float[Tensor, "circuit prompt"]:
        """How far each prompt's next-token distribution is from the whole model's, in nats.

        By `kl_divergence`, where the answer is read. Arguments, and what is raised, as of
        `metrics`.
        """
        return self._of_circuits("divergence", weights, progress, like)

    def _of_circuits(
        self,
        figure: Literal["metric", "divergence"],
        weights: Float[Tensor, "circuit receiver sender"],
        progress: Progress,
        like: Float[Tensor, "receiver sender"] | None,
    ) -> Float[Tensor, "circuit prompt"]:
        def run(outputs: NodeOutputs, part: Progress) -> Float[Tensor, "circuit prompt"]:
            base = None if like is None else self._base(outputs, like)

            def in_parts(size: int) -> Float[Tensor, "circuit prompt"]:
                runs = (WeightedEdges(outputs, some, like=base) for some in weights.split(size))
                return torch.cat([getattr(run, figure).cpu() for run in runs])

            return _CIRCUITS.run(self._circuits_together(outputs, weights), in_parts)

        found = self.of_all(run, progress)
        pairs = readable(self.activations.model.bridge, self.activations.pairs)
        tokens = [pairs.clean, pairs.corrupted]
        check_finite(self.activations.model.bridge, f"the {figure} of a circuit", found, tokens)
        return found

    def _base(self, outputs: NodeOutputs, like: Float[Tensor, "receiver sender"]) -> WeightedEdges:
        """The run that others are like: the last one is kept, as they are often like the same."""
        known = self._bases.get(outputs)
        if known is None or not known.weights.equal(like):
            known = WeightedEdges(outputs, like)
            is_kept = outputs in self._kept.values()
            if is_kept and 3 * self._bytes_of_all <= self.memory_bytes:
                self._bases[outputs] = known
        return known

    @cached_property
    def _bases(self) -> dict[NodeOutputs, WeightedEdges]:
        return {}

    def slopes(
        self,
        weights: Float[Tensor, "receiver sender"],
        embedded: float = 1.0,
        along: Along = "present",
        progress: Progress = SILENT,
        constant: Iterable[Node] = (),
    ) -> MaskedSlopes:
        """The metric of each prompt, and its slope by the weight of each edge.

        Args:
            weights: Of every edge.
            embedded: How far the embedding is on its way from the corrupted prompt, 0, to the clean
                one, 1.
            along: What an edge would give more of: how its sender's output differs from the
                corrupted one in this run (the slope by its weight), or in the clean run.
            progress: Hears of the fraction done.
            constant: Senders whose outputs are taken not to depend on what they read.

        Raises:
            MismatchError: There are not as many weights as edges, or no such sender.

        """
        constant = tuple(constant)

        def run(outputs: NodeOutputs, part: Progress) -> Float[Tensor, "row prompt"]:
            run = WeightedEdges(outputs, weights, embedded)
            changes = outputs.change if along == "clean" else run.changes
            found = run.gradients_along(changes, constant)
            of_edges = rearrange(found, "prompt receiver sender -> (receiver sender) prompt")
            return torch.cat([run.metric[None].to(of_edges), of_edges]).cpu()

        metric, slopes = self.of_all(run, progress).split([1, weights.numel()])
        return MaskedSlopes(
            metric[0],
            rearrange(
                slopes, "(receiver sender) prompt -> receiver sender prompt", receiver=len(weights)
            ),
        )

    def differentiated(self, model: LayeredModel) -> MaskedRuns:
        """The same runs of a model whose pieces give the same, and have other derivatives."""
        return _Differentiated(self, model)

    def split(self, size: int) -> list[MaskedRuns]:
        """The same of at most so many prompts each, in order."""
        own = self.activations
        return [
            MaskedRuns(Activations(own.model, own.pairs[some], own.metric), self._memory_bytes)
            for some in torch.arange(len(own.pairs)).split(size)
        ]

    def of_all(
        self,
        run: Callable[[NodeOutputs, Progress], Float[Tensor, "*row prompt"]],
        progress: Progress = SILENT,
    ) -> Float[Tensor, "*row prompt"]:
        """What a function finds of all prompts, given what senders give on a few at a time."""

        def work(size: int) -> Tensor:
            batches = list(self.activations.split(size))
            found = [run(self._outputs(batch), part) for batch, part in progress.each(batches)]
            order = torch.cat([batch.prompts for batch in batches]).argsort()
            return torch.cat(found, -1)[..., order]

        return _PROMPTS.run(self._together, work)

    def _outputs(self, batch: Batch) -> NodeOutputs:
        prompts = tuple(batch.prompts.tolist())
        if prompts in self._kept:
            return self._kept[prompts]
        outputs = NodeOutputs.of(batch.paired)
        if 2 * self._bytes_of_all <= self.memory_bytes:
            self._kept[prompts] = outputs
        return outputs

    @cached_property
    def _kept(self) -> dict[tuple[int, ...], NodeOutputs]:
        return {}

    @cached_property
    def memory_bytes(self) -> int:
        """About how much memory is used."""
        devices = self.activations.model.devices
        return self._memory_bytes or min(_ENOUGH_BYTES, *map(free_share, devices))

    @property
    def _bytes_of_token(self) -> int:
        """What every sender gives at one token."""
        model = self.activations.model
        return len(self.graph.senders) * model.d_model * model.dtype.itemsize

    @cached_property
    def _n_tokens(self) -> Int[Tensor, " prompt"]:
        pairs = self.activations.pairs
        return pairs.end - pairs.first_difference + 1

    @property
    def _bytes_of_all(self) -> int:
        return int(self._n_tokens.sum()) * self._bytes_of_token

    @cached_property
    def _together(self) -> int:
        """How many prompts are run at once."""
        longest = int(self._n_tokens.max()) * self._bytes_of_token
        return max(1, min(PROMPTS_TOGETHER, self.memory_bytes // (_COPIES * longest)))

    def _circuits_together(
        self, outputs: NodeOutputs, weights: Float[Tensor, "circuit receiver sender"]
    ) -> int:
        """How many circuits are run at once: each has what every sender gives that is read."""
        n_used = int(weights.ne(0).flatten(0, 1).any(0).sum())
        one = outputs.corrupted[0].numel() * self.activations.model.dtype.itemsize
        return max(1, min(_MOST_CIRCUITS, self.memory_bytes // (2 * max(1, n_used) * one)))


class _Differentiated(MaskedRuns):
    """Runs that take what senders give from others."""

    def __init__(self, runs: MaskedRuns, model: LayeredModel) -> None:
        super().__init__(runs.activations, runs._memory_bytes)
        self._runs, self._model = runs, model

    def _outputs(self, batch: Batch) -> NodeOutputs:
        outputs = self._runs._outputs(batch)
        return replace(outputs, paired=replace(outputs.paired, model=self._model))
