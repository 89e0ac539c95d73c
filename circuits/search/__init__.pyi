from .grow import EffectsOf, SelectionRule, Selector
from .significant import SignificanceSelector
from .verification import Verification

__all__ = [
    "EffectsOf",
    "SelectionRule",
    "Selector",
    "SignificanceSelector",
    "Verification",
]
