"""Notice what dbt does not: schemas that were taken over, and connections that answer no more."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from pytest_dbtci.dbt_client.protocol.events import Emit, Event, NodeFinished
from pytest_dbtci.dbt_host.runner import DbtFailed
from pytest_dbtci.dbt_host.schema_ownership import Ownership
from pytest_dbtci.dbt_host.warehouses.generic import Warehouse

WATCH_SECONDS = float(os.environ.get("DBT_CI_WATCH_SECONDS", "10"))
"""How often a build looks whether its schemas are still its own, and whether the warehouse works for it."""

SILENCE_SECONDS = float(os.environ.get("DBT_CI_SILENCE_SECONDS", "900"))
"""After how long without a sign of life, from dbt or from the warehouse, connections are given up."""

_GIVEN_UP = (
    f"Neither dbt nor the warehouse gave a sign of life for {SILENCE_SECONDS:g} s (DBT_CI_SILENCE_SECONDS), so the "
    "connection was given up."
)


def sever(ownership: Ownership | None, warehouse: Callable[[], Warehouse]) -> None:
    """End every network connection of this process; who waits for an answer learns that there will be none.

    The warehouse may work on for them, and hold locks: before the schemas are dropped, these sessions are ended.
    """
    if ownership is not None:
        ownership.abandoned = True
        with suppress(LookupError, RuntimeError):  # dbt is just exchanging its adapter or a connection
            ownership.sessions += warehouse().own_sessions()
    for name in os.listdir("/dev/fd") if os.path.isdir("/dev/fd") else ():  # noqa: PTH112, PTH208
        with suppress(OSError):  # no socket, or not connected
            connection = socket.socket(fileno=int(name))
            try:
                if connection.family in (socket.AF_INET, socket.AF_INET6):
                    connection.shutdown(socket.SHUT_RDWR)
            finally:
                connection.detach()


class Watch:
    """Look after one request; `emit` passes events on and notes that it lives.

    `ownership` returns what the run owns, if anything yet. With `builds`, its schemas are looked at, too.
    """

    def __init__(
        self,
        ownership: Callable[[], Ownership | None],
        warehouse: Callable[[], Warehouse],
        emit: Emit,
        *,
        builds: bool = False,
    ) -> None:
        self._ownership = ownership
        self._builds = builds
        self._warehouse = warehouse
        self._emit = emit
        self._ended, self._due = threading.Event(), threading.Event()
        self._heard = time.monotonic()
        self._severed = self._in_vain = False
        self._lost = ""

    def emit(self, event: Event) -> None:
        """Pass an event of dbt's on; trouble with the warehouse may come from a newer run, so it is looked for."""
        self._heard, self._in_vain = time.monotonic(), False
        if isinstance(event, NodeFinished) and event.result.trouble:
            self._due.set()
            if self._severed:
                message = f"{event.result.message}\n\n{_GIVEN_UP}"
                event = replace(event, result=replace(event.result, message=message))
        self._emit(event)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while the block runs; DbtFailed where a newer run has taken its schemas, or nothing answered."""
        for work in (self._look, self._listen):
            threading.Thread(target=work, daemon=True).start()
        try:
            yield
        except KeyboardInterrupt:
            if self._lost:
                raise DbtFailed(self._lost, usage=False) from None
            raise
        except DbtFailed as error:
            if self._severed and not self._builds:
                raise DbtFailed(f"{error}\n\n{_GIVEN_UP}", usage=False) from error
            raise
        finally:
            self._ended.set()
            self._due.set()

    def _look(self) -> None:
        """Cancel what runs as soon as a newer run has taken the schemas over: it must not be written into."""
        while self._due.wait(WATCH_SECONDS) or not self._ended.is_set():
            self._due.clear()
            if self._ended.is_set():
                return
            try:
                why = self._look_once()
            except Exception:
                # A warehouse that does not answer is the request's own trouble, and dbt may be between two adapters.
                continue
            if why and not self._ended.is_set():
                self._lost = why
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                return

    def _look_once(self) -> str:
        ownership, warehouse, why = self._ownership(), self._warehouse(), ""
        with warehouse.beside_dbt():
            if self._builds and ownership is not None:
                why = ownership.lost(warehouse)
                if not why and ownership.statements:
                    # What can't be marked is said at the end.
                    ownership.adopt(warehouse)
            if warehouse.is_at_work():
                self._heard = time.monotonic()
        return why

    def _listen(self) -> None:
        while not self._ended.wait(min(1.0, SILENCE_SECONDS)):
            if time.monotonic() - self._heard > SILENCE_SECONDS:
                if self._in_vain:
                    _end_process()
                self._severed = self._in_vain = True
                self._heard = time.monotonic()
                sever(self._ownership(), self._warehouse)


def _end_process() -> None:
    """End this process, which waits for something else than a connection; its last words say where each thread is."""
    names = {t.ident: t.name for t in threading.enumerate()}
    for ident, frame in sys._current_frames().items():
        where = f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}"
        print(f"{names.get(ident, ident)}: {where}", file=sys.stderr)
    print(f"{_GIVEN_UP} Nothing came of that for as long again.", file=sys.stderr, flush=True)
    os._exit(1)
