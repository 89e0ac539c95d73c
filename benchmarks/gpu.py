"""What runs on a GPU, in one script of at most eight minutes.

python -m benchmarks.gpu [--write]

1. The default on SmolLM2, all tasks, in float32 and bfloat16; a run that warms up is not told.
2. The default on random weights in the shape of Qwen2.5-7B, bfloat16, 32 prompts: its price alone,
   with random weights there is nothing to find.
3. How far the sweep is off in bfloat16 on SmolLM2.
4. Every engine on every family (tiny random models), and every method on one of them: the same
   effects and the same circuits as on the CPU, in float32.

Each part is written as soon as it is done. `--device cpu --small` tries the script where there is
no GPU; nothing of that is published.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
import typer
from rich.console import Console
from transformer_lens.model_bridge.sources import build_bridge_from_module
from transformers import Qwen2Config, Qwen2ForCausalLM

from benchmarks.machine import describe_machine, names_of
from benchmarks.publish import Write, publish
from benchmarks.tables import table
from circuits import Circuit, Discovery, Head, Receiver, discover_circuit, load_model
from circuits.components import Node
from circuits.discovery.methods import edge_method_names, method_names
from circuits.forward import TransformerBridge
from circuits.model import DEFAULT_MODEL, load_tokenizer, tokenizer_of
from circuits.model.tokenizers import remember_tokenizer
from circuits.patching import ESTIMATORS, effect_table
from circuits.tasks import get_task, list_tasks

RESULTS = Path(__file__).parent / "results" / "gpu.json"
QWEN_7B: dict[str, Any] = {
    "hidden_size": 3584,
    "intermediate_size": 18944,
    "num_hidden_layers": 28,
    "num_attention_heads": 28,
    "num_key_value_heads": 4,
    "vocab_size": 152064,
}
SMALL = QWEN_7B | {
    "hidden_size": 224,
    "intermediate_size": 512,
    "num_hidden_layers": 2,
    "vocab_size": 49152,
}
CHEAP = ("eap", "eap-ig", "relp", "atp-star", "swept", "mask-attribution", "nap-ig")
"""Methods of edges that are tried: one of each kind, none that takes minutes."""
Row = dict[str, Any]


def agreement(device: str) -> Iterator[Row]:
    """The largest difference between effects on a device and on the CPU, for each engine."""
    from tests.circuits.families import FAMILIES, tiny_model
    from tests.circuits.prompts import ragged_pairs

    pairs = ragged_pairs(6)
    for family in FAMILIES:
        torch.manual_seed(0)
        here = tiny_model(family)
        row: Row = {"family": family}
        on_cpu = {engine: effect_table(here, pairs, engine=engine) for engine in ESTIMATORS.names()}
        there = here.to(device)
        for engine, known in on_cpu.items():
            found = effect_table(there, pairs, engine=engine)
            row[engine] = float((found.values.cpu() - known.values).abs().nan_to_num(0.0).max())
        yield row


def same_circuits(device: str) -> Iterator[Row]:
    """Whether each method finds the circuit on a device that it finds on the CPU, on a toy."""
    from tests.circuits.families import tiny_model
    from tests.circuits.prompts import ToyTask, word_tokenizer

    ways: list[Row] = [{"method": name} for name in method_names()]
    ways += [{"method": name, "mlps": "nodes"} for name in edge_method_names() if name in CHEAP]
    bridge = tiny_model("gemma3")
    remember_tokenizer(bridge, word_tokenizer())
    task = ToyTask(bridge)
    here = [discover_circuit(bridge, task, n_prompts=4, **way).circuit for way in ways]
    there = bridge.to(device)
    for way, expected in zip(ways, here, strict=True):
        found = discover_circuit(there, task, n_prompts=4, **way).circuit
        yield {**way, "same": _paths(found) == _paths(expected)}


def _paths(circuit: Circuit) -> tuple[frozenset[Head], set[tuple[Node, Receiver]]]:
    return circuit.heads, {(edge.sender, edge.receiver) for edge in circuit.edges}


def low_precision(device: str) -> Row:
    """How far the sweep is off in bfloat16, on IOI and SmolLM2."""
    tables = []
    for dtype in ("float32", "bfloat16"):
        bridge = load_model(DEFAULT_MODEL, device=device, dtype=dtype)
        pairs = get_task("ioi").sample(tokenizer_of(bridge), n=8, seed=0)
        tables.append(effect_table(bridge, pairs).values.cpu().float())
    error = (tables[1] - tables[0]).abs().nan_to_num(0.0)
    return {"largest": float(error.max()), "mean": float(error.mean())}


def default_runs(device: str, dtype: str, tasks: Sequence[str]) -> Iterator[Row]:
    """The default on SmolLM2; the first run, which warms up, is not told."""
    bridge = load_model(DEFAULT_MODEL, device=device, dtype=dtype)
    discover_circuit(bridge, tasks[0], n_prompts=4, ignore_behaviour=True)
    for task in tasks:
        yield {"model": DEFAULT_MODEL, "dtype": dtype, **_row(_priced(device, bridge, task))}


def _priced(device: str, bridge: TransformerBridge, task: str, **settings: Any) -> Discovery:
    """A discovery whose peak of memory is its own."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    return discover_circuit(bridge, task, **settings)


def large_shape(device: str, sizes: dict[str, Any]) -> Row:
    """The default on random weights of a large shape."""
    torch.manual_seed(0)
    with torch.device(device):
        model: Any = Qwen2ForCausalLM(Qwen2Config(**sizes))
    model = model.to(torch.bfloat16).eval().requires_grad_(False)
    model.set_attn_implementation("eager")
    name = f"random weights, {sizes['num_hidden_layers']} layers"
    bridge = build_bridge_from_module(
        model, type(model).__name__, hf_config=model.config, model_name=name
    )
    remember_tokenizer(bridge, load_tokenizer(DEFAULT_MODEL))
    found = _priced(device, bridge, "ioi", n_prompts=32, ignore_behaviour=True)
    return {"model": name, **_row(found)}


def _row(found: Discovery) -> Row:
    return {
        "task": found.provenance.task,
        "heads": [str(head) for head in sorted(found.circuit.heads)],
        "edges": len(found.circuit.edges),
        "performance": found.performance,
        "forward_passes": found.cost.forward_passes,
        "seconds": found.cost.seconds,
        "peak_memory_bytes": found.cost.peak_memory_bytes,
    }


def markdown(measured: Row) -> str:
    """Both tables, and the name of the card."""
    engines = [name for name in measured["agreement"][0] if name != "family"]
    differences = [
        [row["family"], *(f"{row[engine]:.1e}" for engine in engines)]
        for row in measured["agreement"]
    ]
    runs = [
        [
            row["model"],
            row.get("dtype", "bfloat16"),
            row["task"],
            len(row["heads"]),
            f"{row['performance']:.0f} %",
            f"{row['forward_passes']:.0f}",
            f"{row['seconds']:.1f}",
            f"{row['peak_memory_bytes'] / 2**30:.1f}",
        ]
        for row in measured["runs"]
    ]
    titles = ("model", "precision", "task", "heads", "held out", "passes", "seconds", "GiB")
    error, ways = measured["bfloat16"], measured["circuits"]
    machines = [measured[key] for key in ("machine", "machine_of_agreement") if key in measured]
    agreeing = table(("largest difference from the CPU", *engines), differences)
    same = (
        f"{sum(way['same'] for way in ways)} of {len(ways)} methods find on a toy, to the edge, "
        "the circuit that they find on the CPU. "
    )
    return (
        f"{table(titles, runs, n_left=3)}\n\n"
        f"The sweep in bfloat16 is off by {error['mean']:.1e} in the mean, "
        f"{error['largest']:.1e} at most.\n\n{agreeing}\n\n{same if ways else ''}"
        f"{names_of(machines, 'card', 'processor')}, torch {names_of(machines, 'torch')}, commit "
        f"{names_of(machines, 'commit')}."
    )


def main(
    device: str = "cuda", out: Path = RESULTS, small: bool = False, write: Write = False
) -> None:
    """Run all parts, and write the figures as JSON and as a table."""
    if device == "cuda" and not torch.cuda.is_available():
        raise SystemExit("error: no GPU here; --device cpu --small tries the script without one")
    say = Console(stderr=True).print
    measured: Row = {"machine": describe_machine(), "runs": [], "agreement": [], "circuits": []}

    def keep() -> None:
        publish(measured, out, "", None)

    warnings.simplefilter("ignore")
    for dtype in ("float32", "bfloat16"):
        tasks = ["gendered-pronouns"] if small else list_tasks()
        for row in default_runs(device, dtype, tasks):
            say(row)
            measured["runs"].append(row)
            keep()
    measured["runs"].append(large_shape(device, SMALL if small else QWEN_7B))
    keep()
    measured["bfloat16"] = low_precision(device)
    for part, rows in (("agreement", agreement(device)), ("circuits", same_circuits(device))):
        for row in rows:
            say(row)
            measured[part].append(row)
            keep()
    publish(measured, out, markdown(measured), "GPU table" if write else None)


if __name__ == "__main__":
    typer.run(main)
