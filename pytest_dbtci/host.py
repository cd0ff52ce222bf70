"""The controller's side of the dbt host: start the process, ask, listen, cancel, end."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any

from pytest_dbtci.errors import DbtCiError, UsageError

CANCEL_SECONDS = 30.0
"""How long a cancelled dbt may take to end its queries before the process is killed."""


class Cancelled(DbtCiError):
    """Tell that the request ended because it was cancelled."""


class HostDied(DbtCiError):
    """Tell that the host process ended by itself; what it printed last is part of the text."""


class Host:
    """Run dbt in a process of its own.

    `cwd` is the folder that relative paths of the profile start from, `environ` the process's environment,
    `log` the file that gets everything dbt or an adapter prints. The process starts with the first request,
    in a session of its own so that the terminal's Ctrl-C does not reach it directly.
    """

    def __init__(self, cwd: Path, environ: Mapping[str, str], log: Path) -> None:
        self._cwd = cwd
        self._environ = dict(environ)
        self._log = log
        self._process: subprocess.Popen[str] | None = None
        self._asking = threading.Lock()
        self._answered = threading.Condition()
        self._answers: dict[int, dict[str, Any]] = {}
        self._last = 0
        self._on_event: Callable[[dict[str, Any]], None] = lambda event: None

    def __enter__(self) -> Host:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def start(self) -> None:
        """Start the process unless it runs; it imports dbt while the caller does something else."""
        if self._process is not None:
            return
        with self._log.open("a", encoding="utf-8") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pytest_dbtci.dbt"],
                cwd=self._cwd,
                env={**self._environ, "PYTHONIOENCODING": "utf-8", "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                start_new_session=True,
            )
        threading.Thread(target=self._listen, args=(self._process.stdout,), daemon=True).start()

    def ask(self, op: str, on_event: Callable[[dict[str, Any]], None] | None = None, **args: Any) -> Any:
        """Send a request and wait for its answer.

        `on_event` gets the events that the host tells meanwhile, in the listening thread. Raises UsageError
        where dbt blames the user's input, DbtCiError for other trouble, Cancelled, or HostDied.
        """
        with self._asking:
            self.start()
            self._on_event = on_event or (lambda event: None)
            self._last += 1
            number = self._last
            self._send({"id": number, "op": op, "args": args})
            answer = self._wait(number)
        if "done" in answer:
            return answer["done"]
        kinds: dict[str, type[DbtCiError]] = {"usage": UsageError, "cancelled": Cancelled, "died": HostDied}
        raise kinds.get(answer["kind"], DbtCiError)(answer["failed"])

    def cancel(self) -> None:
        """Make dbt cancel its running queries; the request that runs raises Cancelled.

        A host that does not end its request within `CANCEL_SECONDS` is killed.
        """
        if self._process is None or not self._asking.locked():
            return
        try:
            self._send({"op": "cancel"})
        except HostDied:
            return
        if self._asking.acquire(timeout=CANCEL_SECONDS):
            self._asking.release()
        else:
            self.kill()

    def kill(self) -> None:
        """End the process at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """End the process; safe to call more than once."""
        process, self._process = self._process, None
        if process is None:
            return
        try:
            if process.stdin:
                process.stdin.write(json.dumps({"op": "quit"}) + "\n")
                process.stdin.close()
            process.wait(timeout=10)
        except (OSError, ValueError, subprocess.TimeoutExpired):
            process.kill()
            process.wait()
        if process.stdout:
            process.stdout.close()

    def _send(self, message: dict[str, Any]) -> None:
        process = self._process
        try:
            if process is None or process.stdin is None:
                raise OSError
            process.stdin.write(json.dumps(message) + "\n")
            process.stdin.flush()
        except (OSError, ValueError):
            raise HostDied(self._obituary()) from None

    def _wait(self, number: int) -> dict[str, Any]:
        with self._answered:
            # Short waits, so that Ctrl-C reaches a main thread that waits here.
            while number not in self._answers:
                self._answered.wait(0.5)
                if 0 in self._answers and number not in self._answers:
                    return self._answers[0]
            return self._answers.pop(number)

    def _listen(self, answers: IO[str]) -> None:
        try:
            for line in answers:
                self._hear(line)
        except ValueError:
            pass
        with self._answered:
            self._answers[0] = {"failed": self._obituary(), "kind": "died"}
            self._answered.notify_all()

    def _hear(self, line: str) -> None:
        try:
            message = json.loads(line)
        except json.JSONDecodeError:
            message = {
                "id": self._last,
                "failed": f"the dbt process wrote what is no answer: {line[:200]!r}",
                "kind": "died",
            }
        if "event" in message:
            self._on_event(message)
            return
        with self._answered:
            self._answers[message["id"]] = message
            self._answered.notify_all()

    def _obituary(self) -> str:
        """Say that the process ended and what it printed last."""
        code = self._process.poll() if self._process else None
        try:
            tail = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-15:]
        except OSError:
            tail = []
        said = "\nIt said last:\n  " + "\n  ".join(tail) if tail else ""
        how = f"by signal {-code}" if code is not None and code < 0 else f"with exit code {code}"
        return f"the dbt process ended unexpectedly {how}.{said}"


def environment(environ: Mapping[str, str], pr: str) -> dict[str, str]:
    """Give the environment that dbt runs in: the user's, with PR_NUMBER provided."""
    return {**environ, "PR_NUMBER": environ.get("PR_NUMBER") or pr, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}


def remove_tree(path: Path) -> None:
    """Remove a folder of ours; what can't be removed stays for the system's own cleaning."""
    import shutil

    shutil.rmtree(path, ignore_errors=True)
