"""Settings that say their own words: what is refused, and what is read off the fields."""

from __future__ import annotations

from dataclasses import dataclass, field
from inspect import Parameter, signature
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from circuits.errors import SettingError
from circuits.runtime.settings import (
    Checked,
    Setting,
    checked_names,
    described,
    in_words,
    lenient_names,
    setting,
    takes_settings,
)

SHAPES = ["square", "circle"]


@dataclass(frozen=True)
class Inner(Checked):
    """Settings within settings."""

    depth: int = setting(3, "How deep.", least=1)


@dataclass(frozen=True)
class Config(Checked):
    """Every kind of field."""

    shape: str = setting("square", "What to draw.", choices=lambda: SHAPES)
    size: float = setting(0.5, "How large.", above=0, most=1)
    n_corners: int | None = setting(None, "Corners.", least=3, otherwise="as many as it needs")
    is_filled: bool = setting(False, "Fill it.")
    colour: Literal["red", "blue"] = setting("red", "Its colour.", option="--paint")
    inner: Inner = setting(Inner, "What lies inside.")
    unsaid: list[int] = field(default_factory=list)


class TestRange:
    @pytest.mark.parametrize(
        ("limits", "words"),
        [
            ({}, ""),
            ({"least": 1}, "at least 1"),
            ({"above": 0, "below": 1}, "above 0 and below 1"),
            ({"least": 0, "most": 2.5}, "at least 0 and at most 2.5"),
        ],
    )
    def test_in_words(self, limits, words: str) -> None:
        assert Setting("Help.", **limits).range == words

    @given(st.floats(-3, 3), st.sampled_from(["least", "above", "below", "most"]))
    def test_each_limit(self, value: float, name: str) -> None:
        allowed = {
            "least": value >= 1,
            "above": value > 1,
            "below": value < 1,
            "most": value <= 1,
        }
        limited = Setting("Help.", **{name: 1})
        if allowed[name]:
            limited.check("size", value)
        else:
            with pytest.raises(SettingError, match=f"size must be {limited.range}, got {value}"):
                limited.check("size", value)

    @pytest.mark.parametrize("name", ["least", "above", "below", "most"])
    def test_what_is_no_number_is_in_no_range(self, name: str) -> None:
        with pytest.raises(SettingError, match=r"size must be .* 1, got nan"):
            Setting("Help.", **{name: 1}).check("size", float("nan"))

    def test_none_is_always_allowed(self) -> None:
        Setting("Help.", choices=SHAPES, least=1).check("size", None)


class TestChoices:
    def test_a_list_or_what_gives_one(self) -> None:
        assert Setting("Help.").names == ()
        for choices in (SHAPES, lambda: SHAPES):
            shape = Setting("Help.", choices=choices)
            assert shape.names == ("square", "circle")
            shape.check("shape", "circle")

    def test_they_are_asked_for_anew_each_time(self) -> None:
        """Another package may bring more of them later."""
        choices = ["square"]
        shape = Setting("Help.", choices=lambda: choices)
        with pytest.raises(SettingError, match="unknown shape 'circle'; known shapes: square"):
            shape.check("shape", "circle")
        choices.append("circle")
        shape.check("shape", "circle")

    def test_the_closest_is_suggested(self) -> None:
        message = r"unknown shape 'sqare'; did you mean 'square'\? known shapes: square, circle"
        with pytest.raises(SettingError, match=message):
            Setting("Help.", choices=SHAPES).check("shape", "sqare")

    def test_names_that_nothing_goes_by_here_can_be_read(self) -> None:
        with lenient_names():
            assert Config(shape="cube").shape == "cube"
            with pytest.raises(SettingError, match="size must be above 0 and at most 1, got 2"):
                Config(shape="cube", size=2.0)
        with pytest.raises(SettingError, match="unknown shape 'cube'"):
            Config(shape="cube")

    def test_names_are_strict_again_where_reading_fails(self) -> None:
        with pytest.raises(RuntimeError, match="inside"), lenient_names():
            raise RuntimeError("inside")
        with pytest.raises(SettingError, match="unknown shape"):
            Config(shape="cube")


class TestConfig:
    def test_defaults_are_allowed(self) -> None:
        config = Config()
        assert (config.shape, config.size, config.n_corners) == ("square", 0.5, None)
        assert config.inner == Inner()

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"shape": "cube"}, "unknown shape 'cube'"),
            ({"size": 0.0}, "size must be above 0 and at most 1, got 0.0"),
            ({"n_corners": 2}, "n_corners must be at least 3, got 2"),
        ],
    )
    def test_what_is_not_allowed_is_refused_when_it_is_made(self, settings, message: str) -> None:
        with pytest.raises(SettingError, match=message):
            Config(**settings)

    def test_a_setting_within_says_its_own_words(self) -> None:
        with pytest.raises(SettingError, match="depth must be at least 1, got 0"):
            Inner(depth=0)

    def test_fields_are_described_in_order(self) -> None:
        found = {one.name: one for one in described(Config)}
        assert list(found) == ["shape", "size", "n_corners", "is_filled", "colour", "inner"]
        assert [one.setting.help for one in found.values()][:2] == ["What to draw.", "How large."]
        kinds = [one.kind for one in found.values()]
        assert kinds == [str, float, int, bool, str, Inner]
        defaults = [one.default for one in found.values()]
        assert defaults == ["square", 0.5, None, False, "red", Inner()]
        assert [one.name for one in found.values() if one.is_flag] == ["is_filled"]
        assert found["colour"].setting.option == "--paint"

    def test_names_that_are_no_settings(self) -> None:
        checked_names(Config, {"shape": "cube", "unsaid": []})
        message = "unknown setting 'shpe'; did you mean 'shape'"
        with pytest.raises(SettingError, match=message):
            checked_names(Config, {"size": 1.0, "shpe": "square"})


def test_a_function_shows_the_settings_that_it_takes() -> None:
    @takes_settings(Config)
    def draw(paper: str, *, directory: str | None = None, **settings) -> str:
        """Draw."""
        return f"{paper} {sorted(settings)}"

    shown = signature(draw).parameters
    assert list(shown)[:4] == ["paper", "directory", "shape", "size"]
    assert "settings" not in shown
    assert all(shown[name].kind is Parameter.KEYWORD_ONLY for name in list(shown)[1:])
    assert (shown["size"].default, shown["size"].annotation) == (0.5, float)
    assert draw("A4", size=1.0) == "A4 ['size']"
    assert (draw.__name__, draw.__doc__) == ("draw", "Draw.")


@pytest.mark.parametrize(
    ("value", "one", "words"),
    [
        (None, None, "default"),
        (None, Setting("Help.", otherwise="as many as it needs"), "as many as it needs"),
        (None, Setting("Help."), "default"),
        (True, None, "yes"),
        (False, None, "no"),
        (0.25, None, "0.25"),
        (1e-7, None, "1e-07"),
        (3.0, None, "3"),
        (3, None, "3"),
        ("square", Setting("Help.", otherwise="none"), "square"),
    ],
)
def test_values_in_words(value, one, words: str) -> None:
    assert in_words(value, one) == words
