"""The JSON Schema of `circuit.json`, which is shipped beside this module."""

from __future__ import annotations

import json
from importlib import resources
from typing import Any

SCHEMA_FILE = "circuit.schema.json"


def circuit_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of what `Circuit.to_json` writes.

    >>> circuit_schema()["required"]
    ['n_layers', 'n_heads', 'heads']
    """
    file = resources.files("circuits.formats").joinpath(SCHEMA_FILE)
    return json.loads(file.read_text(encoding="utf-8"))
