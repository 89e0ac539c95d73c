from functools import lru_cache

import pytest

from circuits.model import LayeredModel, load_model, tokenizer_of
from tasks import get_task
from tests.circuits.families import FAMILIES, tiny_model
from tests.circuits.prompts import ragged_pairs


@lru_cache
def shared_model(family):
    return tiny_model(family)


@pytest.fixture(params=FAMILIES)
def bridge(request):
    """A tiny random model of every family, shared: change nothing in it."""
    return shared_model(request.param)


@pytest.fixture
def layered(bridge):
    return LayeredModel.of(bridge)


@pytest.fixture
def llama():
    """One tiny model with grouped queries, shared: change nothing in it."""
    return shared_model("llama")


@pytest.fixture
def attention_only():
    return shared_model("attention-only")


@pytest.fixture(scope="session")
def pairs():
    return ragged_pairs()


@pytest.fixture(scope="session")
def smollm2():
    return load_model("smollm2-135m")


@pytest.fixture(scope="session")
def ioi(smollm2):
    """Four prompts; `ioi[:2]` for what is slow."""
    return get_task("ioi").sample(tokenizer_of(smollm2), n=4, seed=0)
