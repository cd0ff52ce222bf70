"""Notice, while dbt builds, what dbt does not: schemas that were taken over, and connections that answer no more."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace

from pytest_dbtci.dbt_client.protocol import Emit, Event, NodeFinished
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


def sever() -> None:
    """End every network connection of this process; who waits for an answer learns that there will be none."""
    for name in os.listdir("/dev/fd") if os.path.isdir("/dev/fd") else ():  # noqa: PTH112, PTH208
        with suppress(OSError):  # no socket, or not connected
            connection = socket.socket(fileno=int(name))
            try:
                if connection.family in (socket.AF_INET, socket.AF_INET6):
                    connection.shutdown(socket.SHUT_RDWR)
            finally:
                connection.detach()


class Watch:
    """Look after one build; `emit` passes dbt's events on and notes that it lives."""

    def __init__(self, ownership: Ownership, warehouse: Callable[[], Warehouse], emit: Emit) -> None:
        self._ownership = ownership
        self._warehouse = warehouse
        self._emit = emit
        self._ended, self._look = threading.Event(), threading.Event()
        self._heard = time.monotonic()
        self._severed = False
        self._lost = ""

    def emit(self, event: Event) -> None:
        """Pass an event of dbt's on; trouble with the warehouse may come from a newer run, so it is looked for."""
        self._heard = time.monotonic()
        if isinstance(event, NodeFinished) and event.result.trouble:
            self._look.set()
            if self._severed:
                message = f"{event.result.message}\n\n{_GIVEN_UP}"
                event = replace(event, result=replace(event.result, message=message))
        self._emit(event)

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch while the block runs; DbtFailed where a newer run has taken its schemas."""
        for work in (self._look_at_schemas, self._listen_for_life):
            threading.Thread(target=work, daemon=True).start()
        try:
            yield
        except KeyboardInterrupt:
            if self._lost:
                raise DbtFailed(self._lost, usage=False) from None
            raise
        finally:
            self._ended.set()
            self._look.set()

    def _look_at_schemas(self) -> None:
        """Cancel what runs as soon as a newer run has taken the schemas over: it must not be written into."""
        while self._look.wait(WATCH_SECONDS) or not self._ended.is_set():
            self._look.clear()
            if self._ended.is_set():
                return
            try:
                warehouse = self._warehouse()
                why = self._ownership.lost(warehouse)
                if not why and self._ownership.statements:
                    # What can't be marked is said at the end.
                    self._ownership.adopt(warehouse)
                if warehouse.is_at_work(self._ownership.mark.run):
                    self._heard = time.monotonic()
            except DbtFailed:
                continue  # a warehouse that does not answer is the build's own trouble
            if why and not self._ended.is_set():
                self._lost = why
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
                return

    def _listen_for_life(self) -> None:
        while not self._ended.wait(min(1.0, SILENCE_SECONDS)):
            if time.monotonic() - self._heard > SILENCE_SECONDS:
                self._severed = True
                self._heard = time.monotonic()
                sever()
