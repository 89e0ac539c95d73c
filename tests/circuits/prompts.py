"""Random prompt pairs of several lengths, for models without a tokenizer."""

from __future__ import annotations

import torch

from tasks import PromptPairs


def ragged_pairs(n: int = 5, seed: int = 12, vocabulary: int = 101, width: int = 9) -> PromptPairs:
    """`n` pairs of lengths `width`, `width` - 1, `width` - 2 in turn; one template for each length.

    A pair differs first at position 1 to 3 and once more behind that. Padding is random and differs
    between the two prompts, and so do the sizes of the answer sets: neither may ever matter.
    """
    draw = torch.Generator().manual_seed(seed)
    row = torch.arange(n)
    end = width - 1 - row % 3
    first = 1 + row % 3
    clean, corrupted = torch.randint(vocabulary, (2, n, width), generator=draw)
    position = torch.arange(width)
    shared = (position < first[:, None]) | (position == first[:, None] + 1)
    corrupted = torch.where(shared, clean, corrupted)
    changed = (clean[row, first] + 1 + torch.randint(vocabulary - 1, (n,), generator=draw)) % (
        vocabulary
    )
    corrupted[row, first] = changed
    answers = torch.stack([torch.randperm(vocabulary, generator=draw)[:5] for _ in range(n)])
    correct, wrong = answers[:, :2].clone(), answers[:, 2:].clone()
    correct[::2, 1] = -1
    wrong[1::2, 2] = -1
    return PromptPairs(
        task="random",
        seed=seed,
        clean=clean,
        corrupted=corrupted,
        end=end,
        correct=correct,
        wrong=wrong,
        template=end * 10,
        clean_text=tuple(f"clean {i}" for i in range(n)),
        corrupted_text=tuple(f"corrupted {i}" for i in range(n)),
    )
