from .acdc import LossyStartWarning
from .config import DiscoveryConfig
from .kept import Kept
from .methods import METHODS, Method
from .problem import Job, Problem, Provenance
from .result import Discovery
from .session import Session

__all__ = [
    "METHODS",
    "Discovery",
    "DiscoveryConfig",
    "Job",
    "Kept",
    "LossyStartWarning",
    "Method",
    "Problem",
    "Provenance",
    "Session",
]
