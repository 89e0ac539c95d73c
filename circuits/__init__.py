"""Find the attention heads, and the paths between them, that carry out a task."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from circuits.circuit import Circuit, Overlap
    from circuits.comparison import Comparison, compare_circuits
    from circuits.components import Edge, Head, Receiver
    from circuits.config import DiscoveryConfig
    from circuits.discover import discover_circuit
    from circuits.evaluation import Evaluation, EvaluationConfig
    from circuits.grid import Grid, discover_grid
    from circuits.model import list_models, load_model
    from circuits.pruning import PruningRule
    from circuits.references import Reference, list_references, load_reference
    from circuits.result import Discovery
    from circuits.search import SelectionRule
    from circuits.study import Study, discover_study

# Imported on first use: torch and TransformerLens take seconds, `circuits --help` needs neither.
_MODULES = {
    "Circuit": "circuit",
    "Comparison": "comparison",
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
    "Reference": "references",
    "SelectionRule": "search",
    "Study": "study",
    "compare_circuits": "comparison",
    "discover_circuit": "discover",
    "discover_grid": "grid",
    "discover_study": "study",
    "list_models": "model",
    "list_references": "references",
    "load_model": "model",
    "load_reference": "references",
}

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
    "SelectionRule",
    "Study",
    "compare_circuits",
    "discover_circuit",
    "discover_grid",
    "discover_study",
    "list_models",
    "list_references",
    "load_model",
    "load_reference",
]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'circuits' has no attribute {name!r}")
    return getattr(import_module(f"circuits.{_MODULES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
