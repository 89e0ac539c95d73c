"""What a discovery found, and how it is kept on disk."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
from jaxtyping import Float
from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from xxhash import xxh3_128_hexdigest

from circuits.ablation import Progress
from circuits.behaviour import Behaviour, Verdict
from circuits.circuit import Circuit
from circuits.components import Head, all_heads
from circuits.discovery.config import DiscoveryConfig
from circuits.evaluation import (
    Evaluation,
    EvaluationConfig,
    Evaluator,
    choose_scores,
    evaluate_circuit,
    held_out_pairs,
    sample_size,
)
from circuits.forward import TransformerBridge
from circuits.metrics import get_metric
from circuits.model import ModelIdentity, identify, load_model, tokenizer_of
from circuits.patching import EffectTable
from circuits.pruning import Pruning
from circuits.runtime.cost import Cost
from circuits.runtime.files import write_atomically
from circuits.search.verification import Verification
from circuits.tasks import PromptPairs, Task, get_task

CIRCUIT_FILE, RUN_FILE, TENSOR_FILE = "circuit.json", "run.json", "tensors.safetensors"
GRID_FILE, STUDY_FILE = "grid.json", "study.json"
SEARCH_FILES = (GRID_FILE, STUDY_FILE)
"""Whole searches, of which a run is the chosen circuit; `run.json` has their digests, too."""
_EFFECTS, _SCORES, _DIGESTS = "effects.", "scores.", "files"


@dataclass(frozen=True)
class Provenance:
    """Where a result came from: model, task, and the versions of what computed it.

    Attributes:
        model: Name, shape and weight hash.
        task: What `get_task` takes to give the task: its name, or where its rows are.
        versions: By package.
        task_digest: A hash of the task's rows, where they were read from somewhere.

    """

    model: ModelIdentity
    task: str
    versions: dict[str, str]
    task_digest: str | None = None


@dataclass(frozen=True)
class RunRecord:
    """The part of a discovery that `run.json` holds."""

    config: DiscoveryConfig
    provenance: Provenance
    behaviour: Behaviour
    performance: float
    prunings: dict[str, Pruning]
    cost: Cost
    verification: Verification | None = None
    verdict: Verdict | None = None


@dataclass(frozen=True, eq=False)
class Discovery:
    """A discovered circuit with everything that led to it.

    Attributes:
        circuit: Heads, and edges with their normalised effects.
        performance: Percent of the full model's metric that the circuit keeps under mean ablation;
            NaN where there was no circuit to search for.
        behaviour: How well the model does the task.
        prunings: By name ("flap", "contrastive-flap"): the pruned heads and the sparsity curve.
        scores: By name, the scores that each pruning ranked heads by.
        effects: Path effects, exact where verified; None for methods that only prune.
        cost: FLOPs, forward passes, seconds and peak memory by stage.
        config: Every setting.
        provenance: Model identity, task, versions.
        verification: What was verified, and a bound on the rest; None for other engines.
        verdict: Whether there was a circuit to search for, and why; None for runs of old.
        evaluator: The model on the discovery's prompts; not saved.
        task: What it was discovered on; not saved, but by name.

    """

    circuit: Circuit
    performance: float
    behaviour: Behaviour
    prunings: Mapping[str, Pruning]
    scores: Mapping[str, Float[Tensor, "layer head"]]
    effects: EffectTable | None
    cost: Cost
    config: DiscoveryConfig
    provenance: Provenance
    verification: Verification | None = None
    verdict: Verdict | None = None
    evaluator: Evaluator | None = field(default=None, repr=False)
    task: Task | None = field(default=None, repr=False)

    @property
    def refusal(self) -> str | None:
        """Why there was no circuit to search for; None where there was."""
        return self.verdict.reason if self.verdict and self.verdict.refuses else None

    @property
    def candidates(self) -> frozenset[Head]:
        """Heads that pruning left to the search: the union of all prunings, or every head."""
        merged = merged_candidates(self.prunings)
        sizes = self.circuit.n_layers, self.circuit.n_heads
        return frozenset(all_heads(*sizes)) if merged is None else merged

    @property
    def record(self) -> RunRecord:
        """Everything but the circuit and the tensors."""
        return RunRecord(
            self.config,
            self.provenance,
            self.behaviour,
            self.performance,
            dict(self.prunings),
            self.cost,
            self.verification,
            self.verdict,
        )

    def tensors(self) -> dict[str, Tensor]:
        """Scores and effects by the names they are saved under."""
        named = {f"{_SCORES}{name}": scores for name, scores in self.scores.items()}
        if self.effects is not None:
            named |= {f"{_EFFECTS}{name}": t for name, t in self.effects.tensors().items()}
        return named

    def __eq__(self, other: object) -> bool:
        """Equal circuits, records and tensors (NaN equals NaN)."""
        if not isinstance(other, Discovery):
            return NotImplemented
        mine, theirs = self.tensors(), other.tensors()
        unequal = self.performance != other.performance
        if unequal and not math.isnan(self.performance) & math.isnan(other.performance):
            return False
        return (
            self.circuit == other.circuit
            and self.record == replace(other.record, performance=self.performance)
            and mine.keys() == theirs.keys()
            and all(torch.equal(mine[k].nan_to_num(7e7), theirs[k].nan_to_num(7e7)) for k in mine)
        )

    __hash__ = None  # type: ignore[assignment]

    def evaluate(
        self,
        model: TransformerBridge | None = None,
        task: Task | None = None,
        config: EvaluationConfig | None = None,
        progress: Progress = lambda fraction: None,
    ) -> Evaluation:
        """Evaluate the circuit, on prompts that it was not discovered on unless told otherwise.

        Args:
            model: Needed for a loaded run whose model `load_model` cannot find by name.
            task: Needed for a loaded run of a task that is not registered.
            config: Which prompts, which curves, how wide the intervals.
            progress: Called with the fraction done.

        Raises:
            ValueError: The model's weights, or the rows of the task, are not those the circuit was
                discovered on, the run has no scores of the name asked for, there was no circuit to
                search for, or (TaskError) the task has too few other prompts.

        """
        if self.refusal:
            raise ValueError(f"there is no circuit to evaluate: {self.refusal}")
        config = config or EvaluationConfig()
        scores = choose_scores(self.effects, self.scores, config.score)
        task = task or self.task or get_task(self.provenance.task)
        self.check_task(task)
        own = self.evaluator
        if own is None or model is not None:
            bridge = self._load_model() if model is None else model
            self.check_model(bridge)
            own = Evaluator(
                bridge, *sample_pairs(bridge, task, self.config), get_metric(self.config.metric)
            )
        if config.prompts == "discovery":
            return evaluate_circuit(self.circuit, own, None, scores, config, progress)
        other = self._held_out(own, task, config)
        return evaluate_circuit(self.circuit, other, own, scores, config, progress)

    def check_model(self, bridge: TransformerBridge) -> None:
        """Raise ValueError unless a model has the weights that the circuit was discovered on."""
        found = identify(bridge)
        if found.weight_hash != self.provenance.model.weight_hash:
            raise ValueError(
                f"the circuit was discovered on {self.provenance.model.name} with weights "
                f"{self.provenance.model.weight_hash[:12]}, but {found.name} has "
                f"{found.weight_hash[:12]}; load the same model and pass it"
            )

    def check_task(self, task: Task) -> None:
        """Raise ValueError unless a task has the rows that the circuit was discovered on."""
        if task.digest != self.provenance.task_digest:
            raise ValueError(
                f"the circuit was discovered on {self.provenance.task}, and "
                f"{task.spec or task.name} has other rows than that had; give the same rows, or "
                "discover anew"
            )

    def _held_out(self, own: Evaluator, task: Task, config: EvaluationConfig) -> Evaluator:
        """The model on prompts that are none of the discovery's, with means over such."""
        seed = self.config.seed + 1 if config.seed is None else config.seed
        known = own.pairs.clean_text
        n = sample_size(task, config.n_prompts, self.config.n_mean_prompts, len(known))
        everything = held_out_pairs(task, tokenizer_of(own.model.bridge), n, seed, known)
        return Evaluator(own.model, everything[: config.n_prompts], everything, own.metric)

    def save(self, directory: str | Path, beside: Mapping[str, bytes] | None = None) -> None:
        """Write `circuit.json`, `run.json` and `tensors.safetensors`: all of them or none.

        Files of `SEARCH_FILES` can be given to be written with them; those of an earlier run go.
        """
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        tensors = {name: tensor.contiguous() for name, tensor in self.tensors().items()}
        content = {
            TENSOR_FILE: save(tensors),
            CIRCUIT_FILE: self.circuit.to_json().encode(),
            **(beside or {}),
        }
        record = TypeAdapter(RunRecord).dump_python(self.record, mode="json")
        record[_DIGESTS] = {name: xxh3_128_hexdigest(data) for name, data in content.items()}
        content[RUN_FILE] = json.dumps(record, indent=1).encode()
        write_atomically({directory / name: data for name, data in content.items()})
        for name in SEARCH_FILES:
            if name not in content:
                (directory / name).unlink(missing_ok=True)

    @classmethod
    def load(cls, directory: str | Path) -> Discovery:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: The directory holds no saved run.
            ValueError: A file is damaged, or does not belong to the others.

        """
        directory = Path(directory)
        files = (CIRCUIT_FILE, RUN_FILE, TENSOR_FILE)
        missing = [name for name in files if not (directory / name).is_file()]
        if missing:
            raise FileNotFoundError(
                f"{directory} is no saved run: it lacks {', '.join(missing)}; "
                "a run is a directory written by Discovery.save or `circuits discover --out`"
            )
        try:
            return cls._of({name: (directory / name).read_bytes() for name in files})
        except (ValidationError, SafetensorError, ValueError, TypeError) as error:
            raise ValueError(
                f"the saved run in {directory} is damaged: {_reason(error)}"
            ) from error

    @classmethod
    def _of(cls, files: dict[str, bytes]) -> Discovery:
        fields = json.loads(files[RUN_FILE])
        digests = fields.pop(_DIGESTS, None) if isinstance(fields, dict) else None
        if not isinstance(digests, dict):
            raise TypeError(f"{RUN_FILE} holds no record of a run")
        record = TypeAdapter(RunRecord).validate_python(fields)
        circuit = Circuit.from_json(files[CIRCUIT_FILE].decode())
        tensors = load(files[TENSOR_FILE])
        for name in (CIRCUIT_FILE, TENSOR_FILE):
            if xxh3_128_hexdigest(files[name]) != digests.get(name):
                raise ValueError(f"{name} is not the one that {RUN_FILE} was written with")
        effects = _named(tensors, _EFFECTS)
        return cls(
            circuit=circuit,
            performance=record.performance,
            behaviour=record.behaviour,
            prunings=record.prunings,
            scores=_named(tensors, _SCORES),
            effects=EffectTable(**effects) if effects else None,
            cost=record.cost,
            config=record.config,
            provenance=record.provenance,
            verification=record.verification,
            verdict=record.verdict,
        )

    def _load_model(self) -> TransformerBridge:
        return load_model(self.provenance.model.name, dtype=self.provenance.model.dtype)


def _named(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def _reason(error: Exception) -> str:
    """One line that says what is wrong and where."""
    if isinstance(error, json.JSONDecodeError):
        return f"{RUN_FILE} is no JSON: {error}"
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        return f"{RUN_FILE}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error).partition("\n")[0]


def merged_candidates(prunings: Mapping[str, Pruning]) -> frozenset[Head] | None:
    """The heads that any pruning keeps; None where nothing was pruned."""
    if not prunings:
        return None
    return frozenset().union(*(pruning.candidates for pruning in prunings.values()))


def sample_pairs(
    model: TransformerBridge, task: Task, config: DiscoveryConfig
) -> tuple[PromptPairs, PromptPairs]:
    """The prompts of a discovery, and the larger sample of the same task for mean outputs."""
    n = sample_size(task, config.n_prompts, config.n_mean_prompts)
    everything = task.sample(
        tokenizer_of(model), n=n, seed=config.seed, n_templates=config.n_templates
    )
    return everything[: config.n_prompts], everything
