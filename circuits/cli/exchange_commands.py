"""The `export` and `import` commands and their options."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from circuits.cli.epilogs import examples

_EAP_IG = "Only for eap-ig (EAP-IG, MIB circuit track)"
_FORMATS = "json (ours), networkx (node-link JSON), dot (Graphviz), csv, or eap-ig"

Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write here; default to stdout."),
]
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


def add_to(app: typer.Typer) -> None:
    """Make the commands known."""
    app.command(
        name="export",
        epilog=examples(
            "circuits export runs/ioi --output ioi.dot",
            "circuits export runs/ioi --format eap-ig --output importances.json",
            "circuits export ioi-gpt2 --format csv",
        ),
    )(_export)
    app.command(
        name="import",
        epilog=examples(
            "circuits import importances.json --top 500 --kv-heads 2 --output theirs.json",
            "circuits compare runs/ioi theirs.json",
        ),
    )(_import)


def _export(
    circuit: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="A run's directory, a circuit as JSON, or a name of `circuits references`.",
        ),
    ],
    format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help=f"{_FORMATS}; default by the name of --output (.dot, .csv), else json.",
        ),
    ] = None,
    output: Output = None,
    without_mlps: Annotated[
        bool,
        typer.Option(
            "--without-mlps",
            help="Leave out the MLPs that the circuit's paths go through: only edges between "
            "heads, the embedding and the logits are in the graph.",
            rich_help_panel=_EAP_IG,
        ),
    ] = False,
    plain_nodes: Annotated[
        bool,
        typer.Option(
            "--plain-nodes",
            help="Write nodes as bare true and false, as versions before 2025 read them.",
            rich_help_panel=_EAP_IG,
        ),
    ] = False,
    kv_heads: KeyValueHeads = None,
    d_model: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Width of the model's residual stream; default what the run says.",
            rich_help_panel=_EAP_IG,
        ),
    ] = None,
    parallel_mlp: Annotated[
        bool | None,
        typer.Option(
            "--parallel-mlp/--sequential-mlp",
            show_default=False,
            help="Whether MLPs stand beside attention (GPT-NeoX, GPT-J) or behind it; default what "
            "the run says, else behind it.",
            rich_help_panel=_EAP_IG,
        ),
    ] = None,
) -> None:
    """Write a circuit in a format of other tools."""
    from circuits.cli.exchange import ModelFacts, export
    from circuits.formats import GraphConfig

    config = GraphConfig(with_mlps=not without_mlps, plain_nodes=plain_nodes)
    export(circuit, format, output, config, ModelFacts(kv_heads, d_model, parallel_mlp))


def _import(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A circuit in any format.")],
    format: Annotated[
        str | None,
        typer.Option(metavar="FORMAT", help=f"{_FORMATS}; default what FILE looks like."),
    ] = None,
    output: Output = None,
    kv_heads: KeyValueHeads = None,
    through_mlps: Annotated[
        bool,
        typer.Option(
            "--through-mlps",
            help="Also an edge wherever the graph has a path through MLPs alone.",
            rich_help_panel=_EAP_IG,
        ),
    ] = False,
    top: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            help="Take the N edges of the highest absolute score, instead of those marked as in "
            "the graph.",
            rich_help_panel=_EAP_IG,
        ),
    ] = None,
) -> None:
    """Read a circuit from a format of other tools, and write it as our JSON."""
    from circuits.cli.errors import usage_errors
    from circuits.cli.exchange import import_file
    from circuits.formats import GraphReading

    with usage_errors():
        reading = GraphReading(n_kv_heads=kv_heads, through_mlps=through_mlps, top=top)
    import_file(file, format, output, reading)
