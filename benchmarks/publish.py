"""Keeping measured figures: as JSON, on standard output, and on the page that shows them.

A page shows a table between two markers. README has one table, docs/numbers.md all others; which
page has which is found by the markers alone.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from circuits.runtime.files import write_atomically

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
NUMBERS = ROOT / "docs" / "numbers.md"
PAGES = (README, NUMBERS)
Write = Annotated[
    bool, typer.Option("--write", help="Write the table into README or docs/numbers.md, too.")
]
"""The option `--write` of every measurement that has a table there."""


def publish(
    measured: dict[str, Any],
    out: Path,
    markdown: str,
    section: str | None,
    pages: Sequence[Path] = PAGES,
) -> None:
    """Write `measured` to `out`, print `markdown`; put it into a section of its page if named."""
    out.parent.mkdir(parents=True, exist_ok=True)
    write_atomically({out: json.dumps(measured, indent=1).encode() + b"\n"})
    print(markdown)
    if section is not None:
        page = page_of(section, pages)
        page.write_text(replace_section(page.read_text(), section, markdown))


def kept(out: Path, about: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """What was written to `out` before and is about the same; nothing otherwise."""
    known = json.loads(out.read_text()) if out.is_file() else {}
    same = all(known.get(name) == value for name, value in (about or {}).items())
    return known if same else {}


def page_of(section: str, pages: Sequence[Path] = PAGES) -> Path:
    """The page that has a section's markers. Raises ValueError unless exactly one has them."""
    start, end = _markers(section)
    having = [page for page in pages if start in (text := page.read_text()) and end in text]
    if len(having) != 1:
        raise ValueError(f"{len(having)} of {len(pages)} pages have the markers {start} and {end}")
    return having[0]


def replace_section(text: str, section: str, content: str) -> str:
    """Replace what stands between a section's markers. Raises ValueError where they are missing."""
    start, end = _markers(section)
    if start not in text or end not in text:
        raise ValueError(f"the text lacks the markers {start} and {end}")
    before, _, rest = text.partition(start)
    return f"{before}{start}\n{content}\n{end}{rest.partition(end)[2]}"


def _markers(section: str) -> tuple[str, str]:
    return f"<!-- {section} -->", f"<!-- end of {section} -->"
