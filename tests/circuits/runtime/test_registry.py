"""Things by name: ours are offered without being imported, those of others are checked."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from circuits.errors import InputError, MismatchError, UnknownNameError
from circuits.runtime.registry import PluginWarning, Registry
from tests.circuits.packages import install_package

OURS = {"square": "our_shapes:SQUARE", "circle": "our_shapes:CIRCLE"}
OUR_MODULE = """
class Shape:
    def __init__(self, name, corners=0):
        self.name, self.corners = name, corners

SQUARE, CIRCLE = Shape("square", 4), Shape("circle")
"""
THEIR_MODULE = """
class Star:
    name, corners = "star", 5

class Clash:
    name, corners = "square", 3

    def __repr__(self):
        return "Clash()"

STAR, CLASH = Star(), Clash()
NOT_A_SHAPE = 7
"""
REGISTERING = """
from their_shapes import STAR
from conftest_shapes import REGISTRY

REGISTRY.register(STAR)
"""


def flaw(entry) -> str | None:
    return None if hasattr(entry, "corners") else "it must have corners"


class Shape:
    """A shape of one's own."""

    def __init__(self, name, corners=3) -> None:
        self.name, self.corners = name, corners

    def __repr__(self) -> str:
        return f"Shape({self.name!r})"


@pytest.fixture
def shapes(tmp_path, monkeypatch):
    """A registry of shapes, the modules that they are in, and what imports itself into it."""
    monkeypatch.syspath_prepend(tmp_path)
    registry = Registry("shape", OURS, flaw)
    monkeypatch.setitem(sys.modules, "conftest_shapes", SimpleNamespace(REGISTRY=registry))
    modules = {"our_shapes": OUR_MODULE, "their_shapes": THEIR_MODULE, "registering": REGISTERING}
    for name, text in modules.items():
        (tmp_path / f"{name}.py").write_text(text)
    (tmp_path / "broken_shapes.py").write_text("raise OSError('no weights\\nhere')")
    yield registry
    for name in (*modules, "broken_shapes"):
        sys.modules.pop(name, None)


@pytest.fixture
def install(tmp_path):
    """Bring a package with entry points."""

    def installed(package: str, group: str = "accelerated_path_patching.shapes", **entries) -> None:
        install_package(tmp_path, package, group, entries)

    return installed


class TestOurs:
    def test_names_are_offered_and_checked_without_importing(self, shapes) -> None:
        assert shapes.names() == ("square", "circle")
        assert "square" in shapes
        assert "cube" not in shapes
        shapes.check("circle")
        assert "our_shapes" not in sys.modules

    def test_one_is_imported_when_it_is_asked_for(self, shapes) -> None:
        assert shapes.get("square").corners == 4
        assert shapes.get("square") is shapes.get("square")
        assert [shape.name for shape in shapes.all()] == ["square", "circle"]
        assert shapes.names() == ("square", "circle")

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("sqare", "unknown shape 'sqare'; did you mean 'square'? known shapes: square, circle"),
            ("xyz", "unknown shape 'xyz'; known shapes: square, circle"),
        ],
    )
    def test_unknown_names(self, shapes, name: str, message: str) -> None:
        for ask in (shapes.get, shapes.check):
            with pytest.raises(UnknownNameError) as error:
                ask(name)
            assert str(error.value) == message

    def test_advice_and_error_of_ones_own(self) -> None:
        registry = Registry("shape", OURS, flaw, advice="; or draw one", error=MismatchError)
        with pytest.raises(MismatchError, match=r"square, circle; or draw one$"):
            registry.get("xyz")
        with pytest.raises(MismatchError, match="no shape"):
            registry.register(7)


class TestRegistering:
    def test_comes_behind_ours(self, shapes) -> None:
        mine = Shape("triangle")
        assert shapes.register(mine) is mine
        assert shapes.names() == ("square", "circle", "triangle")
        assert shapes.get("triangle") is mine
        assert "triangle" in shapes

    def test_a_function_goes_by_its_own_name(self) -> None:
        def area(shape):
            return 0

        registry = Registry("measure", {})
        registry.register(area)
        assert registry.get("area") is area

    @pytest.mark.parametrize(
        ("entry", "message"),
        [
            (
                SimpleNamespace(name="flat"),
                r"namespace\(name='flat'\) is no shape: it must have",
            ),
            (Shape(""), r"Shape\(''\) has no name; give it a `name` attribute"),
            (Shape(None), "has no name"),
            (Shape(3), "has no name"),
        ],
    )
    def test_flaws_are_refused(self, shapes, entry, message: str) -> None:
        with pytest.raises(InputError, match=message):
            shapes.register(entry)
        assert shapes.names() == ("square", "circle")

    def test_names_of_ours_are_taken(self, shapes) -> None:
        message = (
            r"the shape name 'square' of Shape\('square'\) is taken by .*; choose another than "
            "square, circle"
        )
        with pytest.raises(InputError, match=message):
            shapes.register(Shape("square"))
        assert shapes.get("square").corners == 4

    def test_names_of_others_are_taken(self, shapes) -> None:
        class Other(Shape):
            pass

        shapes.register(Shape("triangle"))
        with pytest.raises(InputError, match=r"'triangle' .*is taken by Shape\('triangle'\)"):
            shapes.register(Other("triangle"))

    def test_the_same_may_be_defined_anew(self, shapes) -> None:
        """As a notebook cell does that is run again."""
        shapes.register(Shape("triangle"))
        again = shapes.register(Shape("triangle", corners=33))
        assert shapes.get("triangle") is again
        assert shapes.names().count("triangle") == 1


class TestWithin:
    def test_an_entry_is_there_inside_alone(self, shapes) -> None:
        with shapes.with_entry(Shape("triangle")) as mine:
            assert shapes.get("triangle") is mine
        assert "triangle" not in shapes

    def test_also_where_the_inside_fails(self, shapes) -> None:
        with pytest.raises(RuntimeError, match="inside"), shapes.with_entry(Shape("triangle")):
            raise RuntimeError("inside")
        assert "triangle" not in shapes

    def test_what_was_there_before_comes_back(self, shapes) -> None:
        first = shapes.register(Shape("triangle"))
        with shapes.with_entry(Shape("triangle", corners=33)) as second:
            assert shapes.get("triangle") is second
        assert shapes.get("triangle") is first

    def test_flaws_are_refused(self, shapes) -> None:
        with pytest.raises(InputError, match="is no shape"), shapes.with_entry(7):
            pytest.fail("inside")


class TestPackages:
    def test_bring_entries(self, shapes, install) -> None:
        install("some-package", star="their_shapes:STAR")
        assert shapes.names() == ("square", "circle", "star")
        assert shapes.get("star").corners == 5
        shapes.check("star")

    def test_a_module_registers_its_own(self, shapes, install) -> None:
        install("some-package", anything="registering")
        assert shapes.names() == ("square", "circle", "star")
        assert "anything" not in shapes

    def test_of_another_group_are_left_alone(self, shapes, install) -> None:
        install("some-package", "accelerated_path_patching.tasks", star="their_shapes:STAR")
        assert "star" not in shapes
        assert "their_shapes" not in sys.modules

    def test_ours_do_not_wait_for_them(self, shapes, install) -> None:
        install("bad-package", bad="broken_shapes:SHAPE")
        assert shapes.get("square").corners == 4
        assert "square" in shapes
        assert "broken_shapes" not in sys.modules

    @pytest.mark.parametrize(
        ("value", "reason"),
        [
            ("broken_shapes:SHAPE", "OSError: no weights)"),
            ("no_such_module:SHAPE", "ModuleNotFoundError: No module named 'no_such_module'"),
            ("their_shapes:MISSING", "AttributeError: "),
            ("their_shapes:NOT_A_SHAPE", "7 is no shape: it must have corners"),
            ("their_shapes:CLASH", "the shape name 'square' of Clash() is taken by "),
        ],
    )
    def test_a_broken_one_is_named_once_and_the_rest_goes_on(
        self, shapes, install, value: str, reason: str
    ) -> None:
        install("bad-package", bad=value)
        install("some-package", star="their_shapes:STAR")
        with pytest.warns(PluginWarning) as warned:
            assert shapes.names() == ("square", "circle", "star")
        assert shapes.names() == ("square", "circle", "star")
        assert len(warned) == 1
        message = str(warned[0].message)
        assert message.startswith("the shape 'bad' of package bad-package cannot be used (")
        assert message.endswith("); update or remove that package")
        assert reason in message
        assert shapes.get("square").corners == 4
        with pytest.raises(InputError, match="shape 'bad' of package bad-package cannot be used"):
            shapes.get("bad")


@pytest.mark.parametrize(
    ("kind", "group"), [("task", "tasks"), ("search", "searches"), ("metric", "metrics")]
)
def test_groups_are_named_by_what_they_bring(kind: str, group: str) -> None:
    assert Registry(kind, {}).group == f"accelerated_path_patching.{group}"
