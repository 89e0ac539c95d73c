from .grow import Selector
from .rules import SelectionRule
from .significant import SignificanceSelector, selector_of
from .source import SEARCHES, EdgeSource, Grown, Search, SearchSettings
from .threshold import ThresholdSelector
from .verification import Verification
from .verifier import Verifier

__all__ = [
    "SEARCHES",
    "EdgeSource",
    "Grown",
    "Search",
    "SearchSettings",
    "SelectionRule",
    "Selector",
    "SignificanceSelector",
    "ThresholdSelector",
    "Verification",
    "Verifier",
    "selector_of",
]
