"""The same discovery on the prompts of many seeds: what of it depends on the seed."""

from circuits.seeds.discover import LuckySeedWarning, discover_seeds
from circuits.seeds.distribution import Distribution, Histogram, Outlier
from circuits.seeds.result import SeedRun, SeedStudy

__all__ = [
    "Distribution",
    "Histogram",
    "LuckySeedWarning",
    "Outlier",
    "SeedRun",
    "SeedStudy",
    "discover_seeds",
]
