from .config import DiscoveryConfig
from .methods import METHODS, Method
from .problem import Job, Problem, Provenance
from .result import Discovery
from .session import Session

__all__ = [
    "METHODS",
    "Discovery",
    "DiscoveryConfig",
    "Job",
    "Method",
    "Problem",
    "Provenance",
    "Session",
]
