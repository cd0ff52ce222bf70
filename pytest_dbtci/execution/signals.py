"""Ctrl-C, SIGTERM and SIGHUP: the first one ends the session, the others wait for its end."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

GRACE_SECONDS = 5.0
"""How long after the first signal another one can't break into what pytest does until the teardown begins."""


class Interrupts:
    """Turn a signal into one KeyboardInterrupt.

    `note` is called for those that break nothing off, and `missed` tells that there were any.
    """

    def __init__(self) -> None:
        self.note: Callable[[], None] = lambda: None
        self._old: dict[int, Any] = {}
        self._raised = -GRACE_SECONDS
        self._patient = False
        self.missed = False

    def install(self) -> None:
        """Handle the signals, but for a SIGHUP that is ignored, as `nohup` wants; only a main thread can.

        SIGINT is ignored in what a shell runs in the background, where a CI provider's agent sends it all the same.
        """
        if threading.current_thread() is threading.main_thread():
            numbers = [signal.SIGINT, signal.SIGTERM]
            if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
                numbers.append(signal.SIGHUP)
            for number in numbers:
                self._old[number] = signal.signal(number, self._hear)

    def restore(self) -> None:
        """Restore the signals; safe to call more than once."""
        while self._old:
            signal.signal(*self._old.popitem())

    @contextlib.contextmanager
    def patiently(self) -> Iterator[None]:
        """Defer signals until what runs inside is done."""
        before, self._patient = self._patient, True
        try:
            yield
        finally:
            self._patient = before

    def _hear(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._patient or now - self._raised < GRACE_SECONDS:
            self.missed = True
            self.note()
            return
        self._raised = now
        raise KeyboardInterrupt(*(() if number == signal.SIGINT else (f"signal {number}",)))
