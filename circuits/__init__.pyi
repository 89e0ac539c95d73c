from .circuit import Circuit, Overlap
from .comparison import Comparison, compare_circuits
from .components import Edge, Head, Receiver
from .discover import discover_circuit
from .discovery.config import DiscoveryConfig
from .discovery.result import Discovery
from .evaluation.config import EvaluationConfig
from .evaluation.result import Evaluation
from .model import list_models, load_model
from .pruning.rule import PruningRule
from .references import Reference, list_references, load_reference
from .search.rules import SelectionRule
from .studies import Grid, SeedStudy, Study, discover_grid, discover_seeds, discover_study

__all__ = [
    "Circuit",
    "Comparison",
    "Discovery",
    "DiscoveryConfig",
    "Edge",
    "Evaluation",
    "EvaluationConfig",
    "Grid",
    "Head",
    "Overlap",
    "PruningRule",
    "Receiver",
    "Reference",
    "SeedStudy",
    "SelectionRule",
    "Study",
    "compare_circuits",
    "discover_circuit",
    "discover_grid",
    "discover_seeds",
    "discover_study",
    "list_models",
    "list_references",
    "load_model",
    "load_reference",
]
