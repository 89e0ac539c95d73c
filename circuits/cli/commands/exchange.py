"""`circuits export` and `circuits import`: circuits in the formats of other tools."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from circuits.cli import options
from circuits.cli.errors import UsageError, usage_errors
from circuits.cli.inputs import circuit_of, read_named
from circuits.cli.terminal import print_note, print_text
from circuits.errors import FormatError
from circuits.formats.registry import FORMATS
from circuits.runtime.reading import read_text

if TYPE_CHECKING:
    from circuits.circuit import Circuit
    from circuits.discovery.result import Discovery
    from circuits.formats import GraphConfig
    from circuits.graph import Mlps, ModelGraph
    from circuits.model import ModelIdentity
    from circuits.patching import EdgeValues
    from circuits.references import Reference

    Source = Discovery | Circuit | Reference

_EAP_IG = "Only for eap-ig (EAP-IG, MIB circuit track)"
_NAMES = ", ".join(FORMATS.names())
KeyValueHeads = Annotated[
    int | None,
    typer.Option(
        "--kv-heads",
        metavar="N",
        help="Key/value heads of the model in each layer; default what the run or file says, else "
        "as many as heads.",
        rich_help_panel=_EAP_IG,
    ),
]
WrittenFormat = Annotated[
    str | None,
    typer.Option(
        metavar="FORMAT",
        help=f"{_NAMES}; default by the name of --out (.dot, .csv), else json.",
    ),
]
ReadFormat = Annotated[
    str | None,
    typer.Option(metavar="FORMAT", help=f"{_NAMES}; default what FILE looks like."),
]
WithoutMlps = Annotated[
    bool,
    typer.Option(
        "--without-mlps",
        help="Leave out the MLPs that the circuit's paths go through: only edges between heads, "
        "the embedding and the logits are in the graph.",
        rich_help_panel=_EAP_IG,
    ),
]
PlainNodes = Annotated[
    bool,
    typer.Option(
        "--plain-nodes",
        help="Write nodes as bare true and false, as versions before 2025 read them.",
        rich_help_panel=_EAP_IG,
    ),
]
WithoutSpans = Annotated[
    bool,
    typer.Option(
        "--without-spans",
        help="Write edges at spans of positions as edges at all positions.",
    ),
]
Width = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Width of the model's residual stream; default what the run says.",
        rich_help_panel=_EAP_IG,
    ),
]
ParallelMlp = Annotated[
    bool | None,
    typer.Option(
        "--parallel-mlp/--sequential-mlp",
        show_default=False,
        help="Whether MLPs stand beside attention (GPT-NeoX, GPT-J) or behind it; default what the "
        "run says, else behind it.",
        rich_help_panel=_EAP_IG,
    ),
]
ThroughMlps = Annotated[
    bool,
    typer.Option(
        "--through-mlps",
        help="Also an edge wherever the graph has a path through MLPs alone.",
        rich_help_panel=_EAP_IG,
    ),
]
Top = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        help="Take the N edges of the highest absolute score, instead of those marked as in the "
        "graph.",
        rich_help_panel=_EAP_IG,
    ),
]


ReadMlps = Annotated[
    str | None,
    typer.Option(
        "--mlps",
        metavar="HOW",
        help="nodes: keep MLPs and the embedding as nodes, as the graph has them; path: make paths "
        "between heads; default what the file says, else path.",
        rich_help_panel=_EAP_IG,
    ),
]


@dataclass(frozen=True)
class ModelShape:
    """What the command line says of a model; None leaves it to the run."""

    n_kv_heads: int | None
    d_model: int | None
    parallel_mlp: bool | None


def export(
    circuit: options.AnyCircuit,
    format: WrittenFormat = None,
    out: options.OutFile = None,
    without_mlps: WithoutMlps = False,
    plain_nodes: PlainNodes = False,
    without_spans: WithoutSpans = False,
    kv_heads: KeyValueHeads = None,
    d_model: Width = None,
    parallel_mlp: ParallelMlp = None,
) -> None:
    """Write a circuit in a format of other tools."""
    from circuits.cli.outputs import check_output_file
    from circuits.formats import GraphConfig, export_circuit, format_of_path

    shape = ModelShape(kv_heads, d_model, parallel_mlp)
    config = GraphConfig(with_mlps=not without_mlps, plain_nodes=plain_nodes)
    with usage_errors():
        chosen = _checked(format) or (format_of_path(out) if out else None) or "json"
    check_output_file(out)
    source = read_named(circuit)
    if chosen != "eap-ig" and (config != GraphConfig() or shape != ModelShape(None, None, None)):
        raise UsageError(f"options of eap-ig were given for {chosen}; add --format eap-ig")
    with usage_errors():
        known = (None, None, config) if chosen != "eap-ig" else _known(source, shape, config)
        found = circuit_of(source)
        exported = export_circuit(found.without_spans() if without_spans else found, chosen, *known)
    for note in exported.notes:
        print_note(note)
    if chosen == "eap-ig" and _parallel_mlp(source, shape) is None:
        print_note("MLPs are written as behind attention; --parallel-mlp if they are beside it")
    _give(exported.text, out)


def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A circuit in any format.")],
    format: ReadFormat = None,
    out: options.OutFile = None,
    kv_heads: KeyValueHeads = None,
    through_mlps: ThroughMlps = False,
    top: Top = None,
    mlps: ReadMlps = None,
) -> None:
    """Read a circuit from a format of other tools, and write it as our JSON."""
    from circuits.cli.outputs import check_output_file
    from circuits.formats import GraphReading, format_of_path, format_of_text, import_circuit
    from circuits.summary.size import size

    with usage_errors():
        reading = GraphReading(kv_heads, through_mlps, top, cast("Mlps | None", mlps))
        check_output_file(out)
        chosen = _checked(format) or format_of_path(file)
    try:
        text = read_text(file, "utf-8-sig")
        chosen = chosen or format_of_text(text)
        if chosen != "eap-ig" and reading != GraphReading():
            raise UsageError(
                f"{file} is {chosen}; --kv-heads, --through-mlps, --top and --mlps are for eap-ig"
            )
        imported = import_circuit(text, chosen, reading)
    except ValueError as error:
        raise FormatError(f"{file} ({chosen or 'unknown format'}): {error}") from error
    for note in imported.notes:
        print_note(note)
    circuit = imported.circuit
    print_note(f"{size(circuit)} were read from {file}")
    _give(circuit.to_json() + "\n", out)


def _checked(format: str | None) -> str | None:
    """The format, if there is one of that name. Raises FormatError."""
    if format is not None:
        FORMATS.check(format)
    return format


def _known(
    source: Source, shape: ModelShape, config: GraphConfig
) -> tuple[ModelGraph, EdgeValues | None, GraphConfig]:
    """The model's graph, measured effects and width, as far as run or command line tell."""
    from circuits.discovery.result import Discovery
    from circuits.graph import ModelGraph

    circuit, saved = circuit_of(source), _model_of(source)
    graph = ModelGraph(
        n_layers=circuit.n_layers,
        n_heads=circuit.n_heads,
        n_kv_heads=_first(shape.n_kv_heads, saved and saved.n_kv_heads, circuit.n_heads),
        parallel_mlp=bool(_parallel_mlp(source, shape)),
    )
    effects = source.effects if isinstance(source, Discovery) else None
    width = _first(shape.d_model, saved and saved.d_model, 0)
    return graph, effects, replace(config, d_model=width)


def _parallel_mlp(source: Source, shape: ModelShape) -> bool | None:
    """Whether MLPs stand beside attention; None where neither run nor command line tells."""
    saved, given = _model_of(source), shape.parallel_mlp
    return saved.parallel_mlp if given is None and saved is not None else given


def _model_of(source: Source) -> ModelIdentity | None:
    from circuits.discovery.result import Discovery

    return source.provenance.model if isinstance(source, Discovery) else None


def _first(*numbers: int | None) -> int:
    """The first number that is known."""
    return next(number for number in numbers if number is not None)


def _give(text: str, path: Path | None) -> None:
    if path is None:
        print_text(text)
        return
    from circuits.cli.outputs import write_output

    write_output(path, text.encode())
    print_note(f"written to {path}")


COMMANDS = {
    "export": options.command(
        export,
        "export",
        "circuits export runs/ioi --out ioi.dot",
        "circuits export runs/ioi --format eap-ig --out importances.json",
        "circuits export ioi-gpt2 --format csv",
    ),
    "import": options.command(
        import_file,
        "import",
        "circuits import importances.json --top 500 --kv-heads 2 --out theirs.json",
        "circuits compare runs/ioi theirs.json",
    ),
}
