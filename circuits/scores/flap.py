"""FLAP statistics of heads (An et al. 2023, arXiv 2312.11983) and their contrast (APP)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce as reduced
from operator import add
from typing import Literal, get_args
from weakref import WeakKeyDictionary

import torch
from einops import einsum, rearrange, reduce
from jaxtyping import Float
from torch import Tensor

from circuits.errors import SettingError, unknown_name
from circuits.forward import LayeredModel, TransformerBridge
from circuits.forward.activations import Activations
from circuits.forward.passes import PairedActivations
from circuits.metrics import logit_diff
from circuits.runtime.precision import in_float64
from circuits.scores.registry import Contrast
from circuits.scores.scorer import Scorer, finite_scores
from circuits.tasks import PromptPairs

Statistic = Literal["IFV", "WIFV", "WIFN"]


_collected: WeakKeyDictionary[Activations, HeadStatistics] = WeakKeyDictionary()
"""What both scores are computed from."""


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over tokens of head outputs, which add up batch by batch.

    Attributes:
        count: Tokens.
        mean: Of each column of each head's output.
        deviation: Summed squared deviation from that mean.
        square: Summed square.

    >>> z = torch.arange(48.0).reshape(1, 6, 4, 2)  # layer, token, head, d_head
    >>> together = Moments.of(z[:, :2]) + Moments.of(z[:, 2:])
    >>> together.variance.allclose(Moments.of(z).variance)
    True
    """

    count: int
    mean: Float[Tensor, "layer head d_head"]
    deviation: Float[Tensor, "layer head d_head"]
    square: Float[Tensor, "layer head d_head"]

    @classmethod
    def of(cls, z: Float[Tensor, "layer token head d_head"]) -> Moments:
        """Moments of one batch, in float64."""
        z = in_float64(z)
        mean = reduce(z, "layer token head d -> layer head d", "mean")
        centred = z - rearrange(mean, "layer head d -> layer 1 head d")
        return cls(
            z.shape[1],
            mean,
            reduce(centred**2, "layer token head d -> layer head d", "sum"),
            reduce(z**2, "layer token head d -> layer head d", "sum"),
        )

    def __add__(self, other: Moments) -> Moments:
        """Moments of both batches together (Chan, Golub and LeVeque 1979)."""
        count = self.count + other.count
        shift = other.mean - self.mean
        return Moments(
            count,
            self.mean + shift * other.count / count,
            self.deviation + other.deviation + shift**2 * self.count * other.count / count,
            self.square + other.square,
        )

    @property
    def variance(self) -> Float[Tensor, "layer head d_head"]:
        """Population variance of each column."""
        return self.deviation / self.count

    @property
    def norm(self) -> Float[Tensor, "layer head d_head"]:
        """Root mean square of each column."""
        return (self.square / self.count).sqrt()


@dataclass(frozen=True, eq=False)
class HeadStatistics:
    """What every score is computed from: one clean and one corrupted pass.

    Attributes:
        clean: Of the heads' outputs on the clean prompts.
        corrupted: Of those on the corrupted prompts.
        squared_change: Mean over tokens of ||(z_clean - z_corrupted) W_O||^2.
        output_weights: W_O of each head.

    >>> HeadStatistics.collect(activations).scores("WIFV", contrast=None).shape
    torch.Size([3, 4])
    """

    clean: Moments
    corrupted: Moments
    squared_change: Float[Tensor, "layer head"]
    output_weights: Float[Tensor, "layer head d_head d_model"]

    @classmethod
    def collect(cls, activations: Activations) -> HeadStatistics:
        """Add up batches of prompts; every token up to the answer's position counts."""
        model = activations.model
        parts = [_parts(model, batch.paired) for batch in activations.batches]
        clean, corrupted, change = (reduced(add, each) for each in zip(*parts, strict=True))
        each = [layer.output.weight.to(model.device) for layer in model.layers]
        weights = in_float64(torch.stack(each))
        return cls(clean, corrupted, change / clean.count, weights)

    def scores(
        self, statistic: Statistic = "WIFN", contrast: Contrast | None = "published"
    ) -> Float[Tensor, "layer head"]:
        """Scores of all heads; larger means more worth keeping. See `head_scores`.

        Raises:
            SettingError: The statistic or the contrast is unknown.
            NonFiniteError: A score is NaN or infinite.

        """
        for name, value, known in (
            ("statistic", statistic, get_args(Statistic)),
            ("contrast", contrast, (None, *get_args(Contrast))),
        ):
            if value not in known:
                names = [known_name for known_name in known if known_name is not None]
                raise SettingError(unknown_name(name, str(value), names))
        if contrast == "paired":
            return _standardise(self.squared_change[..., None])
        columns = self._columns(statistic, self.clean)
        if contrast == "published":
            columns = (columns**2 - self._columns(statistic, self.corrupted) ** 2).abs()
        return _standardise(columns)

    def _columns(
        self, statistic: Statistic, moments: Moments
    ) -> Float[Tensor, "layer head d_head"]:
        if statistic == "IFV":
            return moments.variance
        if statistic == "WIFV":
            squared_norm = reduce(
                self.output_weights**2, "layer head d d_model -> layer head d", "sum"
            )
            return moments.variance * squared_norm
        return moments.norm * reduce(
            self.output_weights.abs(), "layer head d d_model -> layer head d", "mean"
        )


def head_scores(
    model: TransformerBridge | LayeredModel,
    pairs: PromptPairs,
    statistic: Statistic = "WIFN",
    contrast: Contrast | None = "published",
) -> Float[Tensor, "layer head"]:
    """FLAP scores of all heads, from one clean and one corrupted pass.

    Per input column j of the output projection W: IFV is the variance of z_j, WIFV that times
    ||W_:j||^2, WIFN the mean of |W_ij| over i times the norm of z_j (An et al. 2023, arXiv
    2312.11983, section 3). Columns are standardised within a layer and averaged over a head.

    Args:
        model: A TransformerBridge, or its pieces.
        pairs: Clean and corrupted prompts.
        statistic: "IFV", "WIFV" or "WIFN".
        contrast: None scores the clean prompts; "published" is |clean^2 - corrupted^2| of each
            column's statistic (APP, arXiv 2511.05442, section 3); "paired" ignores the statistic
            and takes each head's mean squared change ||(z_clean - z_corrupted) W_O||^2.

    Raises:
        SettingError: The statistic or the contrast is unknown.
        NonFiniteError: A score, or a prompt's logit difference, is NaN or infinite.

    >>> head_scores(model, pairs, "WIFN", contrast="published").shape
    torch.Size([3, 4])
    """
    activations = Activations(LayeredModel.of(model), pairs, logit_diff)
    return HeadStatistics.collect(activations).scores(statistic, contrast)


def _parts(
    model: LayeredModel, run: PairedActivations
) -> tuple[Moments, Moments, Float[Tensor, "layer head"]]:
    """Of one batch: moments of clean and of corrupted outputs, and the summed squared change."""
    clean, corrupted = _tokens(run, [layer.z for layer in run.clean]), _tokens(run, run.corrupted_z)
    return Moments.of(clean), Moments.of(corrupted), _squared_change(model, corrupted - clean)


def _tokens(
    run: PairedActivations, z: Iterable[Float[Tensor, "prompt pos head d_head"]]
) -> Float[Tensor, "layer token head d_head"]:
    positions = torch.arange(run.pairs.clean.shape[1], device=run.pairs.end.device)
    read = positions <= run.pairs.end[:, None]
    return torch.stack([layer[read.to(layer.device)].to(read.device) for layer in z])


def _squared_change(
    model: LayeredModel, change: Float[Tensor, "layer token head d_head"]
) -> Float[Tensor, "layer head"]:
    sums = []
    for layer, delta in zip(model.layers, change, strict=True):
        written = einsum(
            delta.to(layer.device),
            layer.output.weight,
            "token head d, head d d_model -> token head d_model",
        )
        summed = reduce(in_float64(written) ** 2, "token head d_model -> head", "sum")
        sums.append(summed.to(change.device))
    return torch.stack(sums)


def _standardise(columns: Float[Tensor, "layer head d_head"]) -> Float[Tensor, "layer head"]:
    flat = rearrange(columns, "layer head d -> layer (head d)")
    spread = flat.std(-1, keepdim=True)
    standard = (flat - flat.mean(-1, keepdim=True)) / spread.where(spread > 0, 1.0)
    heads = rearrange(standard, "layer (head d) -> layer head d", head=columns.shape[1])
    return finite_scores("FLAP", reduce(heads, "layer head d -> layer head", "mean").float().cpu())


def _statistics(activations: Activations) -> HeadStatistics:
    """Collected once for all scores."""
    if activations not in _collected:
        _collected[activations] = HeadStatistics.collect(activations)
    return _collected[activations]


FLAP = Scorer(
    "flap",
    "how much a head's output varies, weighted by what reads it (FLAP, WIFV)",
    lambda activations, settings: _statistics(activations).scores("WIFV", None),
)
CONTRASTIVE_FLAP = Scorer(
    "contrastive-flap",
    "how much that differs between clean and corrupted prompts (WIFN, --contrast)",
    lambda activations, settings: _statistics(activations).scores("WIFN", settings.contrast),
)
