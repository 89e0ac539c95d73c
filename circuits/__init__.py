"""Find the attention heads, and the paths between them, that carry out a task."""

from circuits.circuit import Circuit, Overlap
from circuits.components import Edge, Head, Receiver
from circuits.config import DiscoveryConfig
from circuits.discover import discover_circuit
from circuits.evaluation import Evaluation
from circuits.model import list_models, load_model
from circuits.pruning import PruningRule
from circuits.result import Discovery
from circuits.search import SelectionRule

__all__ = [
    "Circuit",
    "Discovery",
    "DiscoveryConfig",
    "Edge",
    "Evaluation",
    "Head",
    "Overlap",
    "PruningRule",
    "Receiver",
    "SelectionRule",
    "discover_circuit",
    "list_models",
    "load_model",
]
