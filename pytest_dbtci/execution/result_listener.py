"""Hand results to a listener in a thread of its own, so that a slow listener holds up nobody."""

from __future__ import annotations

import queue
import threading
import traceback
from collections.abc import Callable
from pathlib import Path

from pytest_dbtci.results import Result

LISTEN_SECONDS = 60.0
"""How long the end of a session waits for a listener that still has results to hear of."""


class Observer:
    """Call the listener with one result after the other; `trouble` tells of its first exception."""

    def __init__(self, listener: Callable[[Result], None]) -> None:
        self.trouble = ""
        self._listener = listener
        self._waiting = queue.SimpleQueue[Result | None]()
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def tell(self, result: Result) -> None:
        """Queue a result."""
        self._waiting.put(result)

    def close(self) -> None:
        """Wait until everything is told, for `LISTEN_SECONDS` at most; safe to call more than once."""
        self._waiting.put(None)
        self._thread.join(LISTEN_SECONDS)
        if self._thread.is_alive():
            self.trouble = self.trouble or f"a listener did not return within {LISTEN_SECONDS:g} seconds"

    def _work(self) -> None:
        while (result := self._waiting.get()) is not None:
            try:
                self._listener(result)
            except BaseException as error:  # `pytest.fail` and `sys.exit`, too, must not end the thread in silence
                self.trouble = self.trouble or told(error, "pytest_dbtci_result")


def told(error: BaseException, hook: str) -> str:
    """Return what a plugin's hook raised, and where in its own code."""
    frames = traceback.extract_tb(error.__traceback__)
    theirs = [f for f in frames if not {"pytest_dbtci", "pluggy"}.intersection(Path(f.filename).parts)]
    reason = f"the hook {hook} failed: {type(error).__name__}: {error}"
    return "\n".join([reason, *traceback.format_list(theirs)]).rstrip()
