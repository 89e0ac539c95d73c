from .grid import Grid, GridPoint, discover_grid
from .record import SearchPoint, SearchRecord
from .seed_result import SeedRun, SeedStudy
from .seeds import LuckySeedWarning, discover_seeds
from .trials import Trial
from .tuning import Study, discover_study

__all__ = [
    "Grid",
    "GridPoint",
    "LuckySeedWarning",
    "SearchPoint",
    "SearchRecord",
    "SeedRun",
    "SeedStudy",
    "Study",
    "Trial",
    "discover_grid",
    "discover_seeds",
    "discover_study",
]
