"""Figures as files."""

from __future__ import annotations

import plotly.graph_objects as go
import pytest

from circuits.errors import InputError, PictureError
from circuits.figures import picture, save_figure
from tests.browser import needs_browser

FIGURE = go.Figure(go.Scatter(x=[1, 2], y=[3, 4]))


def test_html_needs_no_browser(tmp_path, monkeypatch):
    monkeypatch.setattr(picture, "find_spec", lambda name: None)
    path = save_figure(FIGURE, tmp_path / "new" / "figure.html")
    text = path.read_text()
    assert "Plotly.newPlot" in text
    assert "<script src=" not in text


def test_an_unknown_ending_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"written as \.png, .*\.svg.* got 'figure\.txt'"):
        save_figure(FIGURE, tmp_path / "figure.txt")
    assert list(tmp_path.iterdir()) == []


def test_without_kaleido_the_error_says_how_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setattr(picture, "find_spec", lambda name: None)
    with pytest.raises(PictureError, match=r"needs kaleido: pip install .*\[figures\]"):
        save_figure(FIGURE, tmp_path / "figure.png")


def test_without_a_browser_the_error_says_how_to_install_one(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("no browser")

    monkeypatch.setattr(go.Figure, "to_image", fail)
    with pytest.raises(PictureError, match=r"apt-get install chromium.* BROWSER_PATH"):
        save_figure(FIGURE, tmp_path / "figure.svg")
    assert list(tmp_path.iterdir()) == []


@needs_browser
def test_pictures_are_drawn(tmp_path):
    pytest.importorskip("kaleido")
    assert save_figure(FIGURE, tmp_path / "figure.png").read_bytes().startswith(b"\x89PNG")
    assert b"<svg" in save_figure(FIGURE, tmp_path / "figure.svg").read_bytes()
