"""What comes first: the word that a person sees, and dbt's process; and what is said if pytest can't begin."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pytest_dbtci.dbt_client.client import Host
    from pytest_dbtci.settings import Settings

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


_HOST = pytest.StashKey["Host"]()
_ONLY_TELLS = ("-h", "--help", "-V", "--version", "--dbt-ci-sweep")


def start_dbt(config: pytest.Config, args: Sequence[str]) -> None:
    """Start dbt's process where the arguments say that it will be needed: most of a small plan's time is its import.

    It ends with pytest, whether or not `take_host` was called, before which conftest files and plugins are imported.
    """
    is_run = any(arg == "--dbt-ci" or arg.startswith("--dbt-ci-release") for arg in args)
    is_worker = "PYTEST_XDIST_WORKER" in os.environ
    if not is_run or is_worker or any(arg.partition("=")[0] in _ONLY_TELLS for arg in args):
        return
    from pytest_dbtci.dbt_client.begin import begin, discard

    # Without a folder to work in, the run says so once it is configured.
    with contextlib.suppress(OSError):
        config.stash[_HOST] = host = begin(config.invocation_params.dir, os.environ)
        config.add_cleanup(partial(discard, host))


def take_host(config: pytest.Config, settings: Settings) -> Host:
    """Return dbt's process: the one that was started, unless the environment has changed since; else another."""
    from pytest_dbtci.dbt_client.begin import begin, discard

    host = config.stash.get(_HOST, None)
    if host is not None and host.environ == settings.environ:
        return host
    if host is not None:
        discard(host)
    try:
        return begin(settings.invocation_dir, settings.environ)
    except OSError as error:
        raise usage_error(
            f"there is no folder for temporary files that can be written to ({error}): set TMPDIR to one"
        ) from None


def usage_error(text: str) -> pytest.UsageError:
    """Return the error that ends pytest with exit code 4; on a terminal its text is broken at words."""
    from pytest_dbtci.ci.stream import harmless
    from pytest_dbtci.reports.terminal import wrapped

    if _COLUMNS:
        before = "ERROR: "
        lines = (part for line in f"{before}{text}".split("\n") for part in wrapped(line, _COLUMNS, indent=""))
        text = "\n".join(lines).removeprefix(before)
    return pytest.UsageError(harmless(text, os.environ))
