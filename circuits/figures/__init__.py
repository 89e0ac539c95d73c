"""Figures of a discovery: each a function from a result to a plotly figure."""

from circuits.figures.charts import cost_figure, head_scores_figure, sparsity_curve_figure
from circuits.figures.faithfulness import faithfulness_figure
from circuits.figures.graph import circuit_figure

__all__ = [
    "circuit_figure",
    "cost_figure",
    "faithfulness_figure",
    "head_scores_figure",
    "sparsity_curve_figure",
]
