"""Running the command line in this process, or in a child that may be killed."""

import os
import sys
import traceback
from collections.abc import Callable

from typer.testing import CliRunner

from circuits.cli import app

FEW = ("--n-prompts", "4", "--n-mean-prompts", "8")
LOW = (
    "--method",
    "app",
    "--threshold",
    "0.4",
    "--logits-threshold",
    "0.4",
    "--min-effect",
    "0",
    "--score-share",
    "0.99",
)
"""Low enough that a random model has a circuit of several heads."""


def circuits(*arguments):
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert "Traceback" not in result.output
    return result


def error_of(*arguments, code):
    """The one line that a failing command writes to stderr."""
    result = circuits(*arguments)
    lines = [line for line in result.stderr.splitlines() if not line.endswith("…")]
    assert result.exit_code == code, result.output
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("error: ")
    return lines[0]


def start(work: Callable[[], object]) -> int:
    """A child process that does this work; importing all again would take seconds."""
    sys.stdout.flush()
    if child := os.fork():
        return child
    code = 1
    try:
        work()
        code = 0
    except SystemExit as done:
        code = int(done.code or 0)
    except BaseException:
        traceback.print_exc()
    os._exit(code)


def wait_status(work: Callable[[], object]) -> int:
    """How a child process ended that did this work."""
    return os.waitpid(start(work), 0)[1]
