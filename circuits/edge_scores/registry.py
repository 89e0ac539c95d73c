"""What edges are scored by, by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from circuits.components import Connection
from circuits.runtime.progress import SILENT, Progress
from circuits.runtime.registry import Registry
from circuits.runtime.settings import Checked, setting

if TYPE_CHECKING:
    from circuits.masking import MaskedRuns
    from circuits.patching import EdgeValues


@dataclass(frozen=True)
class EdgeScoreSettings(Checked):
    """What can be chosen of a score of edges.

    Raises:
        SettingError: A number is out of range.

    >>> EdgeScoreSettings(n_steps=0)
    Traceback (most recent call last):
    circuits.errors.SettingError: n_steps must be at least 1, got 0
    """

    n_steps: int | None = setting(
        None,
        "At how many points gradients are averaged, or how many steps are learned.",
        least=1,
        otherwise="5; of mask-attribution as many as it takes; of learned scores 500",
    )
    edges: tuple[Connection, ...] | None = setting(
        None, "The edges that are measured exactly.", otherwise="all"
    )
    most_passes: int = setting(
        10_000, "How many forward passes exact scores may take; more are refused.", least=1
    )
    seed: int = setting(0, "Seed of random and of learned scores.", least=0)
    sparsity: float | None = setting(
        None,
        "The share of edges that edge pruning is to leave out in the end.",
        above=0,
        below=1,
        otherwise="0.98",
    )


@runtime_checkable
class EdgeScorer(Protocol):
    """One number for each edge and prompt, larger for what helps the answer more.

    A score that prompts do not have one by one, such as a learned one, has a prompt axis of length
    1; `reliable_edges`, which looks at how prompts differ, refuses it.

    Attributes:
        name: What `edge_scores` calls it.
        description: What it looks at, in a few words.

    >>> from circuits.edge_scores import edge_scores
    >>> from circuits.patching import EdgeValues
    >>> class Distance:
    ...     name, description = "distance", "edges between distant layers first"
    ...     def score(self, runs, settings, progress=SILENT):
    ...         return EdgeValues(runs.graph, runs.every_edge[..., None].cumsum(0))
    >>> with EDGE_SCORERS.with_entry(Distance()):
    ...     edge_scores(model, pairs, "distance").values.shape
    torch.Size([40, 16, 1])
    """

    name: str
    description: str

    def score(
        self, runs: MaskedRuns, settings: EdgeScoreSettings, progress: Progress = SILENT
    ) -> EdgeValues:
        """By receiver, sender and prompt; NaN where there is no edge.

        In units of the metric, unless the scorer says otherwise.
        """
        ...


def _flaw(entry: Any) -> str | None:
    if isinstance(entry, EdgeScorer):
        return None
    return "it must have a description and a method score (EdgeScorer)"


EDGE_SCORERS: Registry[EdgeScorer] = Registry(
    "score of edges",
    {
        "eap": "circuits.edge_scores.gradients:EAP",
        "eap-ig": "circuits.edge_scores.gradients:EAP_IG",
        "clean-corrupted": "circuits.edge_scores.gradients:CLEAN_CORRUPTED",
        "eap-ig-activations": "circuits.edge_scores.gradients:EAP_IG_ACTIVATIONS",
        "relp": "circuits.edge_scores.backward_rules:RELP",
        "gim": "circuits.edge_scores.backward_rules:GIM",
        "atp-star": "circuits.edge_scores.atp_star:ATP_STAR",
        "swept": "circuits.edge_scores.swept:SWEPT",
        "mask-attribution": "circuits.edge_scores.mask_attribution:MASK_ATTRIBUTION",
        "nap": "circuits.edge_scores.nodes:NAP",
        "nap-ig": "circuits.edge_scores.nodes:NAP_IG",
        "mattr": "circuits.edge_scores.mattr:MATTR",
        "edge-pruning": "circuits.edge_scores.edge_pruning:EDGE_PRUNING",
        "exact": "circuits.edge_scores.exact:EXACT",
        "random": "circuits.edge_scores.at_random:RANDOM",
    },
    _flaw,
)
"""Every score of edges."""
