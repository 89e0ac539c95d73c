"""An evaluation kept beside the run it is of."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from xxhash import xxh3_128_hexdigest

from circuits.circuit import Circuit
from circuits.components import parse_node
from circuits.errors import FormatError
from circuits.evaluation.config import EvaluationConfig
from circuits.evaluation.result import Evaluation
from circuits.fields import first_problem
from circuits.runtime.files import write_atomically
from circuits.runtime.reading import read_file

EVALUATION_FILE = "evaluation.json"
"""The file of a run's directory that keeps its evaluation."""


@dataclass(frozen=True)
class SavedEvaluation:
    """An evaluation as a run's directory keeps it, with its settings and a hash of the circuit.

    Attributes:
        circuit: A hash of the circuit, for a directory can get another one.
        config: Every setting.
        evaluation: The figures.

    >>> saved = SavedEvaluation.of(circuit, EvaluationConfig(prompts="discovery"), evaluation)
    >>> saved.save(directory).name
    'evaluation.json'
    >>> SavedEvaluation.load(directory) == saved
    True
    """

    circuit: str
    config: EvaluationConfig
    evaluation: Evaluation

    @classmethod
    def of(
        cls, circuit: Circuit, config: EvaluationConfig, evaluation: Evaluation
    ) -> SavedEvaluation:
        """What to keep of an evaluation."""
        return cls(_digest(circuit), config, evaluation)

    def is_of(self, circuit: Circuit) -> bool:
        """Whether it is this circuit that was evaluated."""
        return self.circuit == _digest(circuit)

    def save(self, directory: str | Path) -> Path:
        """Write `evaluation.json` into a run's directory, in place of an earlier one."""
        path = Path(directory) / EVALUATION_FILE
        data = {
            "circuit": self.circuit,
            "config": asdict(self.config),
            "evaluation": self.evaluation.to_dict(),
        }
        write_atomically({path: json.dumps(data, indent=1).encode()})
        return path

    @classmethod
    def load(cls, directory: str | Path) -> SavedEvaluation | None:
        """Read what `save` wrote; None where nothing is.

        Raises:
            FormatError: The file is damaged.

        """
        path = Path(directory) / EVALUATION_FILE
        if not path.exists():
            return None
        try:
            return _ADAPTER.validate_python(_parsed(read_file(path)))
        except ValidationError as error:
            raise FormatError(f"{path} is damaged: {first_problem(error)}") from error
        except (ValueError, TypeError, AttributeError, KeyError, RecursionError) as error:
            raise FormatError(f"{path} is damaged: {error}") from error


def _parsed(content: bytes) -> Any:
    """The JSON, names of nodes as nodes."""
    data = json.loads(content)
    figures = data["evaluation"]
    figures["minimality"] = {parse_node(k): cost for k, cost in figures["minimality"].items()}
    return data


def _digest(circuit: Circuit) -> str:
    return xxh3_128_hexdigest(circuit.to_json().encode())


_ADAPTER = TypeAdapter(SavedEvaluation)
