"""Saved runs as one HTML page; and figures of results in words, for the page and the terminal."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from circuits.report.page import render_report, write_report
    from circuits.report.saved_run import SavedRun

# Imported on first use: the words are wanted by every command, the page by one.
_MODULES = {"SavedRun": "saved_run", "render_report": "page", "write_report": "page"}
__all__ = ["SavedRun", "render_report", "write_report"]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'circuits.report' has no attribute {name!r}")
    return getattr(import_module(f"circuits.report.{_MODULES[name]}"), name)
