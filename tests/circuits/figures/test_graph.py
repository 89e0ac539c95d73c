"""The graph of small hand-made circuits."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from circuits import Circuit, Edge, Head, Receiver
from circuits.errors import InputError
from circuits.figures import circuit_figure
from circuits.figures.layout import arrange
from circuits.figures.style import mix, palette_of
from tests.circuits.figures.reading import heading, notes, survives_json
from tests.circuits.formats.graphs import NODE_CIRCUIT

PATHS = {
    ("3.1", "logits"): -0.6,
    ("3.0", "logits"): 0.3,
    ("2.2", "3.1.q"): -0.2,
    ("1.0", "3.1.k"): 0.1,
    ("1.0", "2.2.v"): -0.05,
    ("0.3", "1.0.v"): 0.01,
}


def circuit_of(paths: dict[tuple[str, str], float], extra: tuple[str, ...] = ()) -> Circuit:
    edges = {Edge(Head.parse(s), Receiver.parse(r), effect) for (s, r), effect in paths.items()}
    heads = {edge.sender for edge in edges} | {e.receiver.head for e in edges if e.receiver.head}
    return Circuit(frozenset(heads | {Head.parse(h) for h in extra}), frozenset(edges), 4, 4)


def edge_traces(figure: go.Figure) -> dict[str, go.Scatter]:
    return {trace.name: trace for trace in figure.data if "→" in (trace.name or "")}


def head_labels(figure: go.Figure) -> list[str]:
    return [text for trace in figure.data if trace.name == "heads" for text in trace.text]


class TestNodes:
    """MLPs and the embedding are drawn, too."""

    figure = circuit_figure(NODE_CIRCUIT)

    def test_each_kind_has_a_mark_of_its_own(self):
        by_name = {trace.name: trace for trace in self.figure.data if trace.text}
        assert {name: trace.marker.symbol for name, trace in by_name.items()} == {
            "heads": "circle",
            "MLPs": "square",
            "embedding": "diamond",
        }
        assert sorted(by_name["MLPs"].text) == ["m0", "m2"]
        assert by_name["embedding"].text == ("embed",)
        assert by_name["MLPs"].hovertext[0].startswith("<b>MLP m0</b>")
        assert heading(self.figure) == "2 heads, 2 MLPs, 4 edges"
        assert survives_json(self.figure)

    def test_an_mlp_is_above_its_layers_heads_and_the_embedding_below_all(self):
        y = {
            node: height
            for trace in self.figure.data
            if trace.text
            for node, height in zip(trace.text, trace.y, strict=True)
        }
        assert sorted(y, key=y.get) == ["embed", "m0", "1.1", "2.0", "m2"]
        assert list(self.figure.layout.yaxis.ticktext) == ["", "0", "1", "2", ""]
        for name, trace in edge_traces(self.figure).items():
            assert trace.y[0] < trace.y[-1], name


class TestCircuit:
    figure = circuit_figure(circuit_of(PATHS))

    def test_every_head_and_edge_is_drawn_once(self):
        assert sorted(head_labels(self.figure)) == ["0.3", "1.0", "2.2", "3.0", "3.1"]
        assert sorted(edge_traces(self.figure)) == sorted(f"{s} → {r}" for s, r in PATHS)
        assert heading(self.figure) == "5 heads, 6 edges"
        assert "logits" in notes(self.figure)
        assert survives_json(self.figure)

    def test_widths_grow_with_the_effect(self):
        by_effect = sorted(PATHS, key=lambda path: abs(PATHS[path]))
        traces = edge_traces(self.figure)
        widths = [traces[f"{s} → {r}"].line.width for s, r in by_effect]
        assert all(thin < wide for thin, wide in pairwise(widths))

    def test_colour_shows_the_sign_and_opacity_the_size(self):
        traces, palette = edge_traces(self.figure), palette_of("transparent")
        for (sender, receiver), effect in PATHS.items():
            colour = traces[f"{sender} → {receiver}"].line.color
            hue = mix(palette.helps if effect < 0 else palette.hurts, 0.0).rsplit(",", 1)[0]
            assert colour.startswith(hue)
        strong, weak = (traces[name].line.color for name in ("3.1 → logits", "0.3 → 1.0.v"))
        assert float(strong[:-1].rsplit(",")[-1]) > float(weak[:-1].rsplit(",")[-1])

    def test_inputs_differ_in_dash_and_are_explained(self):
        traces = edge_traces(self.figure)
        dashes = {r[-1]: traces[f"{s} → {r}"].line.dash for s, r in PATHS if r != "logits"}
        assert len(set(dashes.values())) == 3
        legend = {t.name: t.line.dash for t in self.figure.data if t.showlegend is not False}
        assert dashes == {
            key: legend[f"{name} input"]
            for key, name in zip("qkv", ("query", "key", "value"), strict=True)
        }
        assert {"helps the answer (effect < 0)", "hurts it (effect > 0)"} <= legend.keys()

    def test_dashes_keep_their_length_on_wide_edges(self):
        """Plotly's own grow with the width: a short wide edge would be one blot or none."""
        lines = [trace.line.dash for trace in edge_traces(self.figure).values()]
        assert all(dash == "solid" or dash.endswith("px") for dash in lines)

    def test_long_names_fit_their_circles(self):
        for name, circle in (("3.1", 0.36), ("31.31", 0.32)):
            circuit = Circuit(frozenset({Head.parse(name)}), frozenset(), 32, 32)
            (heads,) = (t for t in circuit_figure(circuit).data if t.name == "heads")
            assert heads.textfont.size <= circle * heads.marker.size + 0.5

    def test_edges_run_upward_from_the_sender(self):
        places = {
            text: (x, y)
            for trace in self.figure.data
            if trace.name == "heads"
            for text, x, y in zip(trace.text, trace.x, trace.y, strict=True)
        }
        for name, trace in edge_traces(self.figure).items():
            assert (trace.x[0], trace.y[0]) == places[name.split(" → ")[0]]
            assert all(low < high for low, high in pairwise(trace.y))
        assert places["3.1"][1] == places["3.0"][1] == 3
        assert edge_traces(self.figure)["3.1 → logits"].y[-1] == 4

    def test_hover_gives_the_numbers(self):
        assert "-0.6000" in edge_traces(self.figure)["3.1 → logits"].hovertemplate
        heads = next(trace for trace in self.figure.data if trace.name == "heads")
        described = dict(zip(heads.text, heads.hovertext, strict=True))["1.0"]
        assert "sends to 2" in described and "receives from 1" in described
        assert "+0.100" in described

    def test_only_layers_with_heads_are_shown(self):
        figure = circuit_figure(circuit_of({("0.1", "3.0.q"): -0.1}))
        assert list(figure.layout.yaxis.ticktext) == ["0", "3"]
        assert list(figure.layout.yaxis.tickvals) == [0, 1]

    def test_strongest_limits_the_edges_not_the_heads(self):
        figure = circuit_figure(circuit_of(PATHS), strongest=2)
        assert sorted(edge_traces(figure)) == ["3.0 → logits", "3.1 → logits"]
        assert sorted(head_labels(figure)) == ["0.3", "1.0", "2.2", "3.0", "3.1"]
        assert heading(figure) == "5 heads, 6 edges; the 2 strongest are drawn"
        fills = {text: t.marker.color for t in figure.data if t.name == "heads" for text in t.text}
        assert fills["3.1"] == fills["3.0"] != fills["1.0"]

    def test_strongest_none_draws_all_and_a_negative_number_is_refused(self):
        assert len(edge_traces(circuit_figure(circuit_of(PATHS), strongest=None))) == 6
        with pytest.raises(InputError, match=r"strongest .* got -1"):
            circuit_figure(circuit_of(PATHS), strongest=-1)

    def test_no_heads_gives_a_message(self):
        figure = circuit_figure(Circuit.of_heads([], 4, 4))
        assert notes(figure) == ["This circuit has no heads."]
        assert survives_json(figure)

    @pytest.mark.parametrize("paths", [{}, {("3.1", "logits"): 0.0}])
    def test_heads_without_edges_or_without_effect(self, paths):
        figure = circuit_figure(circuit_of(paths, extra=("0.0", "2.1")))
        assert {"0.0", "2.1"} <= set(head_labels(figure))
        assert survives_json(figure)

    def test_a_hundred_heads_on_a_transparent_page(self):
        random = np.random.default_rng(0)
        heads = [Head(layer, index) for layer in range(20) for index in range(5)]
        edges = frozenset(
            Edge(sender, Receiver(receiver, "v"), float(random.normal()))
            for sender in heads
            for receiver in heads
            if sender.layer < receiver.layer and random.random() < 0.1
        )
        figure = circuit_figure(Circuit(frozenset(heads), edges, 20, 5))
        assert len(head_labels(figure)) == 100
        assert len(edge_traces(figure)) == 200 < len(edges)
        assert figure.layout.paper_bgcolor == figure.layout.plot_bgcolor == "rgba(0,0,0,0)"

    @pytest.mark.parametrize(
        ("n_layers", "n_heads", "width"), [(5, 2, None), (20, 5, None), (3, 33, None), (3, 33, 800)]
    )
    def test_heads_do_not_overlap_and_their_names_can_be_read(self, n_layers, n_heads, width):
        names = [f"{layer}.{index}" for layer in range(n_layers) for index in range(n_heads)]
        circuit = Circuit.of_heads(names, n_layers, n_heads)
        figure = circuit_figure(circuit, width=width)
        (heads,) = [trace for trace in figure.data if trace.name == "heads"]
        layout, margin = figure.layout, figure.layout.margin
        across = ((width or 1000) - margin.l - margin.r) / np.ptp(layout.xaxis.range)
        upward = (layout.height - margin.t - margin.b) / np.ptp(layout.yaxis.range)
        places = np.array([heads.x, heads.y]).T * (across, upward)
        apart = np.linalg.norm(places[:, None] - places, axis=-1)[~np.eye(len(names), dtype=bool)]
        assert apart.min() >= heads.marker.size >= 16
        assert heads.textfont.size >= 8


@st.composite
def circuits(draw) -> tuple[list[Head], list[Edge]]:
    places = st.tuples(st.integers(0, 5), st.integers(0, 4))
    heads = sorted(Head(*place) for place in draw(st.sets(places, min_size=1, max_size=14)))
    pairs = [(a, b) for a in heads for b in heads if a.layer < b.layer]
    chosen = draw(st.lists(st.sampled_from(pairs), max_size=20)) if pairs else []
    return heads, [Edge(a, Receiver(b, "q"), -0.1) for a, b in chosen]


class TestLayout:
    @given(circuits())
    @settings(max_examples=5, deadline=None)
    def test_heads_stand_apart_inside_the_page(self, drawn):
        layout = arrange(*drawn)
        assert all(0 <= x <= layout.width for x in layout.x.values())
        for a in layout.x:
            for b in layout.x:
                if a < b and a.layer == b.layer:
                    assert abs(layout.x[a] - layout.x[b]) >= 1

    def test_the_same_circuit_gets_the_same_layout(self):
        circuit = circuit_of(PATHS)
        assert circuit_figure(circuit) == circuit_figure(circuit)

    def test_an_edge_goes_around_a_head_in_its_way(self):
        low, middle, high = Head(0, 0), Head(1, 0), Head(2, 0)
        layout = arrange([low, middle, high], [Edge(low, Receiver(high, "q"), -0.5)])
        assert layout.x[low] == layout.x[high] != layout.x[middle]

    def test_parallel_edges_do_not_cross(self):
        heads = [Head(layer, index) for layer in (0, 1) for index in range(4)]
        edges = [Edge(Head(0, i), Receiver(Head(1, 3 - i), "q"), -0.5) for i in range(4)]
        x = arrange(heads, edges).x
        below = sorted(range(4), key=lambda i: x[Head(0, i)])
        assert below == sorted(range(4), key=lambda i: x[Head(1, 3 - i)])
