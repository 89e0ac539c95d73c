"""Opening a page in headless Chromium, where there is one."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_SECONDS = 300
_CONSOLE = re.compile(r"CONSOLE[:(].*")


def find_browser() -> str | None:
    """The program that `BROWSER_PATH` names, or the first of the usual names."""
    named = os.environ.get("BROWSER_PATH")
    return shutil.which(named) if named else next(filter(None, map(shutil.which, _NAMES)), None)


needs_browser = pytest.mark.skipif(
    find_browser() is None,
    reason="no Chromium: install one (Debian: apt-get install chromium) or set BROWSER_PATH",
)


@dataclass(frozen=True)
class OpenedPage:
    """A page after its scripts have run.

    Attributes:
        dom: The document.
        console: What was written to the console, errors of scripts and of the network included.

    """

    dom: str
    console: tuple[str, ...]


def open_page(path: Path, *, dark: bool = False) -> OpenedPage:
    """Open a file as a reader does, in a fresh profile, with no network to reach."""
    with tempfile.TemporaryDirectory() as profile:
        finished = subprocess.run(
            [
                str(find_browser()),
                "--headless",
                # Its sandbox needs rights that containers lack.
                "--no-sandbox",
                "--disable-gpu",
                "--disable-dev-shm-usage",
                f"--user-data-dir={profile}",
                "--host-resolver-rules=MAP * ~NOTFOUND",
                "--window-size=1200,900",
                "--virtual-time-budget=20000",
                "--enable-logging=stderr",
                *(["--force-dark-mode"] if dark else []),
                "--dump-dom",
                path.resolve().as_uri(),
            ],
            capture_output=True,
            text=True,
            timeout=_SECONDS,
            check=True,
        )
    return OpenedPage(finished.stdout, tuple(_CONSOLE.findall(finished.stderr)))
