"""Float64 is asked of no device that has none; a simulated one refuses it, as Apple's MPS does."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from circuits import EvaluationConfig, discover_circuit
from circuits.errors import ModelOptionError
from circuits.model import load_model, placement
from circuits.runtime import precision
from circuits.runtime.precision import has_float64, in_float64
from circuits.tasks import PromptPairs
from tests.circuits.conftest import toy_discovery

EDGES = {"mlps": "nodes", "n_prompts": 2}
SEEN: Counter[str] = Counter()


class OnMps(Tensor):
    """A tensor that refuses float64 and numpy until it is on the CPU; so does what it goes into."""

    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        name, given = func.__name__, (*args[1:], *(kwargs or {}).values())
        SEEN[name] += 1
        if name in ("double", "numpy") or torch.float64 in given:
            raise TypeError(f"{name}: the MPS framework does not support float64")
        if name == "cpu":
            return args[0].as_subclass(Tensor)
        return super().__torch_function__(func, types, args, kwargs)


@pytest.fixture
def on_mps(monkeypatch):
    """Prompts that are moved to a model's device are on one without float64."""
    moved = PromptPairs.to

    def to(self, device):
        pairs = moved(self, device)
        tensors = {
            name: tensor.as_subclass(OnMps)
            for name, tensor in vars(pairs).items()
            if isinstance(tensor, Tensor)
        }
        return replace(pairs, **tensors)

    monkeypatch.setattr(PromptPairs, "to", to)
    monkeypatch.setattr(precision, "has_float64", lambda device: False)
    SEEN.clear()


def test_the_simulation_refuses() -> None:
    values = torch.ones(2).as_subclass(OnMps)
    for compute in (
        lambda: (values + 1).double(),
        lambda: values.to(torch.float64),
        lambda: values.sum(dtype=torch.float64),
        lambda: values.numpy(),
    ):
        with pytest.raises(TypeError, match="float64"):
            compute()
    assert type(values.cpu()) is Tensor


@pytest.mark.parametrize(
    "settings",
    [
        {"method": "in-context", "keep": 70.0, "n_validation_prompts": 6, "n_held_out_prompts": 6},
        {"method": "app", "prune_by": "merged-flap"},
        {"method": "app", "engine": "exact"},
        {"keep": 10.0, "n_validation_prompts": 2, "n_held_out_prompts": 2} | EDGES,
        {"method": "path-patching"} | EDGES,
    ],
    ids=["in-context", "flap", "exact", "edges", "direct paths"],
)
def test_a_whole_search_without_float64(toy, on_mps, settings) -> None:
    search = discover_circuit if "mlps" in settings else toy_discovery
    found = search(*toy, **settings)
    assert found.circuit.edges
    found.evaluate(*toy, EvaluationConfig(prompts="discovery", n_resamples=20))
    assert SEEN["linear"] > 10
    assert SEEN["cpu"] > 10


def test_on_the_device_where_it_has_float64() -> None:
    assert has_float64(torch.device("cpu"))
    assert in_float64(torch.ones(2)).dtype == torch.float64


def test_a_model_is_not_loaded_in_float64_where_there_is_none(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(placement, "has_float64", lambda device: False)
    with pytest.raises(ModelOptionError, match="device cpu has no float64: give dtype float32"):
        load_model(tmp_path, device="cpu", dtype="float64")
