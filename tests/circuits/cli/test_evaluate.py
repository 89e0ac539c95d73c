"""`circuits evaluate` on a tiny model that speaks SmolLM2's vocabulary."""

import json
import re
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from transformers import LlamaForCausalLM

from circuits import Circuit, Discovery, EvaluationConfig
from circuits.behaviour import Verdict
from circuits.cli import terminal
from circuits.cli.main import COMMANDS
from circuits.errors import ModelError, plural
from circuits.evaluation import EVALUATION_FILE, Evaluation
from circuits.evaluation.config import ABLATIONS, PROMPTS, RANKINGS
from circuits.model import load_model, load_tokenizer
from tests.circuits.cli.command_line import circuits, error_of

QUICK = ("--n-prompts", "6", "--resamples", "50")


def printed(*arguments):
    return json.loads(circuits("evaluate", *arguments, "--json").stdout)


def test_every_figure_is_in_the_table(run, monkeypatch):
    monkeypatch.setattr(terminal.out, "width", 200)
    found, result = Discovery.load(run), circuits("evaluate", run, *QUICK)
    assert result.exit_code == 0
    shown = (
        "6 held-out prompts, seed 1, 95% intervals over prompts",
        "means over corrupted prompts",
        "heads give outputs on the corrupted prompt",
        "heads give zeros",
        "every path is corrupted",
        "completeness",
        "points against the discovery's prompts",
        "signed ranking by path-effects",
        "absolute ranking by path-effects",
        "CPR",
        "CMD",
    )
    text = " ".join(result.stdout.split())
    for part in shown:
        assert part in text
    costs = result.stdout.split("points lost")[1]
    for head in found.circuit.heads:
        assert re.search(rf"{head} +-?\d+\.\d\d +\[-?\d", costs), head


def test_json_is_what_python_gives(run, tiny):
    config = EvaluationConfig(n_prompts=6, n_resamples=50)
    expected = Discovery.load(run).evaluate(load_model(tiny), config=config).to_dict()
    got = printed(run, *QUICK)
    assert {got.pop(name) for name in ("task", "model", "metric")} == {
        "ioi",
        str(tiny),
        "logit_diff",
    }
    assert got == json.loads(json.dumps(expected))
    assert set(Evaluation.__dataclass_fields__) <= got.keys()


def test_on_the_prompts_of_the_discovery(run):
    got = printed(run, "--prompts", "discovery", "--resamples", "50")
    assert got["performance"]["value"] == pytest.approx(Discovery.load(run).performance)
    assert got["gap"] is None
    shown = circuits("evaluate", run, "--prompts", "discovery").stdout
    assert "4 prompts of the discovery" in " ".join(shown.split())


def test_options_reach_the_evaluation(run, monkeypatch):
    heard = []

    def refuse(self, model, task, config, *_):
        heard.append(config)
        raise ValueError("enough")

    monkeypatch.setattr(Discovery, "evaluate", refuse)
    options = {
        "--n-prompts": "9",
        "--seed": "5",
        "--ranking": "signed",
        "--score": "attribution",
        "--curve-ablation": "mean",
        "--confidence": "0.9",
        "--resamples": "77",
    }
    error_of("evaluate", run, *(part for option in options.items() for part in option), code=1)
    error_of("evaluate", run, code=1)
    assert heard == [
        EvaluationConfig(
            n_prompts=9,
            seed=5,
            rankings=("signed",),
            score="attribution",
            curve_ablation="mean",
            confidence=0.9,
            n_resamples=77,
        ),
        EvaluationConfig(),
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--confidence", "95"), "confidence must be above 0 and below 1, got 95"),
        (("--n-prompts", "1"), "n_prompts must be at least 2"),
        (
            ("--score", "magic"),
            "ranked by 'magic': this run has the scores path-effects, attribution",
        ),
    ],
)
def test_bad_input_is_refused_before_a_model_is_loaded(run, monkeypatch, arguments, message):
    monkeypatch.setattr("circuits.model.load_model", lambda *_, **__: pytest.fail("loaded a model"))
    assert message in error_of("evaluate", run, *arguments, code=2)


def test_a_run_without_a_circuit_says_why(run, tmp_path):
    """Such a run has no scores either, and those are not what matters."""
    refused = replace(
        Discovery.load(run),
        circuit=Circuit.of_heads([], 2, 4),
        effects=None,
        scores={},
        performance=float("nan"),
        verdict=Verdict("no circuit", "nothing shows"),
    )
    refused.save(tmp_path / "refused")
    error = error_of("evaluate", tmp_path / "refused", code=1)
    assert "has no circuit to evaluate: nothing shows" in error


def test_unknown_choices_name_the_known_ones(run):
    """In a process of its own: under our tests' type checks a wrong choice is a type error."""
    options = ("prompts", "ranking", "curve-ablation")
    program = (
        "from typer.testing import CliRunner; from circuits.cli import app\n"
        f"for option in {options}:\n"
        f"    given = ['evaluate', {str(run)!r}, f'--{{option}}', 'magic']\n"
        "    print(CliRunner().invoke(app, given).stderr, end='')\n"
    )
    finished = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    lines = [line for line in finished.stdout.splitlines() if line.startswith("error")]
    for option, known, line in zip(options, (PROMPTS, RANKINGS, ABLATIONS), lines, strict=True):
        name = option.replace("-", "_")
        assert line.startswith(f"error: unknown {name} 'magic'; known {plural(name)}: ")
        assert all(name in line for name in known)


def test_help_names_every_choice_and_default():
    helps = {param.name: param.help for param in COMMANDS["evaluate"].params}
    config = EvaluationConfig()
    for name in ("n_prompts", "prompts", "curve_ablation", "confidence", "n_resamples"):
        assert f"default {getattr(config, name)}." in helps[name], name
    assert all(name in helps["prompts"] for name in PROMPTS)
    assert all(name in helps["ranking"] for name in (*RANKINGS, "both"))
    assert all(name in helps["curve_ablation"] for name in ABLATIONS)


def test_evaluate_loads_the_model_as_the_run_had_it(run, tiny, monkeypatch):
    def no_loading(name, **options):
        raise ModelError(f"asked for {name} in {options['dtype']}")

    monkeypatch.setattr("circuits.model.load_model", no_loading)
    assert error_of("evaluate", run, code=1) == f"error: asked for {tiny} in float32"


def test_evaluate_refuses_other_weights(run, tmp_path, tiny):
    other = tmp_path / "other"
    model = LlamaForCausalLM.from_pretrained(tiny)
    with torch.no_grad():
        model.lm_head.weight += 1
    model.save_pretrained(other)
    load_tokenizer("smollm2-135m").save_pretrained(other)
    assert "with weights" in error_of("evaluate", run, "--model", other, code=1)


def test_an_evaluation_file_of_ones_own_stays(run):
    mine = run / EVALUATION_FILE
    mine.write_text("my own")
    result = circuits("evaluate", run, "--n-prompts", "4")
    mine_after = mine.read_text()
    mine.unlink()
    assert result.exit_code == 0
    assert "the evaluation could not be kept in" in result.stderr
    assert mine_after == "my own"
