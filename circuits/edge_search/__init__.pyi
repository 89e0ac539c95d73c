from .choose import MOST_LEFT_OUT, EdgeChooser, chosen_edges, lost_without, with_held_out
from .descent import Descended, Descent, descend
from .learning import Learning, learn
from .proposals import ranked_in_context
from .slopes import PromptsInTurn, Slopes

__all__ = [
    "MOST_LEFT_OUT",
    "Descended",
    "Descent",
    "EdgeChooser",
    "Learning",
    "PromptsInTurn",
    "Slopes",
    "chosen_edges",
    "descend",
    "learn",
    "lost_without",
    "ranked_in_context",
    "with_held_out",
]
