"""What stands below a command's help."""

from __future__ import annotations


def examples(*lines: str) -> str:
    """Command lines under a heading."""
    # typer keeps the line breaks of a paragraph that starts with a backspace.
    return "\b\n" + "\n".join(("[dim]Examples[/dim]", *(f"  {line}" for line in lines)))
