"""What a person sees first, and what they see if pytest can't begin."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Sequence

import pytest

_COLUMNS = shutil.get_terminal_size().columns if sys.stderr is not None and sys.stderr.isatty() else 0
"""How wide the terminal is on which pytest's last words stand, 0 without one; asked before pytest captures both."""


_HELLO = pytest.StashKey[bool]()
_SILENT = frozenset({"-qq", "-p=no:terminal", "no:terminal"})


def say_hello(config: pytest.Config, args: Sequence[str]) -> None:
    """Show on a terminal that something begins, in a row that `unsay_hello` takes: imports take a second."""
    able = sys.stdout is not None and sys.stdout.isatty() and os.environ.get("TERM", "dumb") != "dumb"
    is_quieter = sum(arg in ("-q", "--quiet") for arg in args) > 1
    if able and not is_quieter and _SILENT.isdisjoint(args):
        config.stash[_HELLO] = True
        sys.stdout.write("dbt-ci: starting …\r")
        sys.stdout.flush()


def unsay_hello(config: pytest.Config) -> None:
    """Free the row for pytest's first line, which may be a single dot."""
    if config.stash.get(_HELLO, False):
        sys.stdout.write("\x1b[K")


def usage_error(text: str) -> pytest.UsageError:
    """Return the error that ends pytest with exit code 4; on a terminal its text is broken at words."""
    from pytest_dbtci.reports.terminal import wrapped

    if _COLUMNS:
        before = "ERROR: "
        lines = (part for line in f"{before}{text}".split("\n") for part in wrapped(line, _COLUMNS, indent=""))
        text = "\n".join(lines).removeprefix(before)
    return pytest.UsageError(fit_to_show(text))


def fit_to_show(text: str) -> str:
    """Return the text without a secret of the environment, and without a command to the CI provider."""
    from pytest_dbtci.ci.stream import harmless
    from pytest_dbtci.dbt_client.redaction import Redaction, secrets_of

    return harmless(Redaction(secrets_of({}, os.environ)).long(text), os.environ)
