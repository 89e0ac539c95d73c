"""The command line: `circuits discover ioi`. Results go to stdout, everything else to stderr."""

from circuits.cli.main import app, main

__all__ = ["app", "main"]
