"""What the reference makes of docstrings: examples as code, settings with their defaults and help.

An extension of griffe, which reads the code for mkdocstrings.
"""

from __future__ import annotations

import re
from ast import literal_eval
from typing import Any

from griffe import Attribute, Docstring, ExprCall, ExprName, Extension, Object

DOCTEST = re.compile(r"^( *)>>> .*(?:\n *\S.*)*", re.MULTILINE)


class Examples(Extension):
    """Put examples, which stand in a docstring as they are typed, into blocks of code."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        """Called for everything that may have a docstring."""
        if obj.docstring:
            obj.docstring.value = DOCTEST.sub(r"\1```pycon\n\g<0>\n\1```", obj.docstring.value)


class Settings(Extension):
    """Read `name: kind = setting(default, help, ...)` as a default and a docstring."""

    def on_attribute_instance(self, *, attr: Attribute, **_: Any) -> None:
        """Called for every attribute of a module or a class."""
        call = attr.value
        if not isinstance(call, ExprCall) or str(call.function) != "setting":
            return
        default, words = call.arguments[:2]
        # A class as the default makes one.
        attr.value = f"{default}()" if isinstance(default, ExprName) else default
        # What is on by default has the help of the option that turns it off.
        flag = f"`--no-{attr.name}`: " if str(default) == "True" else ""
        attr.docstring = Docstring(flag + literal_eval(str(words)), parent=attr)
