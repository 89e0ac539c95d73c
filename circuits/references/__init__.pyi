from .reference import Reference, ReferenceEdge
from .registry import check_same_shape, list_references, load_reference

__all__ = [
    "Reference",
    "ReferenceEdge",
    "check_same_shape",
    "list_references",
    "load_reference",
]
