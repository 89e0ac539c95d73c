"""Good files of every kind, small: models, tables, a run, and circuits in every format."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from random import Random

import torch
from datasets import Dataset
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
)

from circuits import Discovery
from circuits.formats import GraphConfig, export_circuit
from circuits.formats.registry import FORMATS
from circuits.model.native import word_tokenizer
from tests.circuits.cli.command_line import circuits

WORDS = tuple(f"w{number}" for number in range(40))
FEW = ("--n-prompts", "3", "--n-mean-prompts", "4")
APP = ("--method", "app", "--threshold", "0.4", "--logits-threshold", "0.4", "--min-effect", "0")
SEARCH = (*FEW, *APP, "--score-share", "0.99", "--ignore-behaviour")
_SIZES = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 40}
_LLAMA = {**_SIZES, "intermediate_size": 32, "num_key_value_heads": 2}

_BATCH = """models = ["{}"]
tasks = ["{}", "ioi"]
methods = ["in-context", {{ method = "app", name = "half", threshold = 0.5 }}]
seeds = [0, 3]
dtype = "float32"
device = "cpu"
[settings]
n_prompts = 4
keep = 70
[slurm]
partition = "short"
[ray]
address = "local"
"""


@dataclass(frozen=True)
class Material:
    """Where good files are; nothing may be changed in them."""

    root: Path

    @property
    def models(self) -> tuple[Path, ...]:
        """Checkpoints of several families, with tokenizers of forty words."""
        return tuple(sorted((self.root / "models").iterdir()))

    @property
    def model(self) -> Path:
        """The one that everything else was made with."""
        return self.root / "models" / "llama"

    @property
    def tables(self) -> tuple[Path, Path]:
        """The same task as JSONL and as CSV."""
        return self.root / "mine.jsonl", self.root / "mine.csv"

    @property
    def dataset(self) -> Path:
        """The same, as `Dataset.save_to_disk` writes it."""
        return self.root / "dataset"

    @property
    def batch(self) -> Path:
        """A file of `circuits batch` with every key that it can have."""
        return self.root / "batch.toml"

    @property
    def run(self) -> Path:
        """A saved run, evaluated."""
        return self.root / "run"

    @property
    def circuits(self) -> tuple[Path, ...]:
        """Its circuit in every format."""
        return tuple(sorted((self.root / "circuits").iterdir()))


def make_material(root: Path) -> Material:
    """Write all of it into a directory."""
    for name, model in _models().items():
        model.save_pretrained(root / "models" / name)
        word_tokenizer(WORDS).save_pretrained(root / "models" / name)
    made = Material(root)
    rows = _rows()
    made.tables[0].write_text("".join(json.dumps(row) + "\n" for row in rows))
    header = ",".join(rows[0])
    made.tables[1].write_text("\n".join([header, *(",".join(row.values()) for row in rows)]))
    Dataset.from_list(rows).save_to_disk(str(made.dataset))
    made.batch.write_text(_BATCH.format(made.model, made.tables[0]))
    found = circuits("discover", made.tables[0], "--model", made.model, *SEARCH, "--out", made.run)
    assert found.exit_code == 0, found.output
    evaluated = circuits("evaluate", made.run, "--n-prompts", "4", "--resamples", "20")
    assert evaluated.exit_code == 0, evaluated.output
    _write_circuits(root / "circuits", Discovery.load(made.run))
    return made


def _models() -> dict[str, PreTrainedModel]:
    torch.manual_seed(0)
    gpt2 = GPT2Config(vocab_size=40, n_embd=16, n_layer=2, n_head=4, n_positions=32)
    gemma = {"head_dim": 4, "sliding_window": 4}
    layer_types = ["sliding_attention", "full_attention"]
    return {
        "llama": LlamaForCausalLM(LlamaConfig(**_LLAMA)),
        "gpt2": GPT2LMHeadModel(gpt2),
        "gemma": Gemma3ForCausalLM(Gemma3TextConfig(**_LLAMA, **gemma, layer_types=layer_types)),
    }


def _rows() -> list[dict[str, str]]:
    random, rows = Random(0), []
    for _ in range(24):
        words = random.sample(WORDS[1:], 8)
        clean, corrupted = words[:4], [words[4], *words[1:3], words[5]]
        texts = {"clean": " ".join(clean), "corrupted": " ".join(corrupted)}
        rows.append({**texts, "correct": f" {words[6]}", "wrong": f" {words[7]}"})
    return rows


def _write_circuits(directory: Path, found: Discovery) -> None:
    directory.mkdir()
    assert found.circuit.edges
    graph, config = found.provenance.model.graph(), GraphConfig(d_model=16)
    for name in FORMATS.names():
        known = (graph, found.effects, config) if name == "eap-ig" else ()
        exported = export_circuit(found.circuit, name, *known)
        suffix = {"dot": "dot", "csv": "csv"}.get(name, "json")
        (directory / f"{name}.{suffix}").write_text(exported.text)
