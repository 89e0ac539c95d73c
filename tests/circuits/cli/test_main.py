"""The command line, on a tiny random model that speaks SmolLM2's vocabulary."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
import torch
from rich.text import Text
from safetensors.torch import load_file
from typer.testing import CliRunner

from circuits import Circuit, Discovery, DiscoveryConfig, PruningRule, SelectionRule
from circuits.cli import app, inputs, terminal
from circuits.cli.main import COMMANDS
from circuits.cli.progress import show_progress
from circuits.discovery.methods import method_names, pruning_names
from circuits.errors import InputError, ModelError
from circuits.metrics import METRICS
from circuits.model import DEFAULT_MODEL, list_models, load_tokenizer
from circuits.patching import ESTIMATORS
from circuits.pruning import CliffRule
from circuits.runtime.settings import in_words
from circuits.search import SEARCHES
from circuits.search.rules import Distance, RuleKind
from circuits.tasks import list_tasks
from circuits.tasks.ioi import IOI
from circuits.tasks.registry import TASKS
from tests.circuits.cli.command_line import FEW, circuits, error_of, start

GROUPS = ("tasks", "bench")


@pytest.fixture(autouse=True)
def empty_directory(tmp_path, monkeypatch):
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


def test_version_names_the_distribution_too():
    assert re.fullmatch(
        r"circuits \d\S* \(accelerated-path-patching\)", circuits("--version").stdout.strip()
    )


def test_the_help_of_every_command():
    assert all(command in circuits().stdout for command in COMMANDS)
    for command in COMMANDS:
        assert f"circuits {command}" in circuits(command, "--help").stdout.split("Examples")[1]


LIGHT = [
    "--version",
    "--help",
    *(f"{command} --help" for command in COMMANDS),
    "bench truth --help",
    "tasks",
    "tasks --json",
    "models",
    "references",
    "references ioi-gpt2 --json",
    "discoverr",
    "discover oii",
    "discover ioi --engine swep",
    "discover ioi --thresold 2",
    "discover ioi --model smolm2-135m",
    "tasks docstrin",
    "seeds ioi --against path-patchin",
]


def test_what_needs_no_model_is_light():
    """One process: what the first of them had imported would be there for the others."""
    program = (
        "import io, sys, time\n"
        "from contextlib import redirect_stderr, redirect_stdout\n"
        "from circuits.cli import app\n"
        "heavy = {'torch', 'transformers', 'transformer_lens', 'optuna', 'datasets', 'networkx'}\n"
        "for line in sys.argv[1:]:\n"
        "    with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):\n"
        "        try: app(line.split())\n"
        "        except SystemExit as done: assert done.code in (None, 0, 1, 2), line\n"
        "    assert not heavy & set(sys.modules), (line, heavy & set(sys.modules))\n"
        "assert time.process_time() < 10\n"
    )
    subprocess.run([sys.executable, "-c", program, *LIGHT], check=True)


def test_as_a_module_it_is_the_same():
    shown = subprocess.run(
        [sys.executable, "-m", "circuits", "--version"], capture_output=True, text=True
    )
    assert shown.stdout == circuits("--version").stdout


def test_as_a_module_it_runs_nothing_of_the_working_directory(empty_directory, monkeypatch):
    for name in ("typer", "rich", "torch", "pip", "tasks"):
        (empty_directory / f"{name}.py").write_text("raise SystemExit('ran')")
    monkeypatch.setenv("PYTHONPATH", str(Path(inputs.__file__).parents[2]))
    command = [sys.executable, "-m", "circuits", "--version"]
    shown = subprocess.run(command, capture_output=True, text=True)
    assert shown.stdout == circuits("--version").stdout, shown.stderr


def test_quiet_shows_results_and_errors_alone(tiny):
    result = circuits("discover", "ioi", "--quiet", "--model", tiny, *FEW)
    assert result.exit_code == 0
    assert result.stderr == ""
    assert "Heads by layer" in result.stdout
    assert error_of("-q", "discover", "oii", code=2)


def every_command():
    for command in COMMANDS.values():
        yield from getattr(command, "commands", {"": command}).values()


def test_no_help_loses_words_to_markup():
    for command in every_command():
        for text in (command.help, *(getattr(one, "help", None) for one in command.params)):
            words = str(text).replace("[dim]", "").replace("[/dim]", "")
            assert Text.from_markup(words).plain == words, command.name


def test_outputs_are_spelt_alike_and_old_names_still_do(run, tmp_path):
    for number, option in enumerate(("--out", "-o", "--output")):
        file = tmp_path / f"{number}.dot"
        assert circuits("export", run, option, file).exit_code == 0
        assert file.is_file()
    with_files = {name: command for name, command in COMMANDS.items() if name not in GROUPS}
    for command in with_files.values():
        for param in command.params:
            assert "--output" not in param.opts
            assert ("--out" in param.opts) == ("-o" in param.opts)


def test_completion_can_be_installed():
    assert "--install-completion" in circuits("--help").stdout


def test_help_names_every_choice_and_default():
    helps = {param.name: param.help for param in COMMANDS["discover"].params}
    settings = [DiscoveryConfig(), SelectionRule(), PruningRule()]
    defaults = {name: value for one in settings for name, value in vars(one).items()}
    assert defaults["memory_bytes"] is None
    defaults |= {"memory_bytes": "a safe share", "model": DEFAULT_MODEL, "dtype": "float32"}
    defaults |= {"n_templates": "all", "divergence_threshold": "several"}
    defaults |= {"cliff": "share for attribution, first for the others"}
    flags = {name for name, value in defaults.items() if isinstance(value, bool)}
    for name in helps.keys() & defaults.keys() - flags:
        assert f"default {in_words(defaults[name])}" in helps[name]
    choices = {"method": method_names(), "engine": ESTIMATORS.names(), "metric": METRICS.names()}
    choices |= {"distance": get_args(Distance), "cliff": get_args(CliffRule)}
    choices |= {"kind": get_args(RuleKind), "search": SEARCHES.names()}
    choices |= {"prune_by": pruning_names()}
    for name, known in choices.items():
        assert all(choice in helps[name] for choice in known)


def test_options_reach_the_settings():
    options = {"n_prompts": 3, "threshold": 1.5, "full_curve": True, "memory_bytes": "2MB"}
    options |= {"verify": False, "n_sampled_paths": 5, "ignore_behaviour": True}
    options |= {"kind": "significance", "false_discovery_rate": 0.1, "method": "app"}
    config = inputs.discovery_config({**options, "alpha": None, "task": "ioi"})
    assert config.n_prompts == 3
    assert config.ignore_behaviour
    rule = SelectionRule(threshold=1.5, kind="significance", false_discovery_rate=0.1)
    assert config.selection == rule
    assert config.pruning == PruningRule(full_curve=True)
    assert config.memory_bytes == 2_000_000
    assert inputs.discovery_config({"full_curve": None}).pruning is None
    by_share = inputs.discovery_config({"score_share": 0.8, "keep": "none"})
    assert (by_share.method, by_share.keep) == ("app", None)
    assert by_share.pruning == PruningRule("share", score_share=0.8)
    assert not config.verify
    assert config.n_sampled_paths == 5


def test_discover_prints_everything_and_writes_nothing(tiny, empty_directory):
    result = circuits("discover", "ioi", "--model", tiny, *FEW)
    assert result.exit_code == 0
    parts = ("Circuit", "sparsity", "chosen", "Sizes", "Verification", "Heads by layer", "peak mem")
    for part in parts:
        assert part in result.stdout
    assert "Not saved; --out DIRECTORY keeps a run, for example --out runs/ioi" in result.stdout
    assert list(empty_directory.iterdir()) == []


def test_progress_and_one_line_warnings_go_to_stderr(tiny):
    result = circuits("discover", "ioi", "--model", tiny, *FEW, "--json")
    assert json.loads(result.stdout)["saved_to"] is None
    warnings = [line for line in result.stderr.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert "a circuit for ioi on this model means little" in warnings[0]
    assert "Patching paths …" in result.stderr
    assert ".py" not in result.stderr


@pytest.mark.parametrize("command", ["discover", "grid", "study"])
def test_no_circuit_is_said_in_words_and_in_json(tiny, command, tmp_path):
    """A random model does no task; seed 0 draws prompts on which that shows."""
    search = (command, "ioi", "--model", tiny, "--n-prompts", "8", "--n-mean-prompts", "8")
    result = circuits(*search)
    assert result.exit_code == 0
    assert "no circuit: 8 prompts do not show" in " ".join(result.stdout.split())
    assert "Heads by layer" not in result.stdout
    assert "warning" not in result.stderr
    printed = json.loads(circuits(*search, "--json", "--out", tmp_path / "run").stdout)
    found = printed if command == "discover" else printed["found"]
    assert found["verdict"]["kind"] == "no circuit"
    assert found["circuit"]["heads"] == []
    assert found["performance"] is None
    assert Discovery.load(tmp_path / "run").verdict.refuses


def test_behaviour_can_be_ignored_and_too_few_prompts_are_said_to_be(tiny):
    few = circuits("discover", "ioi", "--model", tiny, *FEW)
    assert "4 prompts cannot show that the model does" in " ".join(few.stdout.split())
    options = ("--n-prompts", "8", "--n-mean-prompts", "8", "--ignore-behaviour")
    ignored = circuits("discover", "ioi", "--model", tiny, *options)
    assert "8 prompts do not show" in " ".join(ignored.stdout.split())
    assert "Heads by layer" in ignored.stdout
    assert "means little" in ignored.stderr


def test_a_rule_that_tests_significance(tiny):
    search = ("discover", "ioi", "--model", tiny, "--rule", "significance", "--ignore-behaviour")
    options = ("--n-prompts", "9", "--n-mean-prompts", "9", "--method", "path-patching")
    printed = json.loads(circuits(*search, *options, "--json").stdout)
    assert printed["config"]["selection"]["kind"] == "significance"
    refused = circuits(*search, *FEW, "--method", "path-patching")
    assert refused.exit_code == 1
    assert "give at least 9 prompts" in refused.stderr.splitlines()[-1]


def test_json_of_a_discovery_is_what_was_saved(tiny, tmp_path):
    directory = tmp_path / "new" / "run"
    result = circuits("discover", "induction", "--model", tiny, *FEW, "--json", "--out", directory)
    printed, found = json.loads(result.stdout), Discovery.load(directory)
    assert Circuit.from_dict(printed["circuit"]) == found.circuit
    assert printed["saved_to"] == str(directory)
    assert printed["performance"] == found.performance
    assert printed["cost"]["flops"] == found.cost.flops
    assert len(printed["candidates"]) == len(found.candidates)


@pytest.mark.parametrize("method", method_names()[1:])
def test_every_method_has_a_table(tiny, method):
    result = circuits("discover", "ioi", "--model", tiny, *FEW, "--method", method)
    assert result.exit_code == 0
    assert ("nothing pruned" in result.stdout) == (method == "path-patching")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("oii",), "did you mean 'ioi'?"),
        (("ioi", "--metric", "magic"), "unknown metric 'magic'"),
        (("ioi", "--threshold", "-1"), "threshold must be above 0"),
        (("ioi", "--n-prompts", "0"), "n_prompts must be at least 1"),
        (("ioi", "--n-prompts", "many"), "'--n-prompts'"),
        (("ioi", "--false-discovery-rate", "5"), "above 0 and below 1, got 5.0"),
        (("ioi", "--sampled-paths", "-1"), "n_sampled_paths must be at least 0"),
        (("ioi", "--threads", "0"), "'--threads'"),
        (("ioi", "--threads", str(2**63 - 1)), "'--threads'"),
        (("ioi", "--seed", "-1"), "seed must be at least 0 and at most 4294967295, got -1"),
        (("ioi", "--seed", str(2**64)), "seed must be at least 0 and at most 4294967295"),
        (("ioi", "--out", "\udcff"), r"every argument must be UTF-8, and '\udcff' is not"),
        (("ioi", "--out", "a" * 300), "cannot be written to (File name too long)"),
        (("ioi", "--memory-budget", "lots"), "512MB"),
        (("ioi", "--unknown"), "no such option: --unknown"),
        ((), "missing argument 'TASK'"),
    ],
)
def test_bad_input_is_refused_before_a_model_is_loaded(no_model, arguments, message):
    assert message in error_of("discover", *arguments, code=2)


def test_unknown_choices_name_the_known_ones():
    """In a process of its own: under our tests' type checks a wrong choice is a type error."""
    options = ("method", "engine", "cliff", "distance", "contrast", "rule")
    program = (
        "from typer.testing import CliRunner; from circuits.cli import app\n"
        f"for option in {options}:\n"
        "    result = CliRunner().invoke(app, ['discover', 'ioi', f'--{option}', 'magic'])\n"
        "    print(result.exit_code, result.stderr, end='')\n"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    for option, line in zip(options, finished.stdout.splitlines(), strict=True):
        assert re.match(f"2 error: .*{'kind' if option == 'rule' else option} .*'magic'", line)


def test_bad_input_of_the_other_commands(no_model):
    assert "did you mean 'docstring'?" in error_of("tasks", "docstrin", code=2)
    assert "at least 1" in error_of("tasks", "ioi", "--n-prompts", "0", code=2)
    assert "unknown metric" in error_of("tasks", "ioi", "--metric", "magic", code=2)
    assert "no such command 'discoverr'" in error_of("discoverr", code=2)
    assert "missing argument" in error_of("compare", "a", code=2)


def test_model_options_that_cannot_be():
    assert "dtype must be one of" in error_of("discover", "ioi", "--dtype", "int3", code=2)
    assert "device nowhere" in error_of("discover", "ioi", "--device", "nowhere", code=2)
    assert "there is no directory" in error_of("discover", "ioi", "--model", "./none", code=1)


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (("study", "ioi", "--seed", "-1"), "seed must be at least 0"),
        (
            ("study", "ioi", "--trials", str(10**18)),
            "n_trials must be at least 1 and at most",
        ),
        (("seeds", "ioi", "--seeds", str(10**18)), "seeds must be at most 10000"),
        (("seeds", "ioi", "--seed", str(2**32 - 1)), "seed must be at least 0 and at most 42949"),
        (("grid", "ioi", "--seed", "-1"), "seed must be at least 0"),
        (("evaluate", "{run}", "--seed", "-1"), "seed must be at least 0"),
        (("roles", "{run}", "--seed", "-1"), "'--seed'"),
        (("tasks", "ioi", "--seed", "-1"), "'--seed'"),
        (("tasks", "export", "ioi", "--out", "x.csv", "--seed", "-1"), "'--seed'"),
        (("bench", "truth", "--out", "x", "--threads", str(10**9)), "'--threads'"),
        (("tasks", "export", "ioi", "--out", "a" * 240 + ".csv"), "cannot be written (File name"),
        (("tasks", "export", "ioi", "--out", "/proc/none.csv"), "cannot be written ("),
        (("export", "{run}", "--out", "\udcff.dot"), "every argument must be UTF-8"),
    ],
)
def test_what_cannot_be_is_refused_at_the_door_of_every_command(
    no_model, run, empty_directory, command, message
):
    assert message in error_of(*(str(word).format(run=run) for word in command), code=2)
    assert not list(empty_directory.iterdir())


def test_output_directory_is_checked_before_a_model_is_loaded(no_model, tmp_path):
    (tmp_path / "file").write_text("mine")
    refused = error_of("discover", "ioi", "--out", tmp_path / "file", code=2)
    assert "is a file" in refused
    assert "cannot be written" in error_of("discover", "ioi", "--out", tmp_path / "file/x", code=2)
    assert "cannot be written" in error_of("discover", "ioi", "--out", "/proc/none/x", code=2)
    assert (tmp_path / "file").read_text() == "mine"


def fail_to_save(self, directory, **_):
    raise OSError(28, "No space left on device")


def test_a_failed_save_does_not_lose_the_result(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(Discovery, "save", fail_to_save)
    command = ("discover", "ioi", "--model", tiny, *FEW, "--out", tmp_path / "new" / "run")
    result = circuits(*command)
    assert result.exit_code == 1
    assert f"the disk of {tmp_path / 'new' / 'run'} is full: free some space" in result.stderr
    assert "Heads by layer" in result.stdout
    assert Circuit.from_json(result.stdout[result.stdout.index("{\n") :]).n_layers == 2
    assert [path.name for path in (tmp_path / "new" / "run").iterdir()] == ["work"]
    assert json.loads(circuits(*command, "--json").stdout)["circuit"]["n_layers"] == 2


def test_failure_and_interruption_leave_no_directory(no_model, tmp_path, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(inputs.ModelSource, "load", interrupt)
    result = circuits("discover", "ioi", "--out", tmp_path / "new" / "run")
    assert result.exit_code == 130
    assert result.stderr.splitlines()[-1] == "interrupted"
    assert not (tmp_path / "new").exists()


def test_an_interrupt_while_saving_waits(tiny, tmp_path, monkeypatch):
    save = Discovery.save

    def interrupted_save(self, directory, **given):
        signal.raise_signal(signal.SIGINT)
        save(self, directory, **given)

    monkeypatch.setattr(Discovery, "save", interrupted_save)
    result = circuits("discover", "ioi", "--model", tiny, *FEW, "--out", tmp_path / "run")
    assert result.exit_code == 130
    assert Discovery.load(tmp_path / "run").circuit.n_layers == 2


def status_when_interrupted(child: int) -> int:
    """How it ends by Ctrl-C, pressed again where Python swallowed it in a callback of C."""
    ended, status = 0, 0
    while not ended:
        os.kill(child, signal.SIGINT)
        patience = time.monotonic() + 5
        while not ended and time.monotonic() < patience:
            time.sleep(0.05)
            ended, status = os.waitpid(child, os.WNOHANG)
    return status


def test_ctrl_c_in_a_real_process(tiny, tmp_path):
    many = ("--n-prompts", "200", "--n-mean-prompts", "400", "--engine", "reference")
    options = ("--model", tiny, *many, "--out", tmp_path / "run")
    stdout, stderr = (tmp_path / name for name in ("stdout", "stderr"))

    def interrupted():
        # A shell's background jobs, and their children, ignore SIGINT.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        with (
            stdout.open("w", buffering=1) as results,
            stderr.open("w", buffering=1) as file,
            redirect_stdout(results),
            redirect_stderr(file),
        ):
            app([str(word) for word in ("discover", "ioi", *options)])

    child = start(interrupted)
    while "Testing the model" not in (stderr.read_text() if stderr.exists() else ""):
        time.sleep(0.05)
    assert os.waitstatus_to_exitcode(status_when_interrupted(child)) == 130
    assert stderr.read_text().splitlines()[-1] == "interrupted"
    assert "Traceback" not in stderr.read_text()
    assert stdout.read_text() == ""
    assert not (tmp_path / "run").exists()


def test_defects_ask_for_a_report_and_show_a_traceback_on_request(monkeypatch):
    def defect(*_):
        raise KeyError("mistake")

    monkeypatch.setattr("circuits.cli.commands.models.list_models", defect)
    assert "`circuits --debug models`" in error_of("models", code=1)
    assert "KeyError" in error_of("models", code=1)
    assert "Traceback" in CliRunner().invoke(app, ["--debug", "models"]).stderr


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ModelError("no such model.\nsecond line"), "error: no such model"),
        (torch.OutOfMemoryError("CUDA"), "error: there is too little memory: give less to do"),
        (RuntimeError("[enforce fail] can't allocate memory: 9"), "error: there is too little m"),
        (OSError(28, "No space left on device", "/x"), "error: the disk of /x is full: free some"),
        (PermissionError(13, "Permission denied", "/x"), "error: /x: Permission denied"),
        (InputError("wrong"), "error: wrong"),
        (ValueError("zip() argument 2"), "error: unexpected ValueError (zip() argument 2); this"),
    ],
)
def test_expected_errors_are_one_sentence(monkeypatch, error, message):
    def fail(*_):
        raise error

    monkeypatch.setattr("circuits.cli.commands.models.list_models", fail)
    assert error_of("models", code=1).startswith(message)


def test_tasks_are_listed_with_examples():
    result = circuits("tasks")
    assert all(name in result.stdout for name in list_tasks())
    assert "(91 answers)" in result.stdout
    listed = json.loads(circuits("tasks", "--json").stdout)
    assert [task["name"] for task in listed] == list(list_tasks())
    assert listed[0]["example"]["clean"]


def test_a_task_without_a_source_is_listed_without_one():
    class Bare(IOI):
        name, source, n_variants = "bare", "", 1

    with TASKS.with_entry(Bare):
        after = circuits("tasks").stdout.partition("bare  ")[2].splitlines()
    assert after[1].strip() == "1 variant"


def test_tasks_tries_a_model(tiny):
    result = circuits("tasks", "docstring", "--model", tiny, "--n-prompts", "8")
    assert "logit_diff, corrupted" in result.stdout
    assert result.stdout.count("✓") + result.stdout.count("✗") == 4
    assert "warning: a circuit for docstring on" in result.stderr
    printed = circuits("tasks", "ioi", "--model", tiny, "--n-prompts", "8", "--json").stdout
    assert json.loads(printed)["n_prompts"] == 8


def test_exporting_a_task_says_what_it_waits_for(tiny, tmp_path, monkeypatch):
    """On an empty cache it fetched and converted a model without a word."""

    def load(name, progress):
        progress("downloading the weights")
        return load_tokenizer(tiny)

    monkeypatch.setattr("circuits.model.load_tokenizer", load)
    result = circuits("tasks", "export", "ioi", "--out", tmp_path / "ioi.jsonl")
    assert result.exit_code == 0
    assert "downloading the weights …" in result.stderr.splitlines()


def test_models_are_listed_with_their_source():
    shown = circuits("models").stdout
    assert all(entry.name in shown for entry in list_models())
    assert "Gemma 3" in shown
    assert json.loads(circuits("models", "--json").stdout)[0]["needs_hub"] is False


def test_missing_and_damaged_runs(run, tmp_path):
    assert "is no saved run" in error_of("evaluate", tmp_path / "none", code=1)
    assert "is no saved run" in error_of("compare", tmp_path, run, code=1)
    damaged = tmp_path / "damaged"
    Discovery.load(run).save(damaged)
    (damaged / "run.json").write_text('{"config": 1}')
    assert "is damaged" in error_of("evaluate", damaged, code=1)
    (damaged / "run.json").write_bytes(b"\xff\xfe")
    assert "is damaged" in error_of("compare", damaged, run, code=1)


def test_a_run_of_unbounded_size_or_with_a_pipe_for_a_task_is_refused_at_once(
    run, tmp_path, no_model
):
    strange = tmp_path / "strange"
    Discovery.load(run).save(strange)
    fields = json.loads((strange / "run.json").read_text())
    pipe = tmp_path / "task.jsonl"
    os.mkfifo(pipe)
    assert "is no regular file" in error_of("tasks", pipe, code=2)
    many = {**fields, "config": {**fields["config"], "n_prompts": 10**8}}
    (strange / "run.json").write_text(json.dumps(many))
    assert "n_prompts must be at least 1" in error_of("evaluate", strange, code=1)
    fields["provenance"]["model"]["n_layers"] = True
    (strange / "run.json").write_text(json.dumps(fields))
    assert "n_layers: Input should be a valid integer" in error_of("evaluate", strange, code=1)
    (strange / "run.json").write_text("[" * 10**5)
    assert "is damaged" in error_of("evaluate", strange, code=1)


def test_a_run_whose_task_is_a_pipe_is_not_waited_for(run, tiny, tmp_path):
    strange, pipe = tmp_path / "strange", tmp_path / "task.jsonl"
    os.mkfifo(pipe)
    found = Discovery.load(run)
    replace(found, provenance=replace(found.provenance, task=str(pipe))).save(strange)
    refused = error_of("evaluate", strange, "--model", tiny, code=1)
    assert f"{pipe} is no regular file" in refused


def test_a_circuit_of_an_endless_model_is_refused_at_once(tmp_path):
    file = tmp_path / "circuit.json"
    file.write_text('{"n_layers": 1000000000, "n_heads": 12, "heads": []}')
    assert "100000 heads in all are allowed" in error_of("compare", file, file, code=1)
    os.mkfifo(tmp_path / "pipe")
    assert "is no regular file" in error_of("import", tmp_path / "pipe", code=1)
    file.write_text(Circuit.of_heads([], 2, 4).to_json())
    assert "is no saved run" in error_of("compare", tmp_path / "pipe", file, code=1)


def test_compare_with_itself_and_with_json(run, tmp_path):
    circuit = Discovery.load(run).circuit
    printed = json.loads(circuits("compare", run, run, "--json").stdout)
    assert printed["true_positives"] == [str(head) for head in sorted(circuit.heads)]
    file = tmp_path / "circuit.json"
    file.write_text(Circuit.of_heads(["0.0", "1.1"], 2, 4).to_json())
    result = circuits("compare", run, file)
    assert result.exit_code == 0
    assert "only in the reference (false negatives)" in result.stdout
    overlap = circuit.compare(Circuit.from_json(file.read_text()))
    assert f"{overlap.recall:.3f}" in result.stdout


def test_compare_writes_what_has_no_value_as_null(tmp_path):
    file = tmp_path / "empty.json"
    file.write_text(Circuit.of_heads([], 2, 4).to_json())
    assert json.loads(circuits("compare", file, file, "--json").stdout)["precision"] is None


def test_compare_refuses_what_is_no_circuit(run, tmp_path):
    file = tmp_path / "circuit.json"
    file.write_text("[]")
    assert f"{file} holds no circuit" in error_of("compare", run, file, code=1)
    file.write_text(Circuit.of_heads([], 5, 4).to_json())
    assert "belong to different models" in error_of("compare", run, file, code=1)


def test_bars_in_a_terminal(tiny, monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(terminal.err, "_force_terminal", True)
    monkeypatch.setattr(terminal.err, "is_interactive", True)
    result = circuits("discover", "ioi", "--model", tiny, *FEW)
    assert result.exit_code == 0
    assert "Patching paths" in result.stderr
    assert "warning:" in result.stderr


def test_the_time_left_is_foreseen_from_one_report(monkeypatch):
    now = 0.0
    monkeypatch.setattr(terminal.err, "is_interactive", True)
    with show_progress(("patching",)) as shown:
        bars = shown.hears.__self__.bars
        task = bars.tasks[0]
        bars.get_time = task._get_time = lambda: now
        column = bars.columns[-1]
        assert str(column.render(task)) == "waiting"
        part = shown.stage("patching")
        assert str(column.render(task)) == "-:--:-- left"
        now = 30.0
        part(0.25)
        assert str(column.render(task)) == "0:01:30 left"
        now = 60.0
        assert str(column.render(task)) == "0:01:00 left"
        part(1.0)
        assert str(column.render(task)) == "done"


def test_saved_tensors_are_readable_by_safetensors(run):
    assert load_file(run / "tensors.safetensors")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("discover", "ioi", "--out", ""), "--out was given nothing"),
        (("discover", "ioi", "-o", ""), "-o was given nothing"),
        (("discover", "ioi", "--out="), "--out was given nothing"),
        (("discover", "ioi", "--model", ""), "--model was given nothing"),
        (("evaluate", ""), "one is empty"),
        (("tasks", ""), "one is empty"),
    ],
)
def test_nothing_is_no_name(no_model, empty_directory, arguments, named):
    """Most that reads paths takes an empty one for the working directory."""
    (empty_directory / "config.json").write_text("{}")
    assert named in error_of(*arguments, code=2)
    assert [path.name for path in empty_directory.iterdir()] == ["config.json"]
