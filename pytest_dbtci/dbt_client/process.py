"""The process that runs dbt: how it is started, written to, ended, and what is known of its end."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, cast

from pytest_dbtci.dbt_client.private import PrivateFolder
from pytest_dbtci.errors import DbtCiError

KILL_SECONDS = 10.0
"""How long to wait for the end of a process that was killed: one that waits for a disk ends when it likes."""

# glibc gives nearly every thread a heap of its own, of which each keeps what was freed: some percent of dbt's memory.
_DEFAULTS = {"MALLOC_ARENA_MAX": "2"}

# Not `-m`: that looks for modules in the user's project first, where anything can be called `dbt` or `queue`.
COMMAND = (
    sys.executable,
    "-c",
    "import sys; sys.path[:] = filter(None, sys.path); from pytest_dbtci.dbt_host.__main__ import main; main()",
)


class HostDied(DbtCiError):
    """The host process is of no use any more; what it printed last is part of the text.

    `silent`: it was ended because it did not answer in time.
    """

    def __init__(self, text: str, *, silent: bool = False, trouble: str = "") -> None:
        super().__init__(text, trouble=trouble)
        self.silent = silent


class HostProcess:
    """A process in a session of its own, so that the terminal's Ctrl-C does not reach it directly.

    `log` is the file that gets everything dbt or an adapter prints, `private` a folder that it removes should this
    process be gone before it. Raises OSError where it can't be started.
    """

    def __init__(
        self,
        *,
        cwd: Path,
        environ: Mapping[str, str],
        log: Path,
        private: PrivateFolder | None,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._log = log
        with log.open("a", encoding="utf-8") as printed:
            self._process = subprocess.Popen(
                [*command, *([str(private.path)] if private else [])],
                cwd=cwd,
                env={**_DEFAULTS, **environ, "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=printed,
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
                pass_fds=private.descriptors if private else (),
            )
        self._input = cast("IO[str]", self._process.stdin)
        self.output = cast("IO[str]", self._process.stdout)

    @property
    def pid(self) -> int:
        """Return its number."""
        return self._process.pid

    def write(self, line: str) -> None:
        """Write a line to it; OSError or ValueError where it reads no more."""
        # The empty line ends what a Ctrl-C may have broken off in the middle.
        self._input.write(f"\n{line}\n")
        self._input.flush()

    def wait(self, seconds: float) -> None:
        """Wait for its end; subprocess.TimeoutExpired where it does not come."""
        self._process.wait(seconds)

    def kill(self) -> None:
        """End it at once, with all that it started."""
        with contextlib.suppress(OSError):
            # It leads a process group of its own; Windows knows none.
            os.killpg(self.pid, signal.SIGKILL) if hasattr(os, "killpg") else self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(KILL_SECONDS)

    def close(self) -> None:
        """Close the pipes to it."""
        for stream in (self._input, self.output):
            with contextlib.suppress(OSError, ValueError):
                stream.close()

    def obituary(self) -> str:
        """Return how it ended, and what it printed last."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.wait(5)
        code = self._process.returncode
        try:
            tail = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-15:]
        except OSError:
            tail = []
        said = "\nIt said last:\n  " + "\n  ".join(tail) if tail else ""
        how = f"by signal {-code}" if code is not None and code < 0 else f"with exit code {code}"
        return f"the dbt process ended unexpectedly {how}.{said}"
