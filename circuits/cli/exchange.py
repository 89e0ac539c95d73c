"""What `export` and `import` do."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from circuits.circuit import Circuit
from circuits.cli.console import print_note, print_text
from circuits.cli.errors import UsageError, usage_errors
from circuits.cli.reading import read_named
from circuits.cli.saving import check_output_file, write_output
from circuits.discovery.result import Discovery
from circuits.formats import (
    FORMATS,
    GraphConfig,
    GraphReading,
    export_circuit,
    format_of_path,
    format_of_text,
    import_circuit,
)
from circuits.graph import ModelGraph
from circuits.model import ModelIdentity
from circuits.references import Reference


@dataclass(frozen=True)
class ModelFacts:
    """What the command line says of a model; None leaves it to the run."""

    n_kv_heads: int | None
    d_model: int | None
    parallel_mlp: bool | None


def export(
    given: str, format: str | None, output: Path | None, config: GraphConfig, facts: ModelFacts
) -> None:
    """Write a circuit to a file, or to stdout."""
    with usage_errors():
        chosen = _checked(format) or (format_of_path(output) if output else None) or "json"
    check_output_file(output)
    source = read_named(given)
    if chosen != "eap-ig" and (config != GraphConfig() or facts != ModelFacts(None, None, None)):
        raise UsageError(f"options of eap-ig were given for {chosen}; add --format eap-ig")
    graph = effects = None
    with usage_errors():
        if chosen == "eap-ig":
            effects = source.effects if isinstance(source, Discovery) else None
            graph, config = _graph(source, facts), replace(config, d_model=_width(source, facts))
        exported = export_circuit(_circuit_of(source), chosen, graph, effects, config)
    for note in exported.notes:
        print_note(note)
    if chosen == "eap-ig" and _parallel_mlp(source, facts) is None:
        print_note("MLPs are written as behind attention; --parallel-mlp if they are beside it")
    _give(exported.text, output)


def import_file(file: Path, format: str | None, output: Path | None, reading: GraphReading) -> None:
    """Read a circuit, and write it as JSON to a file, or to stdout."""
    check_output_file(output)
    with usage_errors():
        chosen = _checked(format) or format_of_path(file)
    try:
        text = file.read_text(encoding="utf-8-sig")
        chosen = chosen or format_of_text(text)
        if chosen != "eap-ig" and reading != GraphReading():
            raise UsageError(
                f"{file} is {chosen}; --kv-heads, --through-mlps and --top are for eap-ig"
            )
        imported = import_circuit(text, chosen, reading)
    except ValueError as error:
        raise ValueError(f"{file} ({chosen or 'unknown format'}): {error}") from error
    for note in imported.notes:
        print_note(note)
    circuit = imported.circuit
    print_note(f"{len(circuit)} heads and {len(circuit.edges)} edges were read from {file}")
    _give(circuit.to_json() + "\n", output)


def _checked(format: str | None) -> str | None:
    if format is not None:
        FORMATS.check(format)
    return format


def _graph(source: Discovery | Circuit | Reference, facts: ModelFacts) -> ModelGraph:
    """The model's graph, as far as the run or the command line tells."""
    circuit = _circuit_of(source)
    saved = _model_of(source)
    return ModelGraph(
        n_layers=circuit.n_layers,
        n_heads=circuit.n_heads,
        n_kv_heads=_first(facts.n_kv_heads, saved and saved.n_kv_heads, circuit.n_heads),
        parallel_mlp=bool(_parallel_mlp(source, facts)),
    )


def _width(source: Discovery | Circuit | Reference, facts: ModelFacts) -> int:
    saved = _model_of(source)
    return _first(facts.d_model, saved and saved.d_model, 0)


def _parallel_mlp(source: Discovery | Circuit | Reference, facts: ModelFacts) -> bool | None:
    """Whether MLPs stand beside attention; None where neither run nor command line tells."""
    saved = _model_of(source)
    told = facts.parallel_mlp
    return saved.parallel_mlp if told is None and saved is not None else told


def _model_of(source: Discovery | Circuit | Reference) -> ModelIdentity | None:
    return source.provenance.model if isinstance(source, Discovery) else None


def _first(*numbers: int | None) -> int:
    """The first number that is known."""
    return next(number for number in numbers if number is not None)


def _circuit_of(source: Discovery | Circuit | Reference) -> Circuit:
    return source if isinstance(source, Circuit) else source.circuit


def _give(text: str, output: Path | None) -> None:
    if output is None:
        print_text(text)
    else:
        write_output(output, text.encode())
        print_note(f"written to {output}")
