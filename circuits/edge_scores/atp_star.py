"""AtP*: EAP with two mends, on direct edges (Kramár et al. 2024, arXiv 2403.00745, section 3).

The paper scores nodes; here the estimate of an edge is EAP's, the sender's clean minus corrupted
output times the gradient at the receiver's input in the clean run, with

- the QK fix: into a query or a key, the head's attention is computed anew with the sender's
  corrupted output in that one input, through its norm, and what the head's output loses is
  multiplied by the gradient there. Values, and so the output, are linear in attention, so that this
  is the change of the attention probabilities times their gradient. In the paper queries and keys
  are the nodes, and no norm lies before them.
- GradDrop: the same with gradients that pass no head and no MLP of one layer, for each layer in
  turn. Direct and indirect effects that cancel in one of these do not in all. An edge's size is the
  mean of the absolute estimates over all layers but its receiver's own, which gives no estimate
  (the paper's sum over layers, divided by their number less one); of an edge into the logits, which
  nothing lies behind, that of EAP. Where there is no other layer, nothing is dropped.

The size has no sign, and edges are ranked by signed scores, too: a score has the sign of the
estimate in which nothing is dropped. That is done for each prompt. Where prompts differ in sign
they cancel in the mean over prompts, which the paper takes of sizes.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor

from circuits.components import Node
from circuits.edge_scores.registry import EdgeScoreSettings
from circuits.edge_scores.scorer import FunctionScorer, PerPrompt
from circuits.edge_scores.swept import most_rows
from circuits.graph import ModelGraph
from circuits.masking import MaskedRuns, NodeOutputs, WeightedEdges
from circuits.masking.readers import Heads
from circuits.patching.exact_receivers import ExactReceivers
from circuits.runtime.progress import Progress

_FIXED = "q", "k"


def _atp_star(runs: MaskedRuns, settings: EdgeScoreSettings, progress: Progress) -> PerPrompt:
    max_rows = most_rows(runs)

    def run(outputs: NodeOutputs, part: Progress) -> PerPrompt:
        dropping, fixing = part.parts(2, 1)
        clean = WeightedEdges(outputs, runs.every_edge)
        dropped = _Dropped.of(clean, dropping)
        return _with_fixed(dropped, ExactReceivers(clean.upward, max_rows), fixing)

    return runs.of_all(run, progress)


@dataclass(frozen=True, eq=False)
class _Dropped:
    """Estimates and gradients that pass all layers, and those that one of them is left out of.

    Attributes:
        scores: Of edges, without the QK fix.
        slopes: By what senders give: with nothing dropped, and with each layer dropped in turn, of
            all senders below it.

    """

    scores: Float[Tensor, "receiver sender prompt"]
    slopes: tuple[Float[Tensor, "_ token d_model"], ...]

    @classmethod
    def of(cls, run: WeightedEdges, progress: Progress) -> _Dropped:
        """One pass back with nothing dropped, and one for each layer."""
        graph = run.outputs.graph
        with torch.no_grad():
            plain = run.backward(run.outputs.change)
            above, slopes = torch.zeros_like(plain.by_edge), [plain.by_output]
            for layer, _ in progress.each(range(graph.n_layers)):
                nodes = _nodes_of(graph, layer)
                found = run.backward(run.outputs.change, nodes)
                rows = [row for row, of in enumerate(_layers(graph)) if of < layer]
                above[:, rows] += found.by_edge[:, rows].abs()
                slopes.append(found.by_output[: graph.column(nodes[0])].clone())
        estimates = torch.stack([plain.by_edge, above])
        estimates = rearrange(estimates, "of prompt receiver sender -> of receiver sender prompt")
        of_rows = zip(*estimates, _layers(graph), strict=True)
        return cls(
            torch.stack([_signed(*row, n_layers=graph.n_layers) for row in of_rows]), tuple(slopes)
        )

    def of_layer(self, layer: int, columns: list[int]) -> Float[Tensor, "set sender token d_model"]:
        """Of senders of a layer: with nothing dropped, and with each layer above."""
        return torch.stack([self.slopes[place][columns] for place in self._above(layer)])

    def _above(self, layer: int) -> list[int]:
        return [0, *range(layer + 2, len(self.slopes))]


def _with_fixed(dropped: _Dropped, receivers: ExactReceivers, progress: Progress) -> PerPrompt:
    """Scores in which those into queries and keys are computed through attention."""
    found, n_layers = dropped.scores, receivers.run.outputs.graph.n_layers
    heads = [reader for reader in receivers.run.readers if isinstance(reader, Heads)]
    for reader, _ in progress.each(heads, [reader.n_below for reader in heads]):
        slopes = dropped.of_layer(reader.layer, reader.columns)
        for span, rows in reader.by_span:
            with torch.no_grad():
                plain, *above = receivers.of_heads(reader, _FIXED, slopes, span)
            size = torch.stack(above).abs().sum(0) if above else torch.zeros_like(plain)
            fixed = _signed(plain, size, reader.layer, n_layers=n_layers).flatten(0, 1)
            found[rows[: len(fixed)], : reader.n_below] = fixed.to(found.device)
    return found.cpu()


def _signed(plain: Tensor, above: Tensor, layer: int, *, n_layers: int) -> Tensor:
    """The mean size over layers that are dropped, with the sign of the estimate without.

    What is below the receiver changes nothing when it is dropped.
    """
    n_others = n_layers - 1 if layer < n_layers else n_layers
    if n_others == 0:
        return plain
    size = (layer * plain.abs() + above) / n_others
    return torch.where(plain < 0, -size, size)


def _layers(graph: ModelGraph) -> list[int]:
    """The layer of each receiver; behind all others that of the logits."""
    nodes = [receiver.node for receiver in graph.receivers]
    return [graph.n_layers if node is None else node.layer for node in nodes]


def _nodes_of(graph: ModelGraph, layer: int) -> list[Node]:
    """The heads and the MLP of a layer, in order."""
    return [node for node in graph.senders if node.layer == layer]


ATP_STAR = FunctionScorer(
    "atp-star",
    "EAP with attention computed anew for queries and keys, and layers left out in turn (AtP*)",
    _atp_star,
)
