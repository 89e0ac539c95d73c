"""A model whose numbers overflow ends every command with one sentence and code 1."""

import json
import re

import pytest
import torch
from transformers import LlamaForCausalLM

from circuits.model import load_tokenizer
from circuits.tasks import get_task
from circuits.tasks.tables import pairs_to_bytes
from tests.circuits.cli.command_line import FEW, circuits, error_of

IN_FLOAT16 = ("--dtype", "float16")
SAID = re.compile(
    r"is NaN or infinite on [1-9]\d* of 16 prompts, .* in float16, is in layer 0; "
    r"load the model in float32 or bfloat16"
)


@pytest.fixture(scope="module")
def overflowing(tiny, tmp_path_factory):
    """A checkpoint that overflows in float16 on prompts that speak of a store."""
    directory = tmp_path_factory.mktemp("models") / "overflowing"
    model, tokenizer = LlamaForCausalLM.from_pretrained(tiny), load_tokenizer(tiny)
    (store,) = tokenizer(" store")["input_ids"]
    with torch.no_grad():
        model.model.embed_tokens.weight[store] = torch.finfo(torch.float16).max
        mlp = model.model.layers[0].mlp
        for weight, factor in ((mlp.gate_proj, 10), (mlp.up_proj, 10), (mlp.down_proj, 2e4)):
            weight.weight.mul_(factor)
    model.save_pretrained(directory)
    tokenizer.save_pretrained(directory)
    return directory


@pytest.mark.parametrize(
    "command",
    [("discover", "ioi", *FEW), ("seeds", "ioi", "--seeds", "2", *FEW), ("tasks", "ioi")],
)
def test_one_sentence_and_code_1(overflowing, tmp_path, command):
    out = () if command[0] == "tasks" else ("--out", tmp_path / "run")
    many = ("--n-prompts", "16")
    said = error_of(*command, *many, "--model", overflowing, *IN_FLOAT16, *out, code=1)
    assert SAID.search(said), said
    assert not (tmp_path / "run" / "run.json").exists()


def test_rows_are_told_all_the_same(overflowing, tmp_path):
    file = tmp_path / "mine.jsonl"
    pairs = get_task("ioi").text_pairs(load_tokenizer(overflowing), n=16)
    file.write_bytes(pairs_to_bytes(pairs, file))
    usable = tmp_path / "usable.jsonl"
    checked = circuits(
        *("tasks", "check", file, "--model", overflowing, *IN_FLOAT16, "--json"),
        *("--usable", usable),
    )
    assert checked.exit_code == 1
    assert checked.stdout, checked.stderr
    told = json.loads(checked.stdout)
    assert (told["n_usable"], told["behaviour"]) == (16, None)
    assert len(usable.read_text().splitlines()) == 16
    assert SAID.search(checked.stderr), checked.stderr
