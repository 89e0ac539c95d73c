"""Scores of edges by name: signs, settings, and what is refused."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from circuits.components import Connection
from circuits.edge_scores import EDGE_SCORERS, FunctionScorer, edge_scores
from circuits.errors import InputError, NonFiniteError, SettingError, UnknownNameError
from circuits.runtime.progress import Progress
from tests.circuits.prompts import ragged_pairs

PAIRS = ragged_pairs(5)
QUICK = {
    "eap-ig-activations": {"n_steps": 2},
    "exact": {"edges": ()},
    "mask-attribution": {"n_steps": 2},
    "mattr": {"n_steps": 2},
    "edge-pruning": {"n_steps": 2},
}
OF_ALL_PROMPTS = ("mattr", "edge-pruning")


@pytest.mark.parametrize("name", EDGE_SCORERS.names())
def test_every_score_is_known_by_name_and_has_every_prompt(name: str, llama) -> None:
    heard = []
    progress = Progress(lambda stage, fraction: heard.append(fraction)).stage("scores")
    scores = edge_scores(llama, PAIRS, name, progress=progress, **QUICK.get(name, {}))
    n_prompts = 1 if name in OF_ALL_PROMPTS else 5
    assert scores.values.shape == (40, 16, n_prompts)
    assert scores.n_known == (0 if name == "exact" else n_prompts * scores.graph.n_edges)
    assert EDGE_SCORERS.get(name).description
    assert heard == sorted(heard)


def test_prompts_do_not_depend_on_each_other(llama) -> None:
    whole = edge_scores(llama, PAIRS, "eap-ig").values
    alone = edge_scores(llama, PAIRS[3:4], "eap-ig").values
    torch.testing.assert_close(whole[..., 3:4], alone, rtol=1e-3, atol=1e-5, equal_nan=True)


def test_random_scores_are_those_of_their_seed(llama) -> None:
    first, again, other = (
        edge_scores(llama, PAIRS, "random", seed=seed).values.nan_to_num() for seed in (1, 1, 2)
    )
    assert first.equal(again)
    assert not first.equal(other)
    assert abs(float(first.mean())) < 0.1


def test_settings_without_a_use_are_refused(llama) -> None:
    with pytest.raises(
        SettingError, match="score 'eap' has no use for n_steps; it takes no setting"
    ):
        edge_scores(llama, PAIRS, "eap", n_steps=3)
    with pytest.raises(SettingError, match="'exact' has no use for seed; it takes edges, most_"):
        edge_scores(llama, PAIRS, "exact", seed=3)
    with pytest.raises(SettingError, match="unknown setting 'steps'; did you mean 'n_steps'"):
        edge_scores(llama, PAIRS, "eap-ig", steps=3)
    with pytest.raises(
        UnknownNameError, match="unknown score of edges 'eap_ig'; did you mean 'eap-ig'"
    ):
        edge_scores(llama, PAIRS, "eap_ig")


def test_a_score_that_is_no_number_is_refused(llama) -> None:
    def broken(runs, settings, progress):
        found = runs.every_edge[..., None].clone()
        found[-1, 0] = torch.nan
        return found

    with (
        EDGE_SCORERS.with_entry(FunctionScorer("broken", "breaks", broken)),
        pytest.raises(
            NonFiniteError, match=r"broken scores 1 of 262 edges .*first is embed -> log"
        ),
    ):
        edge_scores(llama, PAIRS, "broken")


def test_what_is_no_score_is_refused() -> None:
    with pytest.raises(InputError, match="must have a description and a method score"):
        EDGE_SCORERS.register(SimpleNamespace(name="nothing"))


def test_packages_bring_scores_of_edges_by_a_group_of_their_own() -> None:
    assert EDGE_SCORERS.group == "accelerated_path_patching.scores_of_edges"


def test_chosen_edges_are_checked(llama) -> None:
    edges = tuple(map(Connection.parse, ("embed -> m0", "embed -> m0")))
    assert edge_scores(llama, PAIRS, "exact", edges=edges).n_known == 5
