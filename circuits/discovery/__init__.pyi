from .config import DiscoveryConfig
from .result import Discovery, Provenance
from .session import ResumeError

__all__ = [
    "Discovery",
    "DiscoveryConfig",
    "Provenance",
    "ResumeError",
]
