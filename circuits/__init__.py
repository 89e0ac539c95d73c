"""Find the attention heads, and the paths between them, that carry out a task."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from circuits.circuit import Circuit, Overlap
    from circuits.components import Edge, Head, Receiver
    from circuits.config import DiscoveryConfig
    from circuits.discover import discover_circuit
    from circuits.evaluation import Evaluation, EvaluationConfig
    from circuits.grid import Grid, discover_grid
    from circuits.model import list_models, load_model
    from circuits.pruning import PruningRule
    from circuits.result import Discovery
    from circuits.search import SelectionRule
    from circuits.study import Study, discover_study

# Imported on first use: torch and TransformerLens take seconds, `circuits --help` needs neither.
_MODULES = {
    "Circuit": "circuit",
    "Discovery": "result",
    "DiscoveryConfig": "config",
    "Edge": "components",
    "Evaluation": "evaluation",
    "EvaluationConfig": "evaluation",
    "Grid": "grid",
    "Head": "components",
    "Overlap": "circuit",
    "PruningRule": "pruning",
    "Receiver": "components",
    "SelectionRule": "search",
    "Study": "study",
    "discover_circuit": "discover",
    "discover_grid": "grid",
    "discover_study": "study",
    "list_models": "model",
    "load_model": "model",
}

__all__ = [
    "Circuit",
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
    "SelectionRule",
    "Study",
    "discover_circuit",
    "discover_grid",
    "discover_study",
    "list_models",
    "load_model",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'circuits' has no attribute {name!r}")
    return getattr(import_module(f"circuits.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
