"""Figures of results: each a function from a result to a plotly figure, in one of three themes."""

from circuits.figures.attention import attention_figure
from circuits.figures.charts import cost_figure, sparsity_curve_figure
from circuits.figures.faithfulness import faithfulness_figure
from circuits.figures.graph import circuit_figure
from circuits.figures.head_maps import head_scores_figure, receiver_effects_figure
from circuits.figures.overlap import overlap_figure
from circuits.figures.pareto import pareto_figure
from circuits.figures.picture import PictureError, save_figure
from circuits.figures.seeds import seeds_figure
from circuits.figures.style import THEMES, Theme

__all__ = [
    "THEMES",
    "PictureError",
    "Theme",
    "attention_figure",
    "circuit_figure",
    "cost_figure",
    "faithfulness_figure",
    "head_scores_figure",
    "overlap_figure",
    "pareto_figure",
    "receiver_effects_figure",
    "save_figure",
    "seeds_figure",
    "sparsity_curve_figure",
]
