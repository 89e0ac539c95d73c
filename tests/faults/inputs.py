"""Bad input of every kind: files changed at random, and the command lines that read them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

from circuits.cli.main import COMMANDS
from tests.faults.material import SEARCH, Material
from tests.faults.mutations import (
    ESCAPES,
    changed_bytes,
    changed_json,
    changed_lines,
    changed_tensors,
    changed_text,
)

Arguments = list[Any]
Kind = Callable[[Random, Material, Path], Arguments]
_VALUES = (
    *("0", "1", "2", "-1", "0.5", "nan", "inf", "-inf", "1e400", "x", " ", "ioi", "none", "all"),
    *(
        str(2**63 - 1),
        str(2**63),
        str(-(2**63) - 1),
        str(10**30),
        "9" * 5000,
        "1,2",
        "1,,x",
        ESCAPES,
    ),
    *("\udcff", "../x", ".", "/", "/dev/null", "/proc/self/mem", "a" * 5000, "é", "=", "--", "-"),
)


def change(random: Random, file: Path) -> None:
    """Change a file as one of its kind can be."""
    content = file.read_bytes()
    ways: dict[str, Callable[[], bytes]] = {
        ".json": lambda: changed_json(random, content.decode()),
        ".jsonl": lambda: changed_lines(random, content.decode()),
        ".csv": lambda: changed_text(random, content.decode()),
        ".toml": lambda: changed_text(random, content.decode()),
        ".dot": lambda: changed_text(random, content.decode()),
        ".safetensors": lambda: changed_tensors(random, content),
    }
    file.write_bytes(ways.get(file.suffix, lambda: changed_bytes(random, content))())


def models(random: Random, material: Material, place: Path) -> Arguments:
    """A checkpoint of which one file is changed, or gone."""
    directory = place / "model"
    shutil.copytree(random.choice(material.models), directory)
    files = sorted(path for path in directory.iterdir() if path.name != "generation_config.json")
    file = random.choice([*files, directory / "config.json"])
    if random.random() < 0.03:
        file.unlink()
    else:
        change(random, file)
    table, model = material.tables[0], ("--model", directory)
    return random.choice(
        [
            ["tasks", table, "--n-prompts", "2", *model],
            ["tasks", table, "--n-prompts", "2", *model, "--json"],
            ["tasks", "check", table, *model],
            ["tasks", "export", table, "--out", place / "out.csv", *model],
            ["discover", table, *SEARCH, *model],
        ]
    )


def circuits(random: Random, material: Material, place: Path) -> Arguments:
    """A circuit in any format, changed."""
    good = random.choice(material.circuits)
    file = Path(shutil.copy(good, place))
    change(random, file)
    table, model = material.tables[0], ("--model", material.model)
    ways = [["import", file], ["import", file, "--format", good.stem]]
    if good.stem == "eap-ig":
        ways.append(["import", file, "--through-mlps"])
    if good.stem == "json":
        ways += [
            ["compare", file, good],
            ["export", file, "--format", random.choice(("dot", "csv", "networkx", "eap-ig"))],
            ["compare", material.run, file, "--json"],
            ["evaluate", file, "--task", table, "--n-prompts", "2", "--resamples", "2", *model],
            ["roles", file, "--task", table, "--n-prompts", "2", *model],
        ]
    return random.choice(ways)


def runs(random: Random, material: Material, place: Path) -> Arguments:
    """A saved run of which one file is changed."""
    run = place / "run"
    shutil.copytree(material.run, run)
    files = sorted(path for path in run.iterdir() if path.is_file())
    change(random, random.choice(files))
    few = ("--n-prompts", "2")
    return random.choice(
        [
            ["compare", run, material.run],
            ["compare", material.run, run, "--json"],
            ["export", run, "--format", "eap-ig"],
            ["report", run],
            ["evaluate", run, *few, "--resamples", "2"],
            ["roles", run, *few],
            _discover(material, run),
        ]
    )


def work(random: Random, material: Material, place: Path) -> Arguments:
    """A run to go on with, of which one file of its `work` is changed."""
    run = place / "run"
    shutil.copytree(material.run / "work", run / "work")
    change(random, random.choice(sorted((run / "work").iterdir())))
    return [*_discover(material, run), *random.choice(((), ("--resume",), ("--overwrite",)))]


def tables(random: Random, material: Material, place: Path) -> Arguments:
    """A task of one's own, changed."""
    file = Path(shutil.copy(random.choice(material.tables), place))
    change(random, file)
    named = str(file) + random.choice(("", "", "", "?clean=corrupted", "?template=wrong", "?x=1"))
    return _with_task(random, material, named, place)


def datasets(random: Random, material: Material, place: Path) -> Arguments:
    """A saved dataset of which one file is changed."""
    directory = place / "dataset"
    shutil.copytree(material.dataset, directory)
    change(random, random.choice(sorted(directory.iterdir())))
    return _with_task(random, material, directory, place)


def batch_files(random: Random, material: Material, place: Path) -> Arguments:
    """The file of a batch, changed; where it is right still, what shall run it is not there."""
    file = Path(shutil.copy(material.batch, place))
    change(random, file)
    return ["batch", file, "--out", place / "out", "--executor", "nothing"]


def _with_task(random: Random, material: Material, task: object, place: Path) -> Arguments:
    model, usable = ("--model", material.model), ("--usable", place / "usable.jsonl")
    return random.choice(
        [
            ["tasks", "check", task, *model, *usable],
            ["tasks", "check", task, *model, "--json"],
            ["tasks", task, "--n-prompts", "4", *model],
            ["discover", task, *SEARCH, *model],
        ]
    )


def command_lines(random: Random, material: Material, place: Path) -> Arguments:
    """A command whose arguments and options are drawn at random, most of them wrong."""
    name = random.choice(sorted(COMMANDS))
    command: Any = COMMANDS[name]
    words: Arguments = [name]
    if hasattr(command, "commands"):
        chosen = random.choice(sorted(command.commands))
        words.append(chosen)
        command = command.commands[chosen]
    here = (material.tables[0], material.run, material.circuits[0], place, place / "none")
    for param in command.params:
        if param.param_type_name == "argument":
            words.append(random.choice((*here, *_VALUES)) if random.random() < 0.3 else here[0])
        elif param.name in _FEW:
            words += [max(param.opts, key=len), _FEW[param.name]]
    given = [one for one in command.params if one.param_type_name == "option" and one.opts != [" "]]
    for param in random.sample(given, min(len(given), random.choice((1, 1, 2, 4)))):
        words.append(max([*param.opts, *param.secondary_opts], key=len))
        if not param.is_flag:
            words.append(random.choice((*_VALUES, *_VALUES, *here)))
    if name == "bench":
        # It takes models by name, and minutes where they are all right.
        return [*words, "--model", "none-of-them"]
    return words if "--model" in words else [*words, *_model_of(given, material)]


_FEW = {"n_prompts": "2", "n_mean_prompts": "2", "n_validation_prompts": "2"} | {
    "n_held_out_prompts": "2",
    "seeds": "1",
    "trials": "1",
    "n_resamples": "2",
}
"""What a command is given, before anything at random, so that it ends soon."""


def _model_of(given: list[Any], material: Material) -> Arguments:
    return ["--model", material.model] if any(one.name == "model" for one in given) else []


def _discover(material: Material, run: Path) -> Arguments:
    return [
        *("discover", material.tables[0], "--model", material.model),
        *SEARCH,
        *("--out", run),
    ]


KINDS: dict[str, tuple[Kind, int]] = {
    "model directories": (models, 2500),
    "circuits": (circuits, 3500),
    "runs": (runs, 1000),
    "work": (work, 300),
    "tables": (tables, 1200),
    "saved datasets": (datasets, 300),
    "batch files": (batch_files, 400),
    "command lines": (command_lines, 1500),
}
"""How each kind is made, and how many of it there are in all."""
