"""A model is reproduced, or it is refused by name; nothing between."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    PreTrainedModel,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from benchmarks.families import FAMILIES as STUDIED
from benchmarks.families import GPT, GROUPED, Family
from benchmarks.families import REFUSED as LEFT_OUT
from circuits.components import Head, Receiver
from circuits.errors import ModelError, UnsupportedModelError
from circuits.evaluation import Evaluator
from circuits.forward import Activations, LayeredModel, check, check_reproduces, extraction
from circuits.model import attention_patterns, load_model
from circuits.model.tokenizers import remember_tokenizer
from circuits.patching import effect_table, path_effects
from circuits.roles import read_heads
from circuits.scores import attribution_scores, head_scores
from tests.circuits.families import FAMILIES, bridge_of, tiny_model
from tests.circuits.prompts import ragged_pairs, word_tokenizer

LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 16,
}
OTHERS: dict[str, Callable[[], PreTrainedModel]] = {
    "soft caps": lambda: Gemma2ForCausalLM(
        Gemma2Config(
            **GROUPED,
            head_dim=8,
            sliding_window=4,
            attn_logit_softcapping=5.0,
            final_logit_softcapping=5.0,
        )
    ),
    "unscaled scores": lambda: GPT2LMHeadModel(GPT2Config(**GPT, scale_attn_weights=False)),
    "scores scaled by layer": lambda: GPT2LMHeadModel(
        GPT2Config(**GPT, scale_attn_by_inverse_layer_idx=True)
    ),
    "stretched rotary": lambda: LlamaForCausalLM(LlamaConfig(**GROUPED, rope_scaling=LLAMA3)),
    "biases everywhere, wide heads": lambda: LlamaForCausalLM(
        LlamaConfig(**GROUPED, attention_bias=True, mlp_bias=True, head_dim=16)
    ),
    "window in the upper layers": lambda: Qwen2ForCausalLM(
        Qwen2Config(**GROUPED, use_sliding_window=True, sliding_window=4, max_window_layers=1)
    ),
    "short window": lambda: MistralForCausalLM(MistralConfig(**GROUPED, sliding_window=4)),
    "no window": lambda: MistralForCausalLM(MistralConfig(**GROUPED, sliding_window=None)),
    "long window": lambda: MistralForCausalLM(MistralConfig(**GROUPED, sliding_window=32)),
    "long fused window": lambda: Phi3ForCausalLM(Phi3Config(**GROUPED, sliding_window=32)),
}


def test_every_family_is_reproduced(bridge) -> None:
    assert check_reproduces(bridge) < 1e-4


@pytest.mark.parametrize("family", STUDIED, ids=lambda family: family.name)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_studied_families_in_other_dtypes(family: Family, dtype: torch.dtype) -> None:
    bridge = family.bridge()
    bridge.original_model.set_experts_implementation("eager")  # the default has no float64
    assert check_reproduces(bridge.to(dtype), tolerance=0.3) < 0.3


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
def test_in_other_dtypes(family: str, dtype: torch.dtype) -> None:
    assert check_reproduces(tiny_model(family).to(dtype)) < 0.2


@pytest.mark.parametrize("kind", OTHERS)
def test_right_or_refused_by_name(kind: str) -> None:
    """A family nobody planned for: exact effects equal the reference, or there are none."""
    torch.manual_seed(0)
    model = OTHERS[kind]()
    bridge = bridge_of(model)
    try:
        layered = LayeredModel.of(bridge)
    except UnsupportedModelError as error:
        assert type(model).__name__ in str(error)
        assert "circuits models" in str(error)
        return
    senders = [Head(0, 1), Head(1, 2)]
    for width in (9, 45):
        pairs = ragged_pairs(3, width=width)
        for receiver in (Receiver.logits(), Receiver(Head(2, 1), "q"), Receiver(Head(2, 2), "v")):
            exact = path_effects(layered, pairs, receiver, senders)
            twin = path_effects(layered, pairs, receiver, senders, "reference")
            torch.testing.assert_close(exact, twin, rtol=1e-4, atol=1e-4, equal_nan=True)


def bridges(family: Family) -> bool:
    """Whether TransformerLens takes a family, so that there is a bridge to be refused."""
    return family.name not in ("Phi with norms of queries", "Falcon-40B")


REFUSED = [family for family in LEFT_OUT if bridges(family)]


@pytest.mark.parametrize("family", REFUSED, ids=lambda family: family.name)
@pytest.mark.parametrize(
    "compute",
    {
        "path effects": lambda model, pairs: path_effects(model, pairs, Receiver.logits()),
        "by the definition": lambda model, pairs: path_effects(
            model, pairs, Receiver.logits(), engine="reference"
        ),
        "effect table": effect_table,
        "scores": head_scores,
        "attribution": lambda model, pairs: attribution_scores(Activations(model, pairs)),
        "evaluator": Evaluator,
        "roles": read_heads,
        "patterns": lambda model, pairs: attention_patterns(model, "w1 w2", ["0.0"]),
    }.values(),
)
def test_nothing_is_computed_with_what_is_not_reproduced(family: Family, compute) -> None:
    """Each of these gave numbers, and no test of ours would have known that they are wrong."""
    bridge = family.bridge()
    remember_tokenizer(bridge, word_tokenizer())
    with pytest.raises(UnsupportedModelError, match="circuits models"):
        compute(bridge, ragged_pairs(2))


def test_a_bridge_is_checked_once_in_each_dtype(monkeypatch) -> None:
    checked = []
    monkeypatch.setattr(check, "check_reproduces", lambda one: checked.append(one))
    bridge, other = tiny_model("gpt2"), tiny_model("llama")
    for _ in range(2):
        LayeredModel.of(LayeredModel.of(bridge))
        LayeredModel.of(other)
    assert checked == [bridge, other]
    LayeredModel.of(bridge.to(torch.float64, print_details=False))
    assert checked == [bridge, other, bridge]


def test_what_failed_fails_again() -> None:
    bridge = REFUSED[0].bridge()
    for _ in range(2):
        with pytest.raises(UnsupportedModelError):
            LayeredModel.of(bridge)


class TestTampered:
    @pytest.mark.parametrize("family", FAMILIES)
    def test_a_wrong_scale(self, family: str, monkeypatch) -> None:
        monkeypatch.setattr(extraction, "_scale", lambda attention: 0.9 * 8**-0.5)
        with pytest.raises(UnsupportedModelError) as raised:
            check_reproduces(tiny_model(family))
        assert "differs from the model's own logits by" in str(raised.value)
        assert isinstance(raised.value, ModelError)

    def test_the_error_names_architecture_difference_and_limit(self, monkeypatch) -> None:
        monkeypatch.setattr(extraction, "_scale", lambda attention: 1.0)
        with pytest.raises(
            UnsupportedModelError,
            match=r"LlamaForCausalLM is not supported: .* by [0-9.e-]+ standard deviations "
            r"\(allowed 0.00069\)",
        ):
            check_reproduces(tiny_model("llama"))

    def test_a_norm_left_out(self, monkeypatch) -> None:
        optional = extraction._optional
        monkeypatch.setattr(
            extraction,
            "_optional",
            lambda parent, name: None if name == "ln1_post" else optional(parent, name),
        )
        with pytest.raises(UnsupportedModelError, match="Gemma3ForCausalLM"):
            check_reproduces(tiny_model("gemma3"))

    def test_a_window_left_out(self) -> None:
        bridge = tiny_model("gemma3")
        for block in bridge.blocks:
            block.attn.original_component.sliding_window = None
        with pytest.raises(UnsupportedModelError, match="differs"):
            check_reproduces(bridge)


def test_tolerance(llama) -> None:
    assert check_reproduces(llama, tolerance=1e-3) < 1e-3
    with pytest.raises(UnsupportedModelError, match=r"allowed 0\)"):
        check_reproduces(tiny_model("gpt2"), tolerance=0.0)


@pytest.mark.parametrize(
    "kind",
    ["soft caps", "window in the upper layers", "stretched rotary", "scores scaled by layer"],
)
def test_what_is_supported_beyond_the_families(kind: str) -> None:
    torch.manual_seed(0)
    assert check_reproduces(bridge_of(OTHERS[kind]())) < 1e-4


@pytest.mark.parametrize("name", ["Mixtral", "Qwen2-MoE", "Qwen3-MoE", "GraniteMoE"])
def test_experts_are_loaded_in_every_precision(name: str, tmp_path) -> None:
    (family,) = [one for one in STUDIED if one.name == name]
    family.model().save_pretrained(tmp_path)
    for dtype in ("float32", "bfloat16", "float64"):
        bridge = load_model(tmp_path, dtype=dtype)
        assert head_scores(bridge, ragged_pairs(2)).isfinite().all()
