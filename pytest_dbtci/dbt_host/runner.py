"""Drive dbt through its documented runner: arguments in, result or dbt's own words out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pytest_dbtci.dbt_client.protocol import Invocation

QUIET = (
    "--log-level",
    "none",
    "--log-level-file",
    "none",
    "--no-use-colors",
    "--no-print",
    "--no-send-anonymous-usage-stats",
    "--no-version-check",
)

_UNTHREADED = ("parse", "ls", "deps")
"""Commands that know no `--threads`, or have no use for it."""

_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")


class DbtFailed(Exception):
    """Carry dbt's own message; `usage` tells that the user's call, profile or project is at fault."""

    def __init__(self, message: str, *, usage: bool = True) -> None:
        super().__init__(message)
        self.usage = usage


def run_dbt(
    invocation: Invocation,
    command: str,
    *args: str,
    manifest: Any = None,
    callbacks: Sequence[Callable[[Any], None]] = (),
) -> Any:
    """Invoke one dbt command and return dbt's result object.

    Raises DbtFailed with dbt's message for anything that ended in an exception, KeyboardInterrupt when
    the invocation was cancelled.
    """
    from dbt.cli.main import dbtRunner

    answer = dbtRunner(manifest=manifest, callbacks=list(callbacks)).invoke(
        [*QUIET, *command.split(), *_arguments(invocation, command), *args]
    )
    if isinstance(answer.exception, KeyboardInterrupt):
        raise KeyboardInterrupt
    if answer.exception is not None:
        raise DbtFailed(plain(str(answer.exception)), usage=_is_usage(answer.exception))
    return answer.result


def _arguments(invocation: Invocation, command: str) -> list[str]:
    threads = "" if invocation.threads is None or command in _UNTHREADED else str(invocation.threads)
    given = {
        "--project-dir": invocation.project_dir,
        "--profiles-dir": invocation.profiles_dir,
        "--target-path": invocation.target_path,
        "--log-path": invocation.log_path,
        "--profile": invocation.profile,
        "--target": invocation.target,
        "--vars": invocation.vars,
        "--threads": threads,
    }
    return [part for flag, value in given.items() if value for part in (flag, value)]


def plain(text: str) -> str:
    """Strip colours and trailing blanks from dbt's text."""
    return "\n".join(line.rstrip() for line in _ANSI.sub("", text).strip().splitlines())


def folder(path: str | Path) -> str:
    """Make the folder if need be and give its path as text."""
    Path(path).mkdir(parents=True, exist_ok=True)
    return str(path)


def _is_usage(error: BaseException) -> bool:
    """Tell the user's mistakes (project, profile, selector, arguments) from trouble with the warehouse."""
    from dbt_common.exceptions import DbtDatabaseError

    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, DbtDatabaseError) or type(seen).__name__ == "FailedToConnectError":
            return False
        seen = seen.__cause__
    return True
