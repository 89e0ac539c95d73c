from .page import render_report, write_report
from .saved_run import SavedRun

__all__ = [
    "SavedRun",
    "render_report",
    "write_report",
]
