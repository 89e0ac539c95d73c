"""Training a transformer so that its circuit is the one that was chosen.

Strict interchange-intervention training (SIIT): Gupta et al. 2024, arXiv 2407.14494, section 3. Its
three losses share each batch here: prompts as they are, prompts with the component of one variable
swapped, and prompts with components outside the circuit swapped. Of these last, half swap all such
components at once, for tests of one at a time look perfect where they fail together.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformer_lens.model_bridge.sources.native import NativeModel

from benchmarks.truth.causal import NO_VARIABLE, CausalModel, soft_targets
from benchmarks.truth.interchange import Alignment, Swap, measure, run
from circuits.components import Head
from circuits.model.native import NativeShape, native_module
from circuits.runtime.progress import Note
from circuits.truth.ground import Interchange

MEASURED_PROMPTS = 2048
MEASURED_SEED = 1_000_000
_WARM_UP = 100
_CHECK_EVERY = 250


@dataclass(frozen=True)
class Recipe:
    """A transformer to be trained.

    Attributes:
        causal: What it is to compute.
        heads: The head of each variable.
        shape: Its sizes.
        mlps: Layers whose MLPs may take part.
        n_steps: At most; training ends earlier when all interchanges agree twice in a row.
        batch: Prompts in a step.
        learning_rate: Of Adam, at its highest.

    """

    causal: type[CausalModel]
    heads: tuple[Head, ...]
    shape: NativeShape
    mlps: tuple[int, ...] = ()
    n_steps: int = 6000
    batch: int = 192
    learning_rate: float = 3e-3

    @property
    def alignment(self) -> Alignment:
        """Which components carry out each variable."""
        sizes = self.shape.n_layers, self.shape.n_heads
        return Alignment(self.heads, self.mlps, *sizes, self.shape.d_mlp is not None)


@contextmanager
def _without_denormals() -> Iterator[None]:
    """Numbers too small to matter make Adam's steps many times slower."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)


@_without_denormals()
def train(
    recipe: Recipe, seed: int, say: Note = lambda line: None
) -> tuple[dict[str, Tensor], Interchange]:
    """Weights, and the interchange accuracy on prompts that were drawn apart."""
    causal, alignment = recipe.causal(), recipe.alignment
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = native_module(recipe.shape)
    _shrink(model)
    draw = torch.Generator().manual_seed(seed)
    optimizer = torch.optim.Adam(model.parameters(), betas=(0.9, 0.98))
    agreed = 0
    for step in range(recipe.n_steps):
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * _schedule(step, recipe.n_steps)
        loss = _loss(model, causal, alignment, recipe.batch, draw)
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        if (step + 1) % _CHECK_EVERY == 0:
            found = measure(model, causal, alignment, 512, seed)
            say(f"step {step + 1}: loss {float(loss.detach()):.4f}, {found}")
            agreed = agreed + 1 if found.lowest >= 1.0 else 0
            if agreed == 2:
                break
    model.requires_grad_(False)
    return model.state_dict(), measure(model, causal, alignment, MEASURED_PROMPTS, MEASURED_SEED)


def _loss(
    model: NativeModel, causal: CausalModel, alignment: Alignment, n: int, draw: torch.Generator
) -> Tensor:
    base, source = causal.draw(n, draw), causal.draw(n, draw)[torch.randperm(n, generator=draw)]
    variable, swap = _interchanges(alignment, n, draw)
    targets = soft_targets(causal.right(base, source, variable))
    logits, _ = run(model, base, swap, run(model, source)[1])
    return cross_entropy(logits, targets)


def _interchanges(alignment: Alignment, n: int, draw: torch.Generator) -> tuple[Tensor, Swap]:
    """For each prompt the variable that is swapped, if any, and the components that are."""
    aligned, outside = alignment.of_variable(), alignment.outside()
    kind = torch.rand(n, generator=draw)
    chosen = torch.randint(len(aligned), (n,), generator=draw)
    variable = torch.where(kind < 0.4, chosen, NO_VARIABLE)
    swap = aligned[chosen] & (kind < 0.4)[:, None, None]
    # One alone, any of them, or all.
    alone = torch.randint(len(outside), (n, 1), generator=draw) == torch.arange(len(outside))
    some = torch.rand(n, len(outside), generator=draw) < 0.5
    members = torch.where((kind < 0.5)[:, None], alone, some) | (kind >= 0.6)[:, None]
    members &= ((kind >= 0.4) & (kind < 0.8))[:, None]
    swap |= torch.einsum("pu,ulk->plk", members.float(), outside.float()) > 0
    return variable, swap


def _schedule(step: int, n_steps: int) -> float:
    """Up in a straight line, then down in one."""
    return min((step + 1) / _WARM_UP, 1 - step / n_steps)


def _shrink(model: NativeModel) -> None:
    """Embeddings start small: PyTorch's own are as large as everything that is added to them."""
    with torch.no_grad():
        model.tok_embed.weight.mul_(0.3)
        if model.pos is not None:
            model.pos.weight.mul_(0.3)
