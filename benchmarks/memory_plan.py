"""What a model of some shape needs in memory, on paper: no weight is loaded.

Every formula counts tensors that the code makes; tests/benchmarks/test_memory_plan.py holds each to
the bytes of a small model's. Prompts are taken as differing from their first token on, which is the
most that a sweep can have to carry.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from benchmarks.publish import ROOT, replace_section
from benchmarks.tables import table
from circuits.patching.plan import row_bytes, state_bytes

PAGE = ROOT / "docs" / "large-models.md"
SECTION = "memory table"
_FLOAT32 = 4
_ROWS = 4096


@dataclass(frozen=True)
class Shape:
    """The sizes of a decoder with gated MLPs, as its `config.json` has them."""

    name: str
    n_layers: int
    n_heads: int
    n_kv_heads: int
    d_model: int
    d_head: int
    d_mlp: int
    vocabulary: int
    tied: bool

    @property
    def n_parameters(self) -> int:
        """Embedding, layers (norms included), final norm, unembedding."""
        attention = self.d_head * self.d_model * (2 * self.n_heads + 2 * self.n_kv_heads)
        layer = attention + 3 * self.d_model * self.d_mlp + 2 * self.d_model
        embeddings = self.vocabulary * self.d_model * (1 if self.tied else 2)
        return embeddings + self.n_layers * layer + self.d_model

    @property
    def n_edges_kept(self) -> int:
        """Places in a table of all receivers and senders."""
        receivers = self.n_layers * (self.n_heads + 2 * self.n_kv_heads) + 1
        return receivers * self.n_layers * self.n_heads

    def weights(self, item: int) -> int:
        """Bytes of the weights."""
        return self.n_parameters * item

    def activations(self, n_prompts: int, n_tokens: int, item: int) -> int:
        """Bytes of what is kept of every prompt, clean and corrupted, in all layers."""
        queries, keys = self.n_heads * self.d_head, self.n_kv_heads * self.d_head
        return n_prompts * n_tokens * self.n_layers * (self.d_model + 3 * queries + 2 * keys) * item

    def gradients(self, n_prompts: int, n_tokens: int, item: int) -> int:
        """Bytes of gradients by head outputs: in the last layer at answers alone."""
        tokens = n_prompts * ((self.n_layers - 1) * n_tokens + 1)
        return tokens * self.n_heads * self.d_head * item

    def sweep(self, n_tokens: int, item: int) -> int:
        """Bytes of the senders' residual streams of one prompt, and of one layer's work."""
        n_senders = self.n_layers * self.n_heads
        states = state_bytes(self.d_model, n_tokens, n_senders, item)
        scores = self.n_heads * n_tokens
        return states + _ROWS * row_bytes(self.d_model, self.d_mlp, scores, item)

    def sums(self, n_prompts: int) -> int:
        """Bytes of all edges' changes and remainders, prompt by prompt, in main memory."""
        return 2 * self.n_edges_kept * n_prompts * _FLOAT32


SHAPES = (
    Shape("135M (SmolLM2)", 30, 9, 3, 576, 64, 1536, 49152, tied=True),
    Shape("7B (Llama 2)", 32, 32, 32, 4096, 128, 11008, 32000, tied=False),
    Shape("70B (Llama 2)", 80, 64, 8, 8192, 128, 28672, 32000, tied=False),
)
"""Of the model that this project is measured on, and of two that are larger."""


def markdown(n_prompts: int = 16, n_tokens: int = 20) -> str:
    """One row for each shape and dtype."""
    titles = (
        "shape, dtype",
        "weights",
        "activations of the prompts",
        "gradients",
        "sweep, one prompt at a time",
        "on devices, in all",
        "all edges, by prompt (main memory)",
    )
    lines = [
        _line(shape, dtype, item, n_prompts, n_tokens)
        for shape in SHAPES
        for dtype, item in (("float32", 4), ("bfloat16", 2))
    ]
    return (
        f"{table(titles, lines)}\n\nGiB, for {n_prompts} prompts of {n_tokens} tokens that differ "
        "from the first one on."
    )


def _line(shape: Shape, dtype: str, item: int, n_prompts: int, n_tokens: int) -> list[str]:
    on_devices = [
        shape.weights(item),
        shape.activations(n_prompts, n_tokens, item),
        shape.gradients(n_prompts, n_tokens, item),
        shape.sweep(n_tokens, item),
    ]
    sizes = [*on_devices, sum(on_devices), shape.sums(n_prompts)]
    return [f"{shape.name}, {dtype}", *(f"{size / 2**30:.2f}" for size in sizes)]


def main(
    n_prompts: int = 16,
    n_tokens: int = 20,
    write: Annotated[
        bool, typer.Option("--write", help="Write the table into docs/large-models.md, too.")
    ] = False,
) -> None:
    """Print what models of some shapes need."""
    text = markdown(n_prompts, n_tokens)
    print(text)
    if write:
        PAGE.write_text(replace_section(PAGE.read_text(), SECTION, text))


if __name__ == "__main__":
    typer.run(main)
