"""Packages that are installed for one test."""

from __future__ import annotations

from pathlib import Path


def install_package(directory: Path, package: str, group: str, entries: dict[str, str]) -> None:
    """Bring a package with entry points, for whoever has the directory on the path."""
    metadata = directory / f"{package}-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    lines = "".join(f"{name} = {value}\n" for name, value in entries.items())
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{lines}")
