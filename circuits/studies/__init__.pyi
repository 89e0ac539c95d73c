from .batch import Batch, BatchResult, run_batch
from .batch_file import read_batch
from .batch_job import BatchRow
from .grid import Grid, GridPoint, discover_grid
from .record import SearchPoint, SearchRecord
from .seed_result import SeedRun, SeedStudy
from .seeds import LuckySeedWarning, discover_seeds
from .trials import Trial
from .tuning import Study, discover_study

__all__ = [
    "Batch",
    "BatchResult",
    "BatchRow",
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
    "read_batch",
    "run_batch",
]
