from dataclasses import replace

import torch

from circuits.pruning import PruningRule, prune
from circuits.runtime.progress import SILENT
from circuits.studies.candidates import Candidates
from circuits.studies.trials import SPARSITIES


def test_candidates_are_what_pruning_by_their_rules_gives():
    scores = {"a": torch.rand(5, 8), "b": torch.rand(5, 8)}

    def performances(circuits, progress=SILENT):
        return [float(sum(scores["a"][h.layer, h.index] ** 3 for h in heads)) for heads in circuits]

    rule = PruningRule()
    whole = replace(rule, full_curve=True)
    curves = {name: prune(of_heads, whole, performances) for name, of_heads in scores.items()}
    candidates = Candidates(scores, curves, rule)
    widest = candidates.widest(SPARSITIES[0])
    rules = [candidates.by_cliff(c) for c in ("first", "biggest", "smooth-first", "fixed")]
    for one in (*rules, candidates.by_sparsity(0.4), candidates.by_sparsity(0.777)):
        pruned = {name: prune(of_heads, one, performances) for name, of_heads in scores.items()}
        assert candidates.prunings(one, performances) == pruned
        assert candidates.candidates(one) == pruned["a"].candidates | pruned["b"].candidates
        assert candidates.candidates(one) <= widest
