"""The documentation: its examples run, its commands parse, and its reference leaves nothing out."""

from __future__ import annotations

import re
import shlex
from functools import cache
from importlib import import_module
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from inspect import isclass, isfunction
from itertools import chain
from pathlib import Path
from pkgutil import walk_packages
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from mkdocs.commands.build import build
from mkdocs.config import load_config
from mkdocs.exceptions import PluginError
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources import build_bridge_from_module
from transformers import LlamaConfig, LlamaForCausalLM
from typer.main import get_command

import circuits.discover
import circuits.model.loading
from circuits import Discovery
from circuits.cli import app
from circuits.cli.inputs import discovery_config
from circuits.cli.main import COMMANDS
from circuits.discovery import Method
from circuits.model import load_tokenizer
from circuits.model.tokenizers import remember_tokenizer
from circuits.tasks import IOI, PromptPair, Task

ROOT = Path(__file__).parents[1]
WITHOUT_EXAMPLES = [ROOT / "docs" / name for name in ("code.md", "numbers.md")]
PAGES = sorted({*(ROOT / "docs").glob("*.md")} - {*WITHOUT_EXAMPLES})
IN_PYTHON = ROOT / "docs" / "extend.md"
WITH_COMMANDS = [*(path for path in PAGES if path != IN_PYTHON), ROOT / "README.md"]
REFERENCE = sorted((ROOT / "docs/reference").glob("*.md"))
WITH_NAMES = [*PAGES, *WITHOUT_EXAMPLES, *REFERENCE, ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
PUBLIC_MODULES = ("circuits.errors", "circuits.components", "circuits.graph")
"""Whose classes are public, though they are no packages."""
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


@cache
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


@cache
def shown() -> dict[int, object]:
    """What the reference gives the docstrings of."""
    return {id(thing): thing for thing in map(resolve, documented())}


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


@pytest.fixture(scope="module")
def known() -> dict[Any, Discovery]:
    """What an example discovered, by task and settings: no other discovers the same again."""
    return {}


@pytest.fixture
def sandbox(model, known, tmp_path, monkeypatch) -> None:
    """An empty directory, the tiny model under every name, and registries that forget."""
    monkeypatch.chdir(tmp_path)
    for module in (circuits, circuits.model, circuits.model.loading):
        monkeypatch.setattr(module, "load_model", lambda name, **_: model)
    for registry in hooks().registries().values():
        monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    discover = circuits.discover.run_discovery

    def discover_once(bridge, task, config, progress=None, directory=None, **more):
        key = bridge, task.spec or task.name, task.digest, config
        if key not in known or directory is not None or more:
            known[key] = discover(bridge, task, config, progress, directory, **more)
        return known[key]

    monkeypatch.setattr(circuits.discover, "run_discovery", discover_once)


@pytest.mark.filterwarnings("ignore::circuits.studies.LuckySeedWarning")
@pytest.mark.parametrize("path", PAGES, ids=page_name)
def test_examples_run_in_order(path, sandbox):
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
    assert len(documented()) == len(set(documented()))
    assert None not in shown().values()


def test_every_public_package_is_asked_for():
    packages = public_packages()
    assert {"circuits", "circuits.evaluation", "circuits.formats", "tasks"} <= {*packages}
    assert "circuits.cli" not in packages


def public(name: str) -> dict[str, object]:
    """The public names of a package, or the classes that a public module defines."""
    module = import_module(name)
    if name not in PUBLIC_MODULES:
        return {name: getattr(module, name) for name in module.__all__}
    named = {key: thing for key, thing in vars(module).items() if not key.startswith("_")}
    return {
        key: thing for key, thing in named.items() if isclass(thing) and thing.__module__ == name
    }


@pytest.mark.parametrize("package", [*public_packages(), *PUBLIC_MODULES])
def test_the_reference_leaves_out_no_public_name(package):
    missing = [
        f"::: {package}.{name}"
        for name, thing in public(package).items()
        if id(thing) not in shown() and not is_foreign(thing)
    ]
    assert not missing, "\n".join(("add to a page in docs/reference:", *missing))


@cache
def hooks() -> ModuleType:
    """What mkdocs calls when it builds the pages."""
    spec = spec_from_file_location("docs_hooks", ROOT / "docs" / "hooks.py")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def table(marker: str) -> dict[str, list[str]]:
    """The rows of the table that a marker becomes, by the name in their first cell."""
    lines = hooks().with_tables(f"<!-- {marker} -->").splitlines()
    rows = ([cell.strip() for cell in line.strip("|").split(" | ")] for line in lines[2:])
    return {first.partition(" ")[0].strip("`"): rest for first, *rest in rows}


def nothing(logits, pairs):
    """Measure nothing."""
    return logits[..., 0]


class Nowhere(Task):
    name = "nowhere"
    description = "Measure nothing."

    def draw(self, rng, variant, words) -> PromptPair:
        return PromptPair("a", "b", (" a",), (" b",))


ENTRIES = {
    "tasks": Nowhere,
    "metrics": nothing,
    "methods": Method("nowhere", "Measure nothing.", (), True),
}


def entry_of(kind: str) -> Any:
    """Something new for a registry."""
    anything = {
        "name": "nowhere",
        "description": "Measure nothing.",
        "cut": "share",
        "is_exact": False,
        "has_remainders": False,
        "suffixes": (),
        **dict.fromkeys(("score", "add", "find", "write", "read"), print),
        **dict.fromkeys(("usual_count", "check", "open"), print),
    }
    return ENTRIES.get(kind, SimpleNamespace(**anything))


class TestTables:
    @pytest.mark.parametrize("kind", hooks().registries())
    def test_what_is_registered_is_in_its_table(self, kind):
        registry = hooks().registries()[kind]
        assert registry.names()[0] in table(f"registry: {kind}")
        entry = entry_of(kind)
        name = "nothing" if kind == "metrics" else "nowhere"
        assert name not in table(f"registry: {kind}")
        with registry.with_entry(entry):
            assert table(f"registry: {kind}")[name] == ["Measure nothing"]
            assert f"`{name}`" in table("registries")[kind][1]
        assert name not in table(f"registry: {kind}")

    def test_a_score_is_a_method_and_a_name_that_the_setting_takes(self):
        with hooks().registries()["scores"].with_entry(entry_of("scores")):
            assert table("registry: methods")["nowhere"] == ["prune by nowhere alone"]
            takes = table("settings: DiscoveryConfig")["prune_by"][2]
        assert "`nowhere`" in takes

    def test_defaults_are_marked(self):
        lines = hooks().with_tables("<!-- registry: engines -->").splitlines()
        assert [line.split("|")[1].strip() for line in lines if "(default)" in line] == [
            "`sweep` (default)"
        ]

    def test_a_setting_has_its_option_default_range_and_help(self):
        assert table("settings: SelectionRule")["false_discovery_rate"] == [
            "`--false-discovery-rate R`",
            "0.05",
            "above 0 and below 1",
            "With --rule significance, the share of what is kept for a head that may be smaller.",
        ]
        assert table("settings: DiscoveryConfig")["verify"][:2] == ["`--no-verify`", "yes"]
        assert table("settings: DiscoveryConfig")["selection"][:2] == ["", "`SelectionRule()`"]

    @pytest.mark.parametrize(
        ("command", "configs"),
        [
            ("discover", ("DiscoveryConfig", "SelectionRule", "PruningRule")),
            ("evaluate", ("EvaluationConfig",)),
            ("roles", ("RoleRule",)),
            ("seeds", ("InclusionRule",)),
        ],
    )
    def test_options_are_those_of_the_command(self, command, configs):
        params = COMMANDS[command].params
        options = chain.from_iterable([*one.opts, *one.secondary_opts] for one in params)
        rows = [row for config in configs for row in table(f"settings: {config}").values()]
        written = {row[0].strip("`").partition(" ")[0] for row in rows} - {""}
        assert written <= {*options}
        assert written

    def test_no_table_is_left_out(self):
        pages = "\n".join(path.read_text(encoding="utf-8") for path in PAGES)
        markers = {found[0] for found in re.finditer(hooks().MARKER, pages)}
        wanted = [f"<!-- registry: {kind} -->" for kind in hooks().registries()]
        wanted += [f"<!-- settings: {name} -->" for name in hooks().configs()]
        assert markers == {*wanted, "<!-- registries -->"}

    @pytest.mark.parametrize("marker", ["registry: nobody", "settings: Nobody"])
    def test_an_unknown_one_ends_the_build(self, marker):
        kind, _, name = marker.partition(": ")
        with pytest.raises(PluginError, match=f"there is no {kind} '{name}'; there are"):
            table(marker)


@pytest.mark.parametrize("path", WITH_NAMES, ids=page_name)
def test_names_in_prose_exist(path):
    """Dotted names in backticks, such as `circuits.patching.path_effects`."""
    text = path.read_text(encoding="utf-8")
    names = re.findall(r"`((?:circuits|tasks)(?:\.[A-Za-z_]\w*)+)`", text)
    assert not [name for name in names if not exists(name)]


def exists(name: str) -> bool:
    """Whether it is a module, something in one, or called like a file of one's own."""
    module, _, rest = name.rpartition(".")
    return rest == "py" or hasattr(import_module(module), rest) or find_spec(name) is not None


@pytest.mark.filterwarnings("default")
def test_it_builds_without_warnings_and_loads_nothing_remote(tmp_path):
    build(load_config(str(ROOT / "mkdocs.yml"), strict=True, site_dir=str(tmp_path)))
    for page in tmp_path.rglob("*.html"):
        assert not REMOTE.search(page.read_text(encoding="utf-8")), page
    page = (tmp_path / "reference/discovery.html").read_text(encoding="utf-8")
    assert "Prompt pairs to discover on." in page
    assert "setting(" not in re.sub("<[^>]+>", "", page)
