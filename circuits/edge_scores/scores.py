"""Scores of all edges of a model on some prompts."""

from __future__ import annotations

from typing import Any

from circuits.edge_scores.registry import EDGE_SCORERS, EdgeScoreSettings
from circuits.forward import LayeredModel, TransformerBridge
from circuits.forward.activations import Activations
from circuits.masking import MaskedRuns
from circuits.metrics import Metric, logit_diff
from circuits.patching import EdgeValues
from circuits.runtime.progress import SILENT, Progress
from circuits.runtime.settings import checked_names, takes_settings
from circuits.tasks import PromptPairs


@takes_settings(EdgeScoreSettings)
def edge_scores(
    model: TransformerBridge | LayeredModel,
    pairs: PromptPairs,
    method: str = "eap-ig",
    metric: Metric = logit_diff,
    memory_bytes: int | None = None,
    progress: Progress = SILENT,
    **settings: Any,
) -> EdgeValues:
    """Score every edge of the graph whose nodes are the embedding, heads and MLPs.

    Above 0 where an edge helps: where the metric falls when it is corrupted. In units of the
    metric, by receiver, sender and prompt; a mean over prompts is `scores.values.mean(-1)`. NaN
    where there is no edge. Learned scores ("mattr", "edge-pruning") have no unit, and a prompt axis
    of length 1: one number for all prompts.

    Args:
        model: A TransformerBridge, or its pieces.
        pairs: Clean and corrupted prompts.
        method: An entry of `EDGE_SCORERS`: "eap", "eap-ig", "mask-attribution", "exact", ...
        metric: From logits at the answers to one number per prompt.
        memory_bytes: About how much memory to use; decides what is done at once, not the numbers.
            A safe share of what is free without.
        progress: Hears of the fraction done.
        settings: Those of `EdgeScoreSettings`.

    Raises:
        UnknownNameError: There is no such method.
        SettingError: A setting is unknown, out of range, or nothing that the method has a use for;
            or exact scores would take too many passes.
        NonFiniteError: The metric or a score is NaN or infinite.
        NoEffectError: Corrupting the prompts changes nothing that edge pruning could keep.

    >>> from circuits.edge_scores import edge_scores
    >>> scores = edge_scores(model, pairs, "eap-ig", n_steps=3)
    >>> scores.values.shape  # 40 receivers, 16 senders, 4 prompts
    torch.Size([40, 16, 4])
    >>> scores.into(Receiver.parse("m0")).shape  # from the embedding, and the four heads of layer 0
    torch.Size([5, 4])
    """
    checked_names(EdgeScoreSettings, settings)
    scorer = EDGE_SCORERS.get(method)
    runs = MaskedRuns(Activations(LayeredModel.of(model), pairs, metric), memory_bytes)
    return scorer.score(runs, EdgeScoreSettings(**settings), progress)
