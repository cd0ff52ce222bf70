"""The host: a process that imports dbt once and does what the controller asks, one request after the other.

Requests come as JSON lines on standard input, answers and events go as JSON lines to what was standard output;
anything else that prints (dbt, an adapter, a user's macro) ends up on standard error. Requests run in the main
thread, where a SIGINT reaches dbt the way dbt expects. A `cancel` request takes effect at once.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import queue
import shutil
import signal
import sys
import threading
import time
import traceback
from pathlib import Path
from typing import TextIO

from pytest_dbtci.dbt_client.protocol.lines import (
    TO_HOST,
    Alive,
    Cancel,
    Done,
    Failed,
    Line,
    Quit,
    Ready,
    Settle,
    read_line,
    write_line,
)
from pytest_dbtci.dbt_host.libraries import dump_at_once, parse_once
from pytest_dbtci.dbt_host.operations import Operations
from pytest_dbtci.dbt_host.runner import DbtFailed
from pytest_dbtci.dbt_host.warehouse_errors import kind_of_trouble

CANCEL_SECONDS = 3.0
"""How long a cancelled request may wait for the warehouse before its connections are ended."""

BEAT_SECONDS = 10.0
"""How often a host that works says that it lives."""

ABANDON_SECONDS = 300.0
"""How long a host whose controller is gone may take to clean up."""


class Server:
    """Serve requests until `quit` or until the controller is gone.

    `private` is the run's folder, which the controller removes; this host does when the controller can't. `broken`
    tells why there is no dbt to serve with.
    """

    def __init__(self, requests: TextIO, answers: TextIO, private: str = "", *, broken: str = "") -> None:
        self._requests = requests
        self._answers = answers
        self._private = private
        self._broken = broken
        self._todo: queue.Queue[Line | None] = queue.Queue()
        self._writing = threading.Lock()
        self._choosing = threading.Lock()
        self._cancelled = set[int | None]()
        self._current: int | None = None
        self._working: int | None = None
        self._operations = Operations(self._emit)

    def serve(self) -> None:
        """Answer every request; when the controller vanishes without a `quit`, tear down what was created."""
        signal.signal(signal.SIGINT, self._interrupt)
        signal.signal(signal.SIGTERM, self._interrupt)
        for work in (self._read, self._beat):
            threading.Thread(target=work, daemon=True).start()
        self._emit(Ready())
        while (line := self._todo.get()) is not None:
            if line.kind == Quit.__name__:
                return
            self._emit(self._answer(line), line.number)
        try:
            self._operations.abandon()
        except BaseException:
            # Nobody is left to tell: the schemas carry their mark, by which a later run or a sweep finds them.
            _tell_of_error()
        self._remove_private()

    def _answer(self, line: Line) -> Done | Failed:
        try:
            try:
                with self._choosing:
                    if line.number in self._cancelled:
                        raise KeyboardInterrupt
                    self._current = self._working = line.number
                if self._broken:
                    return Failed(text=self._broken, kind="trouble")
                return Done(answer=self._operations.answer(line.read(TO_HOST)))
            finally:
                self._current = self._working = None
        except KeyboardInterrupt:
            return Failed(text="cancelled", kind="cancelled")
        except DbtFailed as error:
            text = str(error)
            return Failed(text=text, kind="usage" if error.usage else "trouble", trouble=kind_of_trouble(text))
        except BaseException as error:
            _tell_of_error()
            text = f"{type(error).__name__}: {error}"
            return Failed(text=text, kind="trouble", trouble=kind_of_trouble(text))

    def _beat(self) -> None:
        while True:
            time.sleep(BEAT_SECONDS)
            if self._working is not None:
                self._emit(Alive())

    def _read(self) -> None:
        try:
            for text in self._requests:
                self._take(text)
        except BaseException:
            # Without this thread nothing would be answered any more; the controller sees the end, and the reason.
            _tell_of_error()
            os._exit(1)
        watchdog = threading.Timer(ABANDON_SECONDS, self._give_up)
        watchdog.daemon = True
        watchdog.start()
        if self._current is not None:
            self._cancel(self._current)
        self._todo.put(None)

    def _take(self, text: str) -> None:
        try:
            line = read_line(text)
        except json.JSONDecodeError:
            # An empty line, or a request whose sender was interrupted and does not wait for an answer.
            return
        if line.kind == Cancel.__name__:
            self._cancel(line.number)
        elif line.kind == Settle.__name__:
            settle: Settle = line.read(TO_HOST)
            os.chdir(settle.cwd)
            os.environ.update(settle.environ)
        else:
            self._todo.put(line)

    def _cancel(self, number: int | None) -> None:
        with self._choosing:
            self._cancelled.add(number)
            if self._current == number:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                timer = threading.Timer(CANCEL_SECONDS, self._sever, args=(number,))
                timer.daemon = True
                timer.start()

    def _sever(self, number: int | None) -> None:
        if self._working == number:
            self._operations.sever()

    def _interrupt(self, *_: object) -> None:
        if self._current is not None:
            # Once for each request: dbt must be left in peace while it cancels its queries.
            self._current = None
            raise KeyboardInterrupt

    def _give_up(self) -> None:
        self._remove_private()
        os._exit(1)

    def _remove_private(self) -> None:
        if self._private:
            shutil.rmtree(self._private, ignore_errors=True)

    def _emit(self, message: object, number: int | None = None) -> None:
        line = write_line(message, number)
        try:
            with self._writing:
                self._answers.write(line + "\n")
                self._answers.flush()
        except OSError:
            # The controller is gone; the end of standard input says so too and is acted upon.
            pass


def _tell_of_error() -> None:
    """Print where the exception came from; a log that can't be written to must not keep its reason from anybody."""
    with contextlib.suppress(OSError):
        traceback.print_exc()
        sys.stderr.flush()


def _import_dbt() -> str:
    """Import dbt while the controller is busy with git, and let it work fast.

    Returns what to do where dbt can't be imported, else nothing.

    Walking a large manifest again and again, with nothing in it to collect, is half of dbt's time on it
    (2,000 models, dbt 1.11). The thresholds keep a cold parse within the memory that the defaults need.
    """
    gc.disable()
    try:
        import dbt.cli.main  # noqa: F401
    except Exception as error:
        _tell_of_error()
        return (
            f"dbt can't be imported: {type(error).__name__}: {error}\n"
            f"See `{sys.executable} -c 'import dbt.cli.main'`, and install dbt-core and the adapter there once more."
        )
    gc.enable()
    gc.freeze()
    gc.set_threshold(50_000, 5, 1_000)
    parse_once()
    dump_at_once()
    return ""


def main() -> None:
    """Take over the standard streams and serve; the only argument, if any, is the run's private folder."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    requests = os.fdopen(os.dup(0), "r", encoding="utf-8")
    with Path(os.devnull).open(encoding="utf-8") as nothing:
        os.dup2(nothing.fileno(), 0)
    broken = _import_dbt()
    Server(requests, answers, *sys.argv[1:2], broken=broken).serve()
    with contextlib.suppress(OSError):
        sys.stderr.flush()
    # Adapters leave threads and connections of their own behind that must not hold the process back.
    os._exit(0)


if __name__ == "__main__":
    main()
