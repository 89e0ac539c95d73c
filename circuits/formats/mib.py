"""What MIB's circuit localization track takes: a folder for each task and model, and its scores.

In `{task}_{model}/importances.json` is a graph of EAP-IG in which every edge has a score; the track
itself takes the best shares of them. Read from (facts only):
github.com/mttk/MIB-circuit-track-autoeval, eval_submissions.py at
30c645650c5d84e2d5f549beae3891502fda6703, run_evaluation.py at
63d00e8f5c6454b423d989ed22dbacf87bfb6826 and MIB_circuit_track/utils.py at
dc2b77736f89026ab8bee0e708e5d8eadd788aa7.
"""

from __future__ import annotations

from dataclasses import replace

from circuits.circuit import Circuit, circuit_of_edges, edge_mask
from circuits.errors import InputError
from circuits.errors.wording import unknown_name
from circuits.formats.eap_export import GraphConfig, to_eap_graph
from circuits.patching import EdgeValues

FILE = "importances.json"
MODELS = {
    "gpt2": "gpt2",
    "Qwen/Qwen2.5-0.5B": "qwen2.5",
    "google/gemma-2-2b": "gemma2",
    "meta-llama/Llama-3.1-8B": "llama3",
}
"""What the track calls models, by their names here."""
FOLDERS = (
    *("ioi_gpt2", "ioi_qwen2.5", "ioi_gemma2", "ioi_llama3"),
    *("mcqa_qwen2.5", "mcqa_gemma2", "mcqa_llama3"),
    *("arithmetic-addition_llama3", "arithmetic-subtraction_llama3"),
    *("arc-easy_gemma2", "arc-easy_llama3", "arc-challenge_llama3"),
)
"""Every task with every model that the track has it for."""


def mib_folder(task: str, model: str) -> str:
    """What the track calls a task with a model.

    Args:
        task: Its name, such as "ioi" or "arithmetic_addition".
        model: Its name, as `load_model` takes it, or as the track has it.

    Raises:
        InputError: The track has no such task, or not with this model.

    >>> mib_folder("ioi", "Qwen/Qwen2.5-0.5B")
    'ioi_qwen2.5'
    """
    folder = f"{task.replace('_', '-')}_{MODELS.get(model, model)}"
    check_mib_folder(folder, f"task {task!r} with model {model!r}")
    return folder


def check_mib_folder(folder: str, asked: str) -> None:
    """Raise InputError unless the track has a folder of that name."""
    if folder not in FOLDERS:
        raise InputError(
            f"{asked} is not in MIB's circuit localization track: "
            + unknown_name("folder", folder, FOLDERS)
        )


def importances(circuit: Circuit, ranking: EdgeValues, d_model: int) -> str:
    """Every edge's score, and which edges are in a circuit, as JSON.

    Args:
        circuit: One whose nodes are MLPs and the embedding, too.
        ranking: Of every edge, the best highest: `Discovery.rankings`, or scores' mean over
            prompts.
        d_model: Width of the model's residual stream.

    Raises:
        InputError: MLPs are no nodes of the circuit, or an edge has no score.

    >>> import json
    >>> from circuits.edge_search import chosen_edges
    >>> best = chosen_edges(scored, 30)
    >>> circuit = circuit_of_edges(scored.graph, best, torch.zeros(best.shape))
    >>> data = json.loads(importances(circuit, scored, d_model=32))
    >>> sum(edge["in_graph"] for edge in data["edges"].values()) == len(circuit.edges)
    True
    """
    graph = ranking.graph
    if circuit.mlps != "nodes" or not graph.has_mlps:
        raise InputError(
            "MIB's circuit localization track scores edges among MLPs and the embedding, too: "
            "discover with --mlps nodes (mlps='nodes')"
        )
    if (n_missing := graph.n_edges - ranking.n_known) > 0:
        raise InputError(
            f"{n_missing:,} of {graph.n_edges:,} edges have no score, and the track takes shares "
            "of all of them: take a ranking of every edge"
        )
    effects = replace(ranking, values=-ranking.values)
    ranked = circuit_of_edges(graph, edge_mask(circuit, graph), effects.values)
    return to_eap_graph(ranked, graph, effects, GraphConfig(d_model=d_model)).text
