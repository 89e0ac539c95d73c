from functools import lru_cache

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from circuits import Discovery, EvaluationConfig, PruningRule, SelectionRule, discover_circuit
from circuits.forward import LayeredModel
from circuits.model import load_model, load_tokenizer, tokenizer_of
from circuits.model.tokenizers import remember_tokenizer
from circuits.tasks import get_task
from tests.checked import without_checks
from tests.circuits.families import FAMILIES, tiny_model
from tests.circuits.prompts import ToyTask, ragged_pairs, word_tokenizer

RULE = SelectionRule(threshold=0.4, logits_threshold=0.6, distance="linear")
"""Low enough that several of twelve heads pass it."""
ON_DISCOVERY = EvaluationConfig(prompts="discovery", n_resamples=20)
"""Quick, and on the prompts that `Discovery.performance` is of."""


@pytest.fixture
def without_type_checks():
    """Let wrong types and shapes reach our own checks, which are all that users have."""
    with without_checks():
        yield


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
def tiny(tmp_path_factory):
    """The checkpoint of a tiny random model that speaks SmolLM2's vocabulary."""
    directory = tmp_path_factory.mktemp("tiny")
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 64}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=49152, **sizes, **heads))
    model.save_pretrained(directory)
    load_tokenizer("smollm2-135m").save_pretrained(directory)
    return directory


@pytest.fixture(scope="session")
def smollm2():
    return load_model("smollm2-135m")


@pytest.fixture(scope="session")
def ioi(smollm2):
    """Four prompts; `ioi[:2]` for what is slow."""
    return get_task("ioi").sample(tokenizer_of(smollm2), n=4, seed=0)


@pytest.fixture(scope="session")
def toy():
    """A model with a tokenizer, and a task that it does by construction."""
    bridge = tiny_model("gemma3")
    remember_tokenizer(bridge, word_tokenizer())
    return bridge, ToyTask(bridge)


@pytest.fixture(scope="session")
def found(toy):
    """A whole discovery on the toy, evaluated in memory."""
    return toy_discovery(*toy)


def toy_discovery(bridge, task, **settings) -> Discovery:
    """A discovery small enough for tests, with settings that let something through."""
    if settings.get("method") != "in-context":
        by_threshold = {
            "method": "app",
            "selection": RULE,
            "pruning": PruningRule("biggest", 0.2, 0.6, 0.05),
        }
        settings = by_threshold | settings
    settings = {"n_prompts": 4, "n_mean_prompts": 10, **settings}
    return discover_circuit(bridge, task, **settings)
