"""Small models whose circuits are known by construction, and where they are kept."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import TypeAdapter
from safetensors.torch import load, save
from torch import Tensor
from xxhash import xxh3_128_hexdigest

from circuits.circuit import Circuit
from circuits.components import Connection, Head
from circuits.errors import UnknownNameError, unknown_name
from circuits.fields import ConnectionSet, HeadSet
from circuits.forward import TransformerBridge
from circuits.model.native import NativeShape, native_model
from circuits.runtime.files import write_atomically
from circuits.truth.small_tasks import SmallTask, small_task

DATA = Path(__file__).parent / "data"
Kind = Literal["hand-wired", "siit", "compiled"]


@dataclass(frozen=True)
class Interchange:
    """Interchange-intervention accuracy of a trained model (Geiger et al. 2022, arXiv 2112.00826).

    Each figure is the share of random pairs of prompts on which model and causal model agree:
    every right answer is likelier than every other token.

    Attributes:
        behaviour: Without any intervention.
        variables: For each variable of the causal model, with its head's output from another
            prompt.
        single: With the output of one component outside the circuit from another prompt; the
            component with the lowest share.
        joint: With the outputs of all components outside the circuit from another prompt.
        n_prompts: Pairs of prompts drawn.
        seed: Seed of the draw.

    >>> truth_record("siit-induction").interchange.lowest > 0.9
    True
    """

    behaviour: float
    variables: dict[str, float]
    single: float
    joint: float
    n_prompts: int
    seed: int

    @property
    def lowest(self) -> float:
        """The lowest of all figures."""
        return min(self.behaviour, self.single, self.joint, *self.variables.values())


@dataclass(frozen=True)
class TruthRecord:
    """All that is known of a model, but for its weights.

    Attributes:
        name: What the model is known by.
        kind: How the circuit came about: written by hand, trained for, or compiled.
        task: Name of its small task.
        shape: Sizes of the model.
        heads: The heads of the circuit.
        connections: The paths of the circuit; None where the construction does not fix them.
        made_by: The command that makes the model.
        source: Publication that the construction follows.
        mlps: Layers whose MLPs were free to take part; those of a trained model's other layers must
            not matter. Nothing is said of them where nothing was trained.
        interchange: Measured on the shipped weights; None where nothing was trained.

    >>> record = truth_record("hand-induction")
    >>> record.kind, record.shape.n_layers, sorted(map(str, record.connections))
    ('hand-wired', 2, ['0.6 -> 1.6.k', '1.6 -> logits'])
    """

    name: str
    kind: Kind
    task: str
    shape: NativeShape
    heads: HeadSet
    connections: ConnectionSet | None
    made_by: str
    source: str
    mlps: tuple[int, ...] = ()
    interchange: Interchange | None = None


@dataclass(frozen=True, eq=False)
class GroundTruth:
    """A model with its task and its true circuit.

    Attributes:
        model: The model.
        task: The task that the circuit carries out, in the model's own words.
        record: The true heads, the true paths where they are known, and where all that is from.
        weights: By the names of the model's parameters.

    >>> truth = load_truth("hand-induction")
    >>> truth.task.name, sorted(map(str, truth.heads))
    ('small-induction', ['0.6', '1.6'])
    """

    model: TransformerBridge
    task: SmallTask
    record: TruthRecord
    weights: Mapping[str, Tensor]

    @property
    def name(self) -> str:
        """What the model is known by."""
        return self.record.name

    @property
    def heads(self) -> frozenset[Head]:
        """The true heads."""
        return self.record.heads

    @property
    def connections(self) -> frozenset[Connection] | None:
        """The true paths; None where the construction does not fix them."""
        return self.record.connections

    @property
    def circuit(self) -> Circuit:
        """The true heads as a circuit, for `Circuit.compare`."""
        shape = self.record.shape
        return Circuit(self.heads, frozenset(), shape.n_layers, shape.n_heads)


_RECORD: TypeAdapter[TruthRecord] = TypeAdapter(TruthRecord)


def list_truths(directory: Path = DATA) -> tuple[str, ...]:
    """The names of all models whose circuits are known, in alphabetical order.

    >>> [name for name in list_truths() if name.startswith("hand")]
    ['hand-induction', 'hand-induction-deep', 'hand-ioi']
    """
    return tuple(sorted(path.stem for path in directory.glob("*.json")))


def load_truth(name: str, directory: Path = DATA) -> GroundTruth:
    """Load a model whose circuit is known, with its task and that circuit.

    Raises:
        UnknownNameError: There is none of that name.

    >>> truth = load_truth("hand-ioi")
    >>> truth.task.name, sorted(map(str, truth.circuit.heads))
    ('small-ioi', ['0.6', '1.6', '2.0'])
    """
    record = truth_record(name, directory)
    task = small_task(record.task)
    weights = load((directory / f"{name}.safetensors").read_bytes())
    model = native_model(record.shape, weights, task.words, name)
    return GroundTruth(model, task, record, weights)


def truth_record(name: str, directory: Path = DATA) -> TruthRecord:
    """What is known of a model, without loading it.

    Raises:
        UnknownNameError: There is none of that name.

    >>> record = truth_record("siit-ioi")
    >>> record.kind, record.task, record.shape.n_layers, record.shape.n_heads
    ('siit', 'short-ioi', 2, 4)
    """
    known = list_truths(directory)
    if name not in known:
        raise UnknownNameError(unknown_name("model with a known circuit", name, known))
    return _RECORD.validate_json((directory / f"{name}.json").read_bytes())


def truth_digest(name: str, directory: Path = DATA) -> str:
    """A hash of record and weights: rows of a benchmark belong to what was measured."""
    files = (directory / f"{name}.{kind}" for kind in ("json", "safetensors"))
    return xxh3_128_hexdigest(b"".join(path.read_bytes() for path in files))


def save_truth(
    record: TruthRecord, weights: dict[str, Tensor], directory: Path = DATA
) -> tuple[Path, Path]:
    """Write a record and the weights; both or none.

    Args:
        record: Its name becomes the name of both files.
        weights: By the names of the model's parameters.
        directory: Where `load_truth` is to find them; created.

    Returns:
        The paths of the record and of the weights.

    >>> weights = load((DATA / "hand-induction.safetensors").read_bytes())
    >>> paths = save_truth(truth_record("hand-induction"), weights, directory / "mine")
    >>> [path.name for path in paths]
    ['hand-induction.json', 'hand-induction.safetensors']
    """
    directory.mkdir(parents=True, exist_ok=True)
    text = json.dumps(_RECORD.dump_python(record, mode="json"), indent=1) + "\n"
    paths = directory / f"{record.name}.json", directory / f"{record.name}.safetensors"
    tensors = {name: tensor.contiguous() for name, tensor in weights.items()}
    write_atomically({paths[0]: text.encode(), paths[1]: save(tensors)})
    return paths
