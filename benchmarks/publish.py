"""Keeping measured figures: as JSON, on standard output, and between README's markers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

README = Path(__file__).parents[1] / "README.md"


def publish(
    measured: dict[str, Any], out: Path, markdown: str, section: str | None, readme: Path = README
) -> None:
    """Write `measured` to `out`, print `markdown`; put it into a section of README if named."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(measured, indent=1) + "\n")
    print(markdown)
    if section is not None:
        readme.write_text(replace_section(readme.read_text(), section, markdown))


def replace_section(text: str, section: str, content: str) -> str:
    """Replace what stands between a section's markers. Raises ValueError where they are missing."""
    start, end = f"<!-- {section} -->", f"<!-- end of {section} -->"
    if start not in text or end not in text:
        raise ValueError(f"the text lacks the markers {start} and {end}")
    before, _, rest = text.partition(start)
    return f"{before}{start}\n{content}\n{end}{rest.partition(end)[2]}"
