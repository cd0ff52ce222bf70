"""What happened to each node: values, and the place where they arrive while dbt builds."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Literal

from pytest_dbtci.codec import Words
from pytest_dbtci.differences import Comparison, OnBase

Outcome = Literal["passed", "warned", "failed", "skipped", "error"]

NOT_RUN = "not run"
"""The status of a node that trouble of the run kept from being built; the trouble itself is told once, elsewhere."""

REUSED = "reused"
"""The status of a node that stands in the schemas already, built from the same by an earlier run."""

LEFT_OUT = "left out"
"""The status of a node that was not built because what it reads holds what the base's holds."""

OUTCOMES: dict[str, Outcome] = {
    "success": "passed",
    "pass": "passed",
    REUSED: "passed",
    "no-op": "passed",
    "warn": "warned",
    "fail": "failed",
    "error": "failed",
    "runtime error": "failed",
    "partial success": "failed",
    "skipped": "skipped",
    NOT_RUN: "skipped",
    LEFT_OUT: "skipped",
}
"""dbt's statuses (all resource types) as ours, and those of our own; what is not here is an `error`."""


@dataclass(frozen=True, kw_only=True)
class Rows:
    """The first rows of a query: column names, then rows of texts; `more` tells that rows were left out."""

    columns: tuple[Words, ...]
    rows: tuple[tuple[Words, ...], ...]
    more: bool = False


@dataclass(frozen=True, kw_only=True)
class Result:
    """What dbt said of one node.

    `status` is dbt's own word, `seconds` dbt's execution time, `failures` the number of failing rows of a data
    test. `message` is dbt's or the warehouse's text without colours. `compiled` is the path of the compiled
    SQL, `rows` the first failing rows. `cause` is the unique_id of the node because of which it was skipped.
    `started` is when dbt began with it (seconds since the epoch), `thread` the name of dbt's thread that worked on it.
    `on_base` says of a failed data test how it stands on the base.
    `outcome` follows from the status unless the trouble was not the node's (`error`).
    """

    unique_id: str
    status: str
    message: Words = ""
    seconds: float = 0.0
    failures: int | None = None
    relation: str | None = None
    compiled: str | None = None
    rows: Rows | None = None
    cause: str | None = None
    trouble: bool = False
    started: float | None = None
    thread: str = ""
    comparison: Comparison | None = None
    on_base: OnBase | None = None

    @property
    def outcome(self) -> Outcome:
        """Return the outcome that pytest shows."""
        if self.trouble:
            return "error"
        return OUTCOMES.get(self.status, "error")

    @property
    def is_bad(self) -> bool:
        """Whether this makes a run red."""
        return self.outcome in ("failed", "error")


@dataclass(frozen=True, kw_only=True)
class Teardown:
    """What became of the schemas: names dropped, names kept, and what went wrong (empty when nothing did).

    `shell` is the command that connects a person to what was kept, where one is known.
    """

    dropped: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    trouble: str = ""
    shell: str = ""


class Results:
    """Collect results as they arrive and let any thread wait for one.

    `close` ends the waiting: whoever asks for a node without a result then gets None.
    """

    def __init__(self) -> None:
        self._found: dict[str, Result] = {}
        self._running: dict[str, float] = {}
        self._changed = threading.Condition()
        self._closed = False

    def start(self, unique_id: str) -> None:
        """Note that dbt began with the node."""
        with self._changed:
            self._running[unique_id] = time.monotonic()

    def add(self, result: Result) -> None:
        """Store a result; the first one of a node counts."""
        with self._changed:
            self._running.pop(result.unique_id, None)
            self._found.setdefault(result.unique_id, result)
            self._changed.notify_all()

    def set_aside(self, unique_id: str) -> None:
        """Note that dbt is done with the node, whose result comes later."""
        with self._changed:
            self._running.pop(unique_id, None)

    def close(self) -> None:
        """Note that no further result will come."""
        with self._changed:
            self._closed = True
            self._running.clear()
            self._changed.notify_all()

    def get(self, unique_id: str) -> Result | None:
        """Return the node's result if there is one by now."""
        return self._found.get(unique_id)

    def wait(self, unique_id: str, timeout: float | None = None) -> Result | None:
        """Wait for the node's result; None when the build ended, or `timeout` seconds passed, without one.

        The wait is cut into short pieces so that Ctrl-C reaches the waiting main thread on every platform.
        """
        deadline = None if timeout is None else time.monotonic() + timeout
        with self._changed:
            while unique_id not in self._found and not self._closed:
                left = 0.5 if deadline is None else min(0.5, deadline - time.monotonic())
                if left <= 0:
                    break
                self._changed.wait(left)
            return self._found.get(unique_id)

    def wait_for_more(self, after: int, timeout: float) -> tuple[str, ...]:
        """Return the unique_ids whose results came after the first `after` ones, in the order in which they came.

        Without any it waits for one, `timeout` seconds at most, or until the build ends.
        """
        with self._changed:
            if len(self._found) <= after and not self._closed:
                self._changed.wait(timeout)
            return tuple(islice(self._found, after, None))

    @property
    def closed(self) -> bool:
        """Whether the build has ended."""
        return self._closed

    @property
    def running(self) -> dict[str, float]:
        """Return the nodes that dbt works on now, with the seconds since they began."""
        with self._changed:
            now = time.monotonic()
            return {unique_id: now - began for unique_id, began in self._running.items()}

    def __iter__(self) -> Iterator[Result]:
        with self._changed:
            return iter(tuple(self._found.values()))

    def __len__(self) -> int:
        return len(self._found)
