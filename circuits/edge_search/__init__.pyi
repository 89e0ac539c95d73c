from .choose import (
    MOST_LEFT_OUT,
    EdgeChooser,
    Proposal,
    chosen_edges,
    lost_without,
    with_held_out,
)
from .descent import Descended, Descent, descend
from .learning import Learning, learn
from .proposals import ranked_in_context
from .removal import AcdcCircuit, DivergencesOf, acdc, divergences_of
from .slopes import PromptsInTurn, Slopes

__all__ = [
    "MOST_LEFT_OUT",
    "AcdcCircuit",
    "Descended",
    "Descent",
    "DivergencesOf",
    "EdgeChooser",
    "Learning",
    "PromptsInTurn",
    "Proposal",
    "Slopes",
    "acdc",
    "chosen_edges",
    "descend",
    "divergences_of",
    "learn",
    "lost_without",
    "ranked_in_context",
    "with_held_out",
]
