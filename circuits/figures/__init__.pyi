from .attention import attention_figure
from .charts import cost_figure, sparsity_curve_figure
from .faithfulness import edge_curves_figure, faithfulness_figure
from .graph import circuit_figure
from .head_maps import head_scores_figure, receiver_effects_figure
from .inclusion import inclusion_figure
from .overlap import overlap_figure
from .pareto import pareto_figure
from .picture import save_figure
from .seeds import seeds_figure
from .sizes import sizes_figure
from .style import THEMES, Theme

__all__ = [
    "THEMES",
    "Theme",
    "attention_figure",
    "circuit_figure",
    "cost_figure",
    "edge_curves_figure",
    "faithfulness_figure",
    "head_scores_figure",
    "inclusion_figure",
    "overlap_figure",
    "pareto_figure",
    "receiver_effects_figure",
    "save_figure",
    "seeds_figure",
    "sizes_figure",
    "sparsity_curve_figure",
]
