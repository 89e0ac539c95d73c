"""A page as a browser takes it apart."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from typing import Any


class Page(HTMLParser):
    """Tags with their attributes, scripts, headings and text."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.headings: list[tuple[int, str]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()

    @property
    def text(self) -> str:
        """What can be read, white space as one space."""
        return " ".join(" ".join(self.texts).split())

    @property
    def ids(self) -> list[str]:
        return [value for _, found in self.tags if (value := found.get("id"))]

    @property
    def figures(self) -> dict[str, dict[str, Any]]:
        """By id, the figure in each theme."""
        return {
            str(found["id"]).removesuffix("-data"): json.loads(content)
            for found, content in self.scripts
            if found.get("type") == "application/json"
        }

    @property
    def programs(self) -> list[str]:
        """Scripts that run."""
        return [content for found, content in self.scripts if "type" not in found]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self._open.append(tag)
        if tag == "script":
            self.scripts.append((dict(attrs), ""))
        if tag in ("h1", "h2", "h3"):
            self.headings.append((int(tag[1]), ""))

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop() != tag:
            pass

    def handle_data(self, data: str) -> None:
        inside = self._open[-1] if self._open else ""
        if inside == "script":
            found, content = self.scripts[-1]
            self.scripts[-1] = (found, content + data)
        elif inside != "style":
            self.texts.append(data)
        if inside in ("h1", "h2", "h3"):
            level, content = self.headings[-1]
            self.headings[-1] = (level, content + data)
