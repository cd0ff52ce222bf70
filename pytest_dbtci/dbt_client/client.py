"""The controller's side of the dbt host: start the process, ask, listen, cancel, end."""

from __future__ import annotations

import contextlib
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Any, cast

from pytest_dbtci.codec import decode
from pytest_dbtci.dbt_client.private import PrivateFolder
from pytest_dbtci.dbt_client.process import COMMAND, HostDied, HostProcess
from pytest_dbtci.dbt_client.protocol.events import Event
from pytest_dbtci.dbt_client.protocol.lines import (
    FROM_HOST,
    Alive,
    Cancel,
    Done,
    Failed,
    Quit,
    Ready,
    Settle,
    read_line,
    write_line,
)
from pytest_dbtci.dbt_client.protocol.request import Answer, Request, answer_type
from pytest_dbtci.dbt_client.redaction import Redaction
from pytest_dbtci.errors import DbtCiError, UsageError

CANCEL_SECONDS = 6.0
"""How long a cancelled dbt may take to end its queries before the process is killed."""

FROZEN_SECONDS = 600.0
"""How long a process that works on a request may say nothing at all, not even that it lives, before it is killed."""

_LONGEST_LINE = 1 << 30


class Cancelled(DbtCiError):
    """The request ended because it was cancelled."""


class Host:
    """Run dbt in a process of its own.

    `cwd` is the folder that relative paths of the profile start from, `environ` the process's environment,
    `log` the file that gets everything dbt or an adapter prints. The process starts with the first request, unless
    it is given one that has started.
    `private` is a folder that it removes should this process be gone before it. Secrets are taken out of all it says.
    `waited` is how long (seconds) the first request waited for dbt to be imported, None before it is.
    """

    def __init__(
        self,
        cwd: Path,
        environ: Mapping[str, str],
        log: Path,
        *,
        redaction: Redaction | None = None,
        private: PrivateFolder | None = None,
        command: Sequence[str] = COMMAND,
        process: HostProcess | None = None,
    ) -> None:
        self._cwd = cwd
        self._environ = dict(environ)
        self._log = log
        self._redaction = redaction or Redaction()
        self.folder = private
        self._command = command
        self._process: HostProcess | None = None
        self._listener: threading.Thread | None = None
        self._asking = threading.Lock()
        self._sending = threading.RLock()
        self._answered = threading.Condition()
        self._answers: dict[int | None, Done | Failed] = {}
        self._open: dict[int | None, tuple[Any, Callable[[Event], None]]] = {}
        self._dead = ""
        self._silent = False
        self._heard = 0.0
        self._ending = False
        self._last = 0
        self.waited: float | None = None
        self._asked = 0.0
        if process is not None:
            self._attend(process)

    def __enter__(self) -> Host:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def environ(self) -> Mapping[str, str]:
        """Return the process's environment."""
        return self._environ

    @property
    def redaction(self) -> Redaction:
        """Return what knows the secrets of this run."""
        return self._redaction

    @property
    def pid(self) -> int | None:
        """Return the process's number, None while there is none."""
        return self._process.pid if self._process else None

    def start(self) -> None:
        """Start the process unless it runs; it imports dbt while the caller does something else."""
        if self._process is not None:
            return
        try:
            process = HostProcess(
                cwd=self._cwd, environ=self._environ, log=self._log, private=self.folder, command=self._command
            )
        except OSError as error:
            raise HostDied(f"the dbt process could not be started in {self._cwd}: {error}") from None
        self._attend(process)

    def _attend(self, process: HostProcess) -> None:
        self._process = process
        self._listener = threading.Thread(target=self._listen, args=(process.output,), daemon=True)
        self._listener.start()

    def settle(self, cwd: Path, environ: Mapping[str, str], redaction: Redaction) -> None:
        """Say, before the first request, where it works, what its environment holds besides, what is secret."""
        self._cwd, self._redaction = cwd, redaction
        self._environ.update(environ)
        if self._process is not None:
            # A process that is gone answers to the first request.
            with self._sending, contextlib.suppress(HostDied):
                self._send(Settle(cwd=str(cwd), environ=environ))

    def ask(
        self,
        request: Request[Answer],
        on_event: Callable[[Event], None] | None = None,
        *,
        within: float | None = None,
        last: bool = False,
    ) -> Answer:
        """Send a request and wait for its answer.

        `on_event` gets the events that the host tells meanwhile, in the listening thread. `within` bounds the
        wait (seconds): a host that is silent for longer is killed. Once `cancel` was called only requests with
        `last` are taken. Raises UsageError where dbt blames the user's input, DbtCiError for other trouble,
        Cancelled, or HostDied.
        """
        with self._asking:
            with self._sending:
                if self._ending and not last:
                    raise Cancelled("cancelled")
                self.start()
                self._last += 1
                number = self._last
                self._open[number] = (answer_type(type(request)), on_event or (lambda event: None))
                self._asked, self._heard = self._asked or time.perf_counter(), time.monotonic()
                with self._taken_in(type(request).__name__):
                    self._send(request, number)
            answer = self._wait(number, type(request).__name__, within)
        if isinstance(answer, Done):
            return cast("Answer", answer.answer)
        kinds: dict[str, type[DbtCiError]] = {"usage": UsageError, "cancelled": Cancelled}
        raise kinds.get(answer.kind, DbtCiError)(answer.text, trouble=answer.trouble)

    def cancel(self) -> None:
        """Make dbt cancel its running queries; the request that runs raises Cancelled, and so does any later one.

        A host that does not end its request within `CANCEL_SECONDS` is killed.
        """
        if self._sending.acquire(timeout=5.0):
            try:
                self._ending = True
                for number in tuple(self._open):
                    self._send(Cancel(), number)
            except HostDied:
                return
            finally:
                self._sending.release()
            with self._answered:
                if self._answered.wait_for(lambda: not self._open or self._dead, CANCEL_SECONDS):
                    return
        self._give_up(f"dbt did not stop within {CANCEL_SECONDS:g} seconds after it was cancelled, so it was ended")

    def kill(self, why: str = "") -> None:
        """End the process at once, with all that it started; `why` is what a request that waits is told."""
        if process := self._process:
            self._dead = self._dead or why
            process.kill()

    def close(self) -> None:
        """End the process; safe to call more than once. One that is still at work is killed."""
        self._ending = True
        process = self._process
        if process is None:
            return
        try:
            if self._open or self._dead:
                self.kill()
            else:
                self._send(Quit())
                process.wait(10)
        except (HostDied, subprocess.TimeoutExpired):
            self.kill()
        if self._listener is not None:
            self._listener.join(timeout=10)
        self._process = None
        process.close()

    @contextlib.contextmanager
    def _taken_in(self, asked: str) -> Iterator[None]:
        """End a process that does not read what is written inside: a pipe holds some 64 kB."""
        why = f"the dbt process did not take in `{asked}` within {FROZEN_SECONDS:g} seconds, so it was ended."
        timer = threading.Timer(FROZEN_SECONDS, self._give_up, (why,))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _give_up(self, why: str) -> None:
        self._silent = True
        self.kill(why)

    def _send(self, message: object, number: int | None = None) -> None:
        process, line = self._process, write_line(message, number)
        try:
            if process is None or self._dead:
                raise OSError
            process.write(line)
        except (OSError, ValueError):
            raise HostDied(self._obituary(), silent=self._silent) from None

    def _wait(self, number: int, asked: str, within: float | None) -> Done | Failed:
        began = time.monotonic()
        with self._answered:
            # Short waits, so that Ctrl-C reaches a main thread that waits here.
            while number not in self._answers:
                if self._dead:
                    raise HostDied(self._dead, silent=self._silent)
                if within is not None and time.monotonic() - began > within:
                    why = f"did not answer to `{asked}` within {within:g} seconds"
                    break
                if time.monotonic() - self._heard > FROZEN_SECONDS:
                    why = f"gave no sign of life for {FROZEN_SECONDS:g} seconds while it worked on `{asked}`"
                    break
                self._answered.wait(0.5)
            else:
                return self._answers.pop(number)
        why = f"the dbt process {why}, so it was ended."
        self._give_up(why)
        raise HostDied(why, silent=True)

    def _listen(self, answers: IO[str]) -> None:
        why = ""
        try:
            while line := answers.readline(_LONGEST_LINE):
                self._hear(line)
        except Exception as error:
            # Whatever it was, nobody may wait for ever for an answer that can't be heard any more.
            why = self._redaction.text(f"the dbt process wrote what is no answer ({error}), so it was ended.")
            self.kill(why)
        with self._answered:
            self._dead = self._dead or why or self._obituary()
            self._answered.notify_all()

    def _hear(self, text: str) -> None:
        line = read_line(text)
        message = line.read(FROM_HOST, self._redaction.text)
        self._heard = time.monotonic()
        if isinstance(message, Alive):
            return
        if isinstance(message, Ready):
            self.waited = time.perf_counter() - self._asked if self._asked else 0.0
        elif isinstance(message, Done | Failed):
            if line.number not in self._open:
                raise ValueError(f"an answer to request {line.number}, which is not open")
            kind, _ = self._open[line.number]
            if isinstance(message, Done):
                message = Done(answer=decode(kind, message.answer, self._redaction.text))
            with self._answered:
                self._open.pop(line.number)
                self._answers[line.number] = message
                self._answered.notify_all()
        else:
            # Requests are worked on in turn, and one that was broken off (by a test's timeout) goes on to its end.
            for _, on_event in tuple(self._open.values())[:1]:
                on_event(message)

    def _obituary(self) -> str:
        process = self._process
        return self._dead or self._redaction.text(process.obituary() if process else "the dbt process was ended.")
