"""Circuits that others published, and ours, with where each was read from."""

from circuits.references.reference import Reference, ReferenceEdge
from circuits.references.registry import check_same_shape, list_references, load_reference

__all__ = [
    "Reference",
    "ReferenceEdge",
    "check_same_shape",
    "list_references",
    "load_reference",
]
