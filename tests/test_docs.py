"""The documentation: its examples run, its commands parse, and its reference leaves nothing out."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from importlib import import_module
from inspect import isclass, isfunction
from itertools import chain
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import pytest
import torch
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources import build_bridge_from_module
from transformers import LlamaConfig, LlamaForCausalLM
from typer.main import get_command

import circuits.discovery.result
import circuits.model.loading
from circuits.cli import app
from circuits.cli.actions import discovery_config
from circuits.model import load_tokenizer
from circuits.model.tokenizers import remember_tokenizer
from circuits.tasks import IOI

ROOT = Path(__file__).parents[1]
WITHOUT_EXAMPLES = [ROOT / "docs" / name for name in ("code.md", "numbers.md")]
PAGES = sorted({*(ROOT / "docs").glob("*.md")} - {*WITHOUT_EXAMPLES})
WITH_COMMANDS = [*PAGES, ROOT / "README.md"]
REFERENCE = sorted((ROOT / "docs/reference").glob("*.md"))
N_LAYERS, N_HEADS, D_HEAD = 2, 6, 24
REMOTE = re.compile(r"""<(?:script|img|iframe)[^>]+src="?https?:|<link[^>]+href="?https?:""")


def page_name(path: Path) -> str:
    return path.stem


def blocks(path: Path, *languages: str) -> list[str]:
    """The fenced blocks in any of these languages."""
    fenced = re.findall(r"^```(\w*)\n(.*?)^```$", path.read_text(encoding="utf-8"), re.S | re.M)
    return [block for language, block in fenced if language in languages]


def commands(path: Path) -> list[str]:
    """Command lines in fenced blocks, examples of Python aside."""
    lines = (line for block in blocks(path, "sh", "") for line in block.splitlines())
    return [line for line in lines if line.startswith("circuits ")]


def parsed(line: str) -> tuple[str, dict[str, Any]]:
    """The command that a line calls, subcommands included, and the values of its options."""
    command, context = get_command(app), None
    name, *words = shlex.split(line, comments=True)
    while True:
        context = command.make_context(name, words, parent=context)
        if not hasattr(command, "resolve_command"):
            return name, context.params
        name, command, words = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )


def documented() -> list[str]:
    """Identifiers that the reference gives the docstrings of."""
    return [
        name
        for path in REFERENCE
        for name in re.findall(r"^::: (\S+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]


def resolve(identifier: str) -> object:
    module, _, name = identifier.rpartition(".")
    return getattr(import_module(module), name)


def public_packages() -> list[str]:
    """Every package that says what is public, but for the command line."""
    roots = [import_module(name) for name in ("circuits", "tasks")]
    below = [
        import_module(found.name)
        for root in roots
        for found in walk_packages(root.__path__, f"{root.__name__}.")
        if found.ispkg
    ]
    found = [package.__name__ for package in (*roots, *below) if hasattr(package, "__all__")]
    return [name for name in found if name != "circuits.cli"]


def is_foreign(thing: object) -> bool:
    """Whether a class or function is of another library, whose documentation has it."""
    is_defined = isclass(thing) or isfunction(thing)
    return is_defined and thing.__module__.partition(".")[0] not in ("circuits", "tasks")


@pytest.fixture(scope="module")
def model() -> TransformerBridge:
    """A tiny model of random weights, but for one head that does IOI.

    It attends to all positions alike, sees names alone, and makes what it saw less likely: the
    repeated name more so.
    """
    torch.manual_seed(0)
    tokenizer = load_tokenizer("smollm2-135m")
    width = N_HEADS * D_HEAD
    config = LlamaConfig(
        vocab_size=49152,
        hidden_size=width,
        intermediate_size=2 * width,
        num_hidden_layers=N_LAYERS,
        num_attention_heads=N_HEADS,
        num_key_value_heads=N_HEADS // 2,
        initializer_range=0.05,
        tie_word_embeddings=True,
    )
    network = LlamaForCausalLM(config)
    network.set_attn_implementation("eager")
    with torch.no_grad():
        embedding = network.model.embed_tokens.weight.normal_()
        names = tokenizer([f" {name}" for name in IOI.word_lists["name"]])["input_ids"]
        is_name = torch.zeros(len(embedding), 1)
        is_name[list(chain.from_iterable(names))] = 1
        embedding[:, :D_HEAD] *= is_name
        attention = network.model.layers[0].self_attn
        attention.q_proj.weight[:D_HEAD] = 0
        attention.v_proj.weight[:D_HEAD] = torch.eye(D_HEAD, width)
        attention.o_proj.weight[:, :D_HEAD] = -40 * torch.eye(width, D_HEAD)
    bridge = build_bridge_from_module(
        network.eval().requires_grad_(False),
        "LlamaForCausalLM",
        hf_config=config,
        model_name="smollm2-135m",
    )
    remember_tokenizer(bridge, tokenizer)
    return bridge


@pytest.mark.filterwarnings("ignore::circuits.studies.LuckySeedWarning")
@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_examples_run_in_order(path, model, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for module in (circuits.model, circuits.discovery.result):
        monkeypatch.setattr(module, "load_model", lambda name, **_: model)
    examples = blocks(path, "python")
    assert examples
    namespace = {"__name__": "example"}
    for number, example in enumerate(examples):
        exec(compile(example, f"{path.name}, example {number + 1}", "exec"), namespace)


@pytest.mark.parametrize("path", WITH_COMMANDS, ids=page_name)
def test_commands_parse(path):
    lines = commands(path)
    assert lines
    for line in lines:
        name, given = parsed(line)
        if name == "discover":
            discovery_config({key: value for key, value in given.items() if key != "task"})


@pytest.mark.parametrize("path", WITHOUT_EXAMPLES, ids=page_name)
def test_pages_without_examples_have_none(path):
    assert not blocks(path, "python")
    assert not commands(path)


@pytest.mark.parametrize("line", ["circuits discover ioi --treshold 1", "circuits tasks check --x"])
def test_an_unknown_option_would_be_noticed(line):
    with pytest.raises(Exception, match="No such option"):
        parsed(line)


def test_the_reference_names_what_exists_and_each_once():
    names = documented()
    assert len(names) == len(set(names))
    for name in names:
        assert resolve(name) is not None


def test_every_public_package_is_asked_for():
    packages = public_packages()
    assert {"circuits", "circuits.evaluation", "circuits.formats", "tasks"} <= {*packages}
    assert "circuits.cli" not in packages


@pytest.mark.parametrize("package", public_packages())
def test_the_reference_leaves_out_no_public_name(package):
    shown = {id(resolve(name)) for name in documented()}
    public = {name: resolve(f"{package}.{name}") for name in import_module(package).__all__}
    missing = [
        f"::: {package}.{name}"
        for name, thing in public.items()
        if id(thing) not in shown and not is_foreign(thing)
    ]
    assert not missing, "\n".join(("add to a page in docs/reference:", *missing))


def test_it_builds_without_warnings_and_loads_nothing_remote(tmp_path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    for page in tmp_path.rglob("*.html"):
        assert not REMOTE.search(page.read_text(encoding="utf-8")), page
