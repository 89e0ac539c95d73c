"""Reading figures: what must be seen on them is in them."""

from __future__ import annotations

import json

import plotly.graph_objects as go


def heading(figure: go.Figure) -> str:
    return figure.layout.title.text


def notes(figure: go.Figure) -> list[str]:
    return [annotation.text for annotation in figure.layout.annotations]


def in_legend(figure: go.Figure) -> list[str]:
    return [trace.name for trace in figure.data if trace.showlegend is not False]


def survives_json(figure: go.Figure) -> bool:
    text = figure.to_json()
    return "NaN" not in text and go.Figure(json.loads(text)) == figure
