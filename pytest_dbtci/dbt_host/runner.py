"""Drive dbt through its documented runner: arguments in, result or dbt's own words out."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

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


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """Hold what every dbt command of one purpose shares.

    `target_path` and `log_path` are folders of our own, so that the user's `target/` and `logs/` stay as they
    are. Empty texts leave the choice to dbt.
    """

    project_dir: str
    profiles_dir: str
    target_path: str
    log_path: str
    profile: str = ""
    target: str = ""
    vars: str = ""
    threads: int | None = None

    def run(
        self,
        command: str,
        *args: str,
        manifest: Any = None,
        callbacks: Sequence[Callable[[Any], None]] = (),
    ) -> Any:
        """Invoke one dbt command and give dbt's result object.

        Raises DbtFailed with dbt's message for anything that ended in an exception, KeyboardInterrupt when
        the invocation was cancelled.
        """
        from dbt.cli.main import dbtRunner

        answer = dbtRunner(manifest=manifest, callbacks=list(callbacks)).invoke(
            [*QUIET, *command.split(), *self._arguments(command), *args]
        )
        if isinstance(answer.exception, KeyboardInterrupt):
            raise KeyboardInterrupt
        if answer.exception is not None:
            raise DbtFailed(plain(str(answer.exception)), usage=_is_usage(answer.exception))
        return answer.result

    def _arguments(self, command: str) -> list[str]:
        given = {
            "--project-dir": self.project_dir,
            "--profiles-dir": self.profiles_dir,
            "--target-path": self.target_path,
            "--log-path": self.log_path,
            "--profile": self.profile,
            "--target": self.target,
            "--vars": self.vars,
            "--threads": "" if self.threads is None or command in _UNTHREADED else str(self.threads),
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
