"""Colours that can be told apart, also by the colour-blind, and text that stays text."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch

from circuits import Circuit, Discovery, DiscoveryConfig, Head, Receiver
from circuits.behaviour import Behaviour
from circuits.discovery.problem import Provenance
from circuits.errors import UnknownNameError
from circuits.evaluation import Curve, CurvePoint, SizeCurve, SizePoint
from circuits.figures import (
    THEMES,
    attention_figure,
    circuit_figure,
    cost_figure,
    faithfulness_figure,
    head_scores_figure,
    inclusion_figure,
    overlap_figure,
    pareto_figure,
    receiver_effects_figure,
    seeds_figure,
    sizes_figure,
    sparsity_curve_figure,
)
from circuits.figures.style import palette_of
from circuits.graph import ModelGraph
from circuits.model import AttentionPattern, ModelIdentity
from circuits.patching import EdgeValues
from circuits.pruning import Pruning
from circuits.runtime.cost import Cost, StageCost
from circuits.statistics import Estimate
from circuits.studies import SeedRun, SeedStudy
from circuits.studies.record import SearchRecord

PAGES = {
    "transparent": ("#ffffff", "#0d1117"),
    "light": (palette_of("light").page,),
    "dark": (palette_of("dark").page,),
}
SIGHT = {
    "normal": np.eye(3),
    # Machado, Oliveira and Fernandes 2009, table 1, severity 1.
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
WHITE = TO_XYZ.sum(1)


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def contrast(colour: str, page: str) -> float:
    """WCAG 2.2's ratio of luminances."""
    low, high = sorted(float(TO_XYZ[1] @ linear(each)) for each in (colour, page))
    return (high + 0.05) / (low + 0.05)


def difference(one: str, other: str, sight: str) -> float:
    """CIE 1976 colour difference as it is seen; 2.3 is just noticeable."""
    labs = []
    for colour in (one, other):
        seen = np.clip(np.array(SIGHT[sight]) @ linear(colour), 0, 1)
        t = TO_XYZ @ seen / WHITE
        x, y, z = np.where(t > 0.008856, np.cbrt(t), 7.787 * t + 16 / 116)
        labs.append(np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)]))
    return float(np.linalg.norm(labs[0] - labs[1]))


@pytest.mark.parametrize("theme", THEMES)
class TestPalette:
    def test_text_can_be_read(self, theme):
        palette, enough = palette_of(theme), 4.0 if theme == "transparent" else 4.5
        for page in PAGES[theme]:
            assert contrast(palette.ink, page) >= enough
            assert contrast(palette.muted, page) >= enough
        assert contrast(palette.on_node, palette.node) >= 4.5

    def test_lines_and_marks_stand_out_from_the_page(self, theme):
        palette = palette_of(theme)
        for page in PAGES[theme]:
            for colour in (palette.helps, palette.hurts, *palette.series):
                assert contrast(colour, page) >= 2.9, colour

    @pytest.mark.parametrize("sight", SIGHT)
    def test_signs_and_series_can_be_told_apart(self, theme, sight):
        palette = palette_of(theme)
        assert difference(palette.helps, palette.hurts, sight) > 50
        low, high = palette.diverging[0][1], palette.diverging[-1][1]
        assert difference(low, high, sight) > 50
        for one, other in combinations(palette.series, 2):
            assert difference(one, other, sight) > 15, (one, other)


def test_the_measure_sees_what_the_colour_blind_confuse():
    """Red and green of equal lightness are no palette."""
    assert difference("#c23b3b", "#5a8a2a", "normal") > 60
    assert difference("#c23b3b", "#5a8a2a", "deuteranopia") < 25


def test_an_unknown_theme_is_refused(without_type_checks):
    known = "known themes: transparent, light, dark"
    with pytest.raises(UnknownNameError, match=f"unknown theme 'pink'; {known}"):
        palette_of("pink")
    with pytest.raises(UnknownNameError, match="unknown theme 'lihgt'; did you mean 'light'"):
        palette_of("lihgt")


HEADS = Circuit.of_heads(["0.0", "1.1"], 2, 2)
EFFECTS = EdgeValues.unknown(ModelGraph(n_layers=2, n_heads=2, n_kv_heads=2))
EFFECTS.put(Receiver.logits(), EFFECTS.graph.heads, [1.0, 0.0, 0.0, 1.0])
TAG = "<b>x</b>"
DISCOVERY = Discovery(
    circuit=HEADS,
    performance=50.0,
    behaviour=Behaviour(4, 1.0, 1.0, 1.0, 0.0),
    prunings={},
    scores={},
    effects=None,
    cost=Cost((), 1),
    config=DiscoveryConfig(),
    provenance=Provenance(ModelIdentity("m", "a", 2, 2, 2, 4, 2, "float32", ""), "task", {}),
)


KEPT = Estimate(91.0, 84.0, 96.0)
POINT = SizePoint(TAG, frozenset({Head(0, 0)}), KEPT, KEPT, KEPT, KEPT)


def study_of(*found: Discovery) -> SeedStudy:
    return SeedStudy(tuple(map(SeedRun, found)), reported=0)


EVERY_FIGURE = {
    "attention": lambda theme: attention_figure(
        AttentionPattern(Head(0, 0), (TAG, TAG), torch.eye(2)), TAG, theme=theme
    ),
    "circuit": lambda theme: circuit_figure(HEADS, TAG, theme=theme),
    "no circuit": lambda theme: circuit_figure(Circuit.of_heads([], 2, 2), TAG, theme=theme),
    "cost": lambda theme: cost_figure(Cost((StageCost(TAG, 1, 1.0, 1),), 1), TAG, theme=theme),
    "faithfulness": lambda theme: faithfulness_figure(
        {
            TAG: Curve(
                "signed",
                TAG,
                "mean",
                (CurvePoint(0.5, 1, Estimate(1.0, 0.0, 2.0)),),
                Estimate(1.0, 1.0, 1.0),
                Estimate(0.0, 0.0, 0.0),
            )
        },
        TAG,
        theme=theme,
    ),
    "overlap": lambda theme: overlap_figure(HEADS, HEADS, (TAG, TAG), theme=theme),
    "pareto": lambda theme: pareto_figure(SearchRecord((), 75.0), TAG, theme=theme),
    "receiver": lambda theme: receiver_effects_figure(EFFECTS, "logits", HEADS, TAG, theme=theme),
    "scores": lambda theme: head_scores_figure(np.eye(2), HEADS.heads, TAG, theme=theme),
    "seeds": lambda theme: seeds_figure(study_of(DISCOVERY), TAG, theme=theme),
    "inclusion": lambda theme: inclusion_figure(study_of(DISCOVERY), TAG, nodes=True, theme=theme),
    "no seeds": lambda theme: seeds_figure(study_of(), TAG, theme=theme),
    "sizes": lambda theme: sizes_figure(SizeCurve.of([POINT], 85), TAG, theme=theme),
    "sweep": lambda theme: sparsity_curve_figure(
        {TAG: Pruning(HEADS.heads, (0.5,), (90.0,), 0)}, TAG, theme=theme
    ),
}


@pytest.mark.parametrize("name", EVERY_FIGURE)
class TestEveryFigure:
    def test_it_has_the_page_and_the_ink_of_its_theme(self, name):
        for theme in THEMES:
            layout, palette = EVERY_FIGURE[name](theme).layout, palette_of(theme)
            assert layout.paper_bgcolor == palette.page
            assert layout.title.font.color == palette.ink
            assert layout.font.color == palette.muted
            assert layout.height

    def test_names_are_no_markup(self, name):
        text = EVERY_FIGURE[name]("light").to_json().replace("\\u003c", "<")
        assert "&lt;b" in text
        assert TAG not in text.replace("\\u003e", ">").replace("\\u002f", "/")
