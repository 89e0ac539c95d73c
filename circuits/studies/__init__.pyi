from .agreement import consensus_circuit, edge_inclusions, node_inclusions
from .batch import Batch, BatchResult, run_batch
from .batch_file import read_batch
from .batch_job import BatchRow
from .consensus import Consensus, ConsensusPoint
from .consensus_evaluation import evaluate_consensus
from .grid import Grid, GridPoint, discover_grid
from .record import SearchPoint, SearchRecord
from .seed_record import SeedRecord
from .seed_result import SeedRun, SeedStudy
from .seeds import LuckySeedWarning, discover_seeds
from .trials import Trial
from .tuning import Study, discover_study

__all__ = [
    "Batch",
    "BatchResult",
    "BatchRow",
    "Consensus",
    "ConsensusPoint",
    "Grid",
    "GridPoint",
    "LuckySeedWarning",
    "SearchPoint",
    "SearchRecord",
    "SeedRecord",
    "SeedRun",
    "SeedStudy",
    "Study",
    "Trial",
    "consensus_circuit",
    "discover_grid",
    "discover_seeds",
    "discover_study",
    "edge_inclusions",
    "evaluate_consensus",
    "node_inclusions",
    "read_batch",
    "run_batch",
]
