"""What a person sees first, and what they see if pytest can't begin."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterable

import pytest

_COLUMNS = shutil.get_terminal_size().columns if sys.stderr is not None and sys.stderr.isatty() else 0
"""How wide the terminal is on which pytest's last words stand, 0 without one; asked before pytest captures both."""


def say_hello(args: Iterable[str]) -> None:
    """Show on a terminal that something begins, in a row that pytest's first line takes: imports take a second."""
    able = sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    if able and not {"-q", "-qq", "--quiet", "-p=no:terminal", "no:terminal"}.intersection(args):
        sys.stdout.write("dbt-ci: starting …\r")
        sys.stdout.flush()


def usage_error(text: str) -> pytest.UsageError:
    """Return the error that ends pytest with exit code 4; on a terminal its text is broken at words."""
    from pytest_dbtci.ci.stream import harmless
    from pytest_dbtci.reports.terminal import wrapped

    if _COLUMNS:
        before = "ERROR: "
        lines = (part for line in f"{before}{text}".split("\n") for part in wrapped(line, _COLUMNS, indent=""))
        text = "\n".join(lines).removeprefix(before)
    return pytest.UsageError(harmless(text, os.environ))
