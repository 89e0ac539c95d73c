"""README, CONTRIBUTING and CHANGELOG as pages of the documentation, links to and from them kept.

Notebooks are copied, for README links to them, too.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parents[1]
NAMES = ("README", "CONTRIBUTING", "CHANGELOG")


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the files of the repository's root, and the notebooks."""
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        files.append(File.generated(config, f"notebooks/{path.name}", abs_src_path=str(path)))
    for name in NAMES:
        text = re.sub(r"(?<=\]\()docs/", "", (ROOT / f"{name}.md").read_text(encoding="utf-8"))
        files.append(File.generated(config, f"{name.lower()}.md", content=text))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Point links to these files, wherever they lie, at their pages."""
    names = "|".join(NAMES)
    return re.sub(
        rf"\]\((?:\.\./)?((?:\.\./)*)({names})\.md",
        lambda match: f"]({match[1]}{match[2].lower()}.md",
        markdown,
    )
