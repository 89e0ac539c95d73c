"""Every engine against the definition of a path's effect."""

from __future__ import annotations

from functools import lru_cache

import pytest
import torch

from circuits.components import Head, Receiver, all_heads
from circuits.errors import MismatchError, NoEffectError, SettingError, UnknownNameError
from circuits.forward import LayeredModel
from circuits.forward.passes import at_end
from circuits.metrics import logit_diff, prob_diff
from circuits.patching import effect_table, path_effects
from tests.circuits.conftest import shared_model
from tests.circuits.families import FAMILIES, N_HEADS, N_LAYERS, tiny_model
from tests.circuits.flops import flops
from tests.circuits.patching.slow_twin import run as record
from tests.circuits.prompts import ragged_pairs

LOGITS = Receiver.logits()
NAMES = ("logits", "1.0.q", "1.3.k", "1.1.v", "2.3.q", "2.0.k", "2.2.v")
RECEIVERS = tuple(Receiver.parse(name) for name in NAMES)
GROUPED = ("llama", "qwen2", "qwen3", "gemma3")


@lru_cache
def reference(family: str, receiver: Receiver) -> torch.Tensor:
    return path_effects(shared_model(family), ragged_pairs(), receiver, engine="reference")


def assert_same(measured: torch.Tensor, expected: torch.Tensor, atol: float = 2e-5) -> None:
    torch.testing.assert_close(measured, expected, rtol=0, atol=atol, equal_nan=True)


def below(receiver: Receiver) -> tuple[Head, ...]:
    layer = N_LAYERS if receiver.head is None else receiver.head.layer
    return all_heads(layer, N_HEADS)


@pytest.mark.parametrize("family", FAMILIES)
class TestExact:
    def test_equals_the_reference(self, family: str) -> None:
        for receiver in RECEIVERS:
            expected = reference(family, receiver)
            assert expected.nan_to_num().abs().max() > 1e-3, "nothing to compare"
            assert_same(path_effects(shared_model(family), ragged_pairs(), receiver), expected)

    def test_is_nan_exactly_where_there_is_no_path(self, family: str) -> None:
        for receiver in (LOGITS, Receiver(Head(1, 2), "k"), Receiver(Head(0, 1), "q")):
            effects = path_effects(shared_model(family), ragged_pairs(), receiver)
            assert effects.shape == (N_LAYERS, N_HEADS)
            present = {Head(*index) for index in (~effects.isnan()).nonzero().tolist()}
            assert present == set(below(receiver))

    def test_a_subset_of_senders_has_the_same_effects(self, family: str) -> None:
        senders = [Head(1, 3), Head(0, 2), Head(2, 1)]
        left_out = torch.ones(N_LAYERS, N_HEADS, dtype=torch.bool)
        for sender in senders:
            left_out[sender.layer, sender.index] = False
        for receiver in (LOGITS, Receiver(Head(2, 3), "q"), Receiver(Head(2, 2), "v")):
            chosen = path_effects(shared_model(family), ragged_pairs(), receiver, iter(senders))
            assert_same(chosen, reference(family, receiver).masked_fill(left_out, torch.nan))

    def test_memory_changes_no_number(self, family: str) -> None:
        for receiver in (LOGITS, Receiver(Head(1, 3), "k"), Receiver(Head(2, 3), "q")):
            split = path_effects(shared_model(family), ragged_pairs(), receiver, memory_bytes=1)
            assert_same(split, reference(family, receiver))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("engine", ["reference", "exact"])
def test_key_and_value_receivers_are_shared_by_a_group(family: str, engine: str) -> None:
    bridge, pairs = shared_model(family), ragged_pairs()
    group = N_HEADS // LayeredModel.of(bridge).n_kv_heads
    assert group == (2 if family in GROUPED else 1)

    def effect(index: int, head_input: str) -> float:
        receiver = Receiver(Head(1, index), head_input)
        return float(path_effects(bridge, pairs, receiver, [Head(0, 1)], engine)[0, 1])

    for head_input in "kv":
        assert (effect(0, head_input) == effect(1, head_input)) == (group == 2)
        assert effect(1, head_input) != effect(2, head_input)
    assert effect(0, "q") != effect(1, "q")


@pytest.mark.parametrize("family", ["gpt2", "gemma3"])
@pytest.mark.parametrize("receiver", [LOGITS, Receiver(Head(2, 1), "q"), Receiver(Head(1, 1), "v")])
def test_any_metric_will_do(family: str, receiver: Receiver) -> None:
    bridge, pairs = shared_model(family), ragged_pairs()
    twin = path_effects(bridge, pairs, receiver, engine="reference", metric=prob_diff)
    exact = path_effects(bridge, pairs, receiver, metric=prob_diff)
    scale = twin.nan_to_num().abs().max()
    assert_same(exact / scale, twin / scale, atol=1e-4)
    assert not torch.allclose(twin.nan_to_num(), reference(family, receiver).nan_to_num())


@pytest.mark.parametrize("family", FAMILIES)
def test_effects_are_sums_over_prompts(family: str) -> None:
    """One prompt alone, without any padding, gives what it adds to the batch."""
    bridge, pairs, receiver = shared_model(family), ragged_pairs(), Receiver(Head(2, 0), "k")
    layered = LayeredModel.of(bridge)
    weighed, scales = [], []
    for row in range(len(pairs)):
        one = pairs[row : row + 1]
        both = [answer_metric(bridge, tokens, one) for tokens in (one.clean, one.corrupted)]
        scales.append(both[0] - both[1])
        weighed.append(path_effects(layered, one, receiver) * scales[-1])
    assert_same(torch.stack(weighed).sum(0) / sum(scales), reference(family, receiver))


def answer_metric(bridge, tokens, pairs, hooks=()) -> float:
    """The mean metric, without the padding behind the last answer."""
    length = int(pairs.end.max()) + 1
    with torch.no_grad():
        logits = bridge.run_with_hooks(tokens[:, :length], fwd_hooks=list(hooks))
        return float(logit_diff(at_end(logits, pairs), pairs).mean())


class TestDefinition:
    """The reference itself, against what follows from the definition without running it."""

    @pytest.mark.parametrize("engine", ["reference", "exact", "sweep"])
    @pytest.mark.parametrize("family", ["gpt2", "llama", "gemma3"])
    def test_a_sender_that_does_not_change_has_no_effect(self, family: str, engine: str) -> None:
        bridge, pairs = tiny_model(family), ragged_pairs()
        layer = LayeredModel.of(bridge).layers[0]
        unit = layer.kv_head(2)
        with torch.no_grad():
            # A view of the model's own weights: these values no longer depend on the prompt.
            layer.value.weight[unit] = 0.0
        silent = {head for head in range(N_HEADS) if layer.kv_head(head) == unit}
        table = effect_table(bridge, pairs) if engine == "sweep" else None
        for receiver in (LOGITS, *(Receiver(Head(1, 1), i) for i in "qkv")):
            effects = (
                table.effects(receiver)
                if table is not None
                else path_effects(bridge, pairs, receiver, all_heads(1, N_HEADS), engine)
            )
            for head in range(N_HEADS):
                assert (abs(float(effects[0, head])) < 1e-6) == (head in silent), (receiver, head)

    def test_direct_path_to_the_logits_without_mlps(self, attention_only) -> None:
        """Nothing stands between the sender and the logits but the final norm."""
        pairs, sender = ragged_pairs(), Head(1, 2)
        z, final = "blocks.1.attn.hook_z", f"blocks.{N_LAYERS - 1}.hook_resid_post"
        clean = record(attention_only, pairs.clean, [z, final])
        corrupted = record(attention_only, pairs.corrupted, [z, final])
        change = (corrupted[z] - clean[z])[:, :, sender.index]
        weight = attention_only.blocks[1].attn.o.original_component.weight
        d_head = change.shape[-1]
        columns = weight[:, sender.index * d_head : (sender.index + 1) * d_head]
        resid = clean[final] + change @ columns.T

        def metric(final_resid):
            logits = attention_only.unembed(attention_only.ln_final(final_resid))
            return logit_diff(at_end(logits, pairs), pairs).mean()

        harm = metric(clean[final]) - metric(corrupted[final])
        expected = float((metric(resid) - metric(clean[final])) / harm)
        for engine in ("reference", "exact"):
            effects = path_effects(attention_only, pairs, LOGITS, [sender], engine)
            assert float(effects[1, 2]) == pytest.approx(expected, abs=1e-5)
        swept = effect_table(attention_only, pairs).effects(LOGITS)
        assert float(swept[1, 2]) == pytest.approx(expected, abs=1e-5)

    @pytest.mark.parametrize("head_input", ["q", "k", "v"])
    def test_path_over_one_layer_without_mlps(self, attention_only, head_input: str) -> None:
        """What the sender writes, through the receiver's norm and projection, and no other head."""
        pairs, sender, receiver = ragged_pairs(), Head(0, 1), Head(1, 3)
        z, resid = "blocks.0.attn.hook_z", "blocks.0.hook_resid_post"
        name = f"blocks.1.attn.hook_{head_input}"
        clean = record(attention_only, pairs.clean, [z, resid, name])
        corrupted = record(attention_only, pairs.corrupted, [z])
        change = (corrupted[z] - clean[z])[:, :, sender.index]
        block = attention_only.blocks[1]
        d_head = change.shape[-1]
        weight = attention_only.blocks[0].attn.o.original_component.weight
        sent = clean[resid] + change @ weight[:, d_head : 2 * d_head].T
        linear = getattr(block.attn, head_input).original_component
        rows = slice(receiver.index * d_head, (receiver.index + 1) * d_head)
        projected = torch.nn.functional.linear(
            block.ln1.original_component(sent), linear.weight[rows], linear.bias[rows]
        )
        patched = clean[name].clone()
        patched[:, :, receiver.index] = projected
        hook = (name, lambda value, hook: patched)
        clean_metric = answer_metric(attention_only, pairs.clean, pairs)
        harm = clean_metric - answer_metric(attention_only, pairs.corrupted, pairs)
        expected = (answer_metric(attention_only, pairs.clean, pairs, [hook]) - clean_metric) / harm
        assert abs(expected) > 1e-4
        effects = path_effects(attention_only, pairs, Receiver(receiver, head_input), [sender])
        assert float(effects[0, 1]) == pytest.approx(expected, abs=1e-5)

    def test_two_corrupted_layers_are_not_mixed(self, llama) -> None:
        """A sender's heads above stay clean: its effect is not that of corrupting it alone."""
        pairs, sender = ragged_pairs(), Head(0, 0)
        name = "blocks.0.attn.hook_z"
        corrupted = record(llama, pairs.corrupted, [name])[name]

        def put(value, hook):
            value = value.clone()
            value[:, :, sender.index] = corrupted[:, :, sender.index]
            return value

        clean = answer_metric(llama, pairs.clean, pairs)
        harm = clean - answer_metric(llama, pairs.corrupted, pairs)
        everything = (answer_metric(llama, pairs.clean, pairs, [(name, put)]) - clean) / harm
        direct = float(path_effects(llama, pairs, LOGITS, [sender])[0, 0])
        assert direct != pytest.approx(everything, abs=1e-2)


class TestErrors:
    def test_unknown_engine(self, llama, pairs) -> None:
        for ask in (path_effects, effect_table):
            with pytest.raises(UnknownNameError, match="unknown engine 'exatc'; did you mean"):
                ask(
                    llama,
                    pairs,
                    **{"receiver": LOGITS} if ask is path_effects else {},
                    engine="exatc",
                )

    def test_an_engine_that_measures_no_single_receiver(self, llama, pairs) -> None:
        message = "'sweep' estimates all edges at once .* those that do: reference, exact"
        with pytest.raises(SettingError, match=message):
            path_effects(llama, pairs, LOGITS, engine="sweep")

    @pytest.mark.parametrize("head", [Head(N_LAYERS, 0), Head(0, N_HEADS)])
    def test_heads_outside_the_model(self, llama, pairs, head: Head) -> None:
        with pytest.raises(MismatchError, match=rf"no receiver {head}\.k in .*3 layers x 4 heads"):
            path_effects(llama, pairs, Receiver(head, "k"))
        with pytest.raises(MismatchError, match=rf"{head} .*not in the model.*3 layers x 4 heads"):
            path_effects(llama, pairs, LOGITS, [Head(0, 0), head])
        with pytest.raises(MismatchError, match=rf"{head} .*not in the model"):
            effect_table(llama, pairs, [head])
        with pytest.raises(MismatchError, match="no receiver"):
            effect_table(llama, pairs, [Head(0, 0)]).effects(Receiver(head, "q"))

    @pytest.mark.parametrize("engine", ["reference", "exact"])
    def test_mlps_belong_to_the_paths(self, llama, pairs, engine: str) -> None:
        with pytest.raises(MismatchError, match="no receiver m1 in a model of 3 layers x 4 heads"):
            path_effects(llama, pairs, Receiver.mlp(1), engine=engine)

    @pytest.mark.parametrize("engine", ["reference", "exact", "sweep"])
    def test_equal_clean_and_corrupted_metric(self, llama, pairs, engine: str) -> None:
        def constant(logits, pairs):
            return logits[..., 0] * 0

        with pytest.raises(NoEffectError, match="clean minus corrupted metric is 0"):
            if engine == "sweep":
                effect_table(llama, pairs, metric=constant)
            else:
                path_effects(llama, pairs, LOGITS, engine=engine, metric=constant)

    def test_no_senders(self, llama, pairs) -> None:
        for engine in ("reference", "exact"):
            assert path_effects(llama, pairs, LOGITS, [], engine).isnan().all()


def test_the_same_numbers_in_bfloat16_within_rounding(pairs) -> None:
    bridge = tiny_model("llama").to(torch.bfloat16)
    for receiver in (LOGITS, Receiver(Head(2, 3), "v")):
        measured = path_effects(bridge, pairs, receiver)
        assert_same(measured, reference("llama", receiver), atol=0.1)


def test_gradients_are_left_alone(pairs) -> None:
    """Under no_grad as under grad, on weights that want gradients and ones that do not."""
    bridge = tiny_model("gpt2").requires_grad_(True)
    receiver = Receiver(Head(1, 0), "q")
    with torch.no_grad():
        table = effect_table(bridge, pairs)
    exact = path_effects(bridge, pairs, receiver)
    assert not exact.requires_grad
    assert not table.values.requires_grad
    assert_same(exact, reference("gpt2", receiver))
    assert all(parameter.grad is None for parameter in bridge.parameters())


@pytest.fixture(scope="module")
def naive_flops(smollm2, ioi):
    """What the reference costs before the first sender, and for each sender."""
    target = Receiver(Head(1, 0), "q")

    def cost(senders):
        return flops(lambda: path_effects(smollm2, ioi[:1], target, senders, "reference"))

    one, two = cost([Head(0, 0)]), cost([Head(0, 0), Head(0, 1)])
    return 2 * one - two, two - one


@pytest.mark.real
class TestSmolLM2:
    @pytest.mark.parametrize("receiver", ["logits", "23.3.q", "20.0.k", "20.0.v"])
    def test_exact_equals_reference(self, smollm2, ioi, receiver: str) -> None:
        target, senders = Receiver.parse(receiver), (Head(0, 5), Head(9, 6), Head(17, 4))
        twin = path_effects(smollm2, ioi[:2], target, senders, "reference")
        exact = path_effects(smollm2, ioi[:2], target, senders)
        assert (~twin.isnan()).sum() == 3
        assert_same(exact, twin, atol=1e-4)

    @pytest.mark.parametrize(
        ("receiver", "ratio"), [("11.4.q", 2.2), ("23.3.q", 4.0), ("23.3.k", 4.0), ("logits", 25.0)]
    )
    def test_exact_costs_less(self, smollm2, ioi, naive_flops, receiver: str, ratio: float) -> None:
        """A sender of every layer below (all of them for the logits, where they cost so little)."""
        target = Receiver.parse(receiver)
        if target.head is None:
            senders = all_heads(30, 9)
        else:
            senders = tuple(Head(layer, layer % 9) for layer in range(target.head.layer))
        once, per_sender = naive_flops
        exact = flops(lambda: path_effects(smollm2, ioi[:1], target, senders))
        assert (once + per_sender * len(senders)) / exact >= ratio

    def test_the_last_name_mover(self, smollm2, ioi) -> None:
        """Head 23.3's direct effect on the logits is by far the largest, about -0.65."""
        effects = path_effects(smollm2, ioi, LOGITS).abs()
        assert 0.4 < float(effects[23, 3]) < 0.9
        effects[23, 3] = 0
        assert float(effects.max()) < 0.35
