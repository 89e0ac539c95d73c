"""References by name: one JSON file each, beside this module."""

from __future__ import annotations

from functools import cache
from importlib import resources

from circuits.circuit import Circuit
from circuits.errors import MismatchError, UnknownNameError, unknown_name
from circuits.references.reference import Reference

_PACKAGE, _SUFFIX = "circuits.references", ".json"


def list_references() -> tuple[str, ...]:
    """The names of all published circuits that `load_reference` knows, in alphabetical order.

    >>> [name for name in list_references() if name.startswith("ioi")]
    ['ioi-gpt2', 'ioi-gpt2-app', 'ioi-smollm2-135m']
    """
    files = (entry.name for entry in resources.files(_PACKAGE).iterdir())
    return tuple(sorted(name.removesuffix(_SUFFIX) for name in files if name.endswith(_SUFFIX)))


def load_reference(name: str) -> Reference:
    """Return the published circuit of that name, with its heads, roles, edges and citation.

    Raises:
        UnknownNameError: There is no reference of that name.

    >>> reference = load_reference("greater-than-gpt2")
    >>> reference.model, len(reference.heads), reference.mlps
    ('gpt2', 10, (0, 1, 2, 3, 8, 9, 10, 11))
    """
    known = list_references()
    if name in known:
        return _read(name)
    raise UnknownNameError(unknown_name("reference", name, known))


def check_same_shape(reference: Reference, circuit: Circuit) -> None:
    """Refuse to compare a circuit with a reference of another model's shape.

    Raises:
        MismatchError: Their layers or heads differ; says which references would fit.

    >>> check_same_shape(load_reference("ioi-gpt2"), Circuit.of_heads(["9.6"], 24, 16))
    Traceback (most recent call last):
    circuits.errors.MismatchError: reference ioi-gpt2 is a circuit of gpt2 (12 layers x 12 heads)...
    """
    shape = circuit.n_layers, circuit.n_heads
    if shape == (reference.n_layers, reference.n_heads):
        return
    others = (load_reference(name) for name in list_references())
    fitting = [other.name for other in others if shape == (other.n_layers, other.n_heads)]
    hint = f"references of that shape: {', '.join(fitting)}" if fitting else "no reference fits it"
    raise MismatchError(
        f"reference {reference.name} is a circuit of {reference.model} ({reference.n_layers} "
        f"layers x {reference.n_heads} heads), what is compared with it belongs to a model of "
        f"{shape[0]} layers x {shape[1]} heads; {hint}"
    )


@cache
def _read(name: str) -> Reference:
    text = resources.files(_PACKAGE).joinpath(name + _SUFFIX).read_text(encoding="utf-8")
    return Reference.from_json(text)
