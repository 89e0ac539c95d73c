"""Scores and effects by head."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go
import pytest
import torch

from circuits import Circuit, Edge, Head, Receiver
from circuits.errors import InputError, MismatchError
from circuits.figures import head_scores_figure, receiver_effects_figure
from circuits.graph import ModelGraph
from circuits.patching import EdgeValues
from tests.circuits.figures.reading import heading, notes, survives_json


def effects_of(paths: dict[tuple[str, str], float]) -> EdgeValues:
    effects = EdgeValues.unknown(ModelGraph(n_layers=3, n_heads=2, n_kv_heads=1))
    for (sender, receiver), effect in paths.items():
        effects.put(Receiver.parse(receiver), [Head.parse(sender)], [effect])
    return effects


def framed(figure: go.Figure, role: str) -> set[tuple[int, int]]:
    """The places, layer and head, that frames are around."""
    (frames,) = [trace for trace in figure.data if trace.name == role]
    corners = zip(frames.x, frames.y, strict=True)
    return {(round(x), round(y)) for x, y in corners if x is not None}


class TestHeadScores:
    scores = torch.tensor([[0.5, -2.0, 0.0], [1.0, float("nan"), 0.25]])

    def test_layers_go_across_and_heads_upward(self):
        heat, missing = head_scores_figure(self.scores).data
        assert [list(row) for row in heat.z] == [[0.5, 1.0], [-2.0, None], [0.0, 0.25]]
        assert [list(row) for row in heat.text] == [["0.0", "1.0"], ["0.1", "1.1"], ["0.2", "1.2"]]
        assert (list(missing.x), list(missing.y)) == ([1], [1])

    def test_zero_is_the_middle_of_the_colours(self):
        heat = head_scores_figure(self.scores).data[0]
        assert (heat.zmin, heat.zmax) == (-2.0, 2.0)

    def test_candidates_are_framed_and_named(self):
        figure = head_scores_figure(self.scores, [Head(1, 2), Head(0, 0)])
        heat = figure.data[0]
        assert framed(figure, "candidate") == {(0, 0), (1, 2)}
        assert heat.text[2][1] == "1.2 (candidate)"

    def test_frames_may_mean_something_else(self):
        figure = head_scores_figure(self.scores, [Head(1, 2)], framed="in the circuit")
        assert framed(figure, "in the circuit") == {(1, 2)}
        assert figure.data[0].text[2][1] == "1.2 (in the circuit)"

    def test_arrays_and_all_zero_scores_are_drawn(self):
        assert survives_json(head_scores_figure(np.zeros((2, 3))))
        assert survives_json(head_scores_figure(self.scores.numpy(), title="WIFN"))

    def test_without_scores_there_is_a_message(self):
        figure = head_scores_figure(torch.full((2, 2), float("nan")))
        assert notes(figure) == ["There are no scores."]


class TestReceiverEffects:
    effects = effects_of(
        {
            ("0.0", "logits"): 0.1,
            ("0.1", "logits"): -0.4,
            ("1.0", "logits"): 0.2,
            ("1.1", "logits"): 0.0,
            ("2.1", "logits"): -0.3,
            ("0.0", "2.1.q"): 0.1,
            ("0.1", "2.1.q"): -0.4,
            ("1.1", "2.1.q"): 0.0,
        }
    )
    circuit = Circuit(
        frozenset({Head(0, 1), Head(2, 1)}),
        frozenset(
            {
                Edge(Head(0, 1), Receiver(Head(2, 1), "q"), -0.4),
                Edge(Head(2, 1), Receiver.logits(), -0.3),
            }
        ),
        3,
        2,
    )

    def test_layers_below_the_receiver_and_what_was_measured_of_them(self):
        figure = receiver_effects_figure(self.effects, "2.1.q")
        heat, missing = figure.data
        assert [list(row) for row in heat.z] == [[0.1, None], [-0.4, 0.0]]
        assert (list(missing.x), list(missing.y), missing.name) == ([1], [0], "not measured")
        assert heading(figure) == "Effects on 2.1.q"
        assert survives_json(figure)

    def test_the_logits_have_paths_from_every_layer(self):
        heat = receiver_effects_figure(self.effects, Receiver.logits()).data[0]
        assert np.shape(heat.z) == (2, 3)
        assert (heat.zmin, heat.zmax) == pytest.approx((-0.4, 0.4))

    def test_blue_helps_as_in_the_graph(self):
        heat = receiver_effects_figure(self.effects, "logits", theme="light").data[0]
        (low, blue), *_, (high, red) = heat.colorscale
        assert (low, high) == (0, 1)
        assert int(blue[5:], 16) > int(blue[1:3], 16) and int(red[1:3], 16) > int(red[5:], 16)

    def test_only_edges_into_the_receiver_are_framed(self):
        figure = receiver_effects_figure(self.effects, "2.1.q", self.circuit)
        assert framed(figure, "in the circuit") == {(0, 1)}
        logits = receiver_effects_figure(self.effects, "logits", self.circuit)
        assert framed(logits, "in the circuit") == {(2, 1)}

    def test_a_receiver_that_was_not_reached_and_one_that_is_none(self):
        figure = receiver_effects_figure(self.effects, "2.1.v")
        assert notes(figure) == ["No effect on 2.1.v was measured."]
        assert notes(receiver_effects_figure(self.effects, "0.0.q"))
        with pytest.raises(InputError, match=r"a receiver is written 9\.6\.q"):
            receiver_effects_figure(self.effects, "2.1")
        with pytest.raises(MismatchError, match=r"no receiver 5\.0\.q in a model of 3 layers"):
            receiver_effects_figure(self.effects, "5.0.q")
