"""Show how far dbt is while pytest waits for it: live on a terminal, else as a plain line now and then."""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from pytest_dbtci.execution.run import Run

# The row below pytest's own is used, so that nothing needs to be known of what pytest wrote: make sure that there
# is one (index, then up), remember the place, go down, erase, write, go back.
_BELOW = "\x1bD\x1b[A\x1b7\x1b[B\r\x1b[K{text}\x1b8"


class Progress:
    """Show what dbt does; under `-q` in the live row alone, under `-qq` not at all.

    `seconds` lie between two plain lines. All hooks that make pytest write hold the lock, so that the thread that
    draws under pytest-xdist never writes in between.
    """

    def __init__(self, config: pytest.Config, run: Run, seconds: float = 30.0) -> None:
        self._config = config
        self._run = run
        self._seconds = seconds
        self._said = self._began = time.monotonic()
        self._shown = False
        self._lock = threading.RLock()
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None

    def step(self, text: str) -> None:
        """Show a step that comes before the items: as a line in a log, in place on a terminal."""
        if self.is_live:
            self._draw(f"dbt-ci: {text} …")
        elif self._reporter is not None:
            self._reporter.write_line(f"dbt-ci: {text}")

    def doing(self, text: str) -> None:
        """Show a step on a terminal, and nowhere else."""
        if self.is_live:
            self._draw(f"dbt-ci: {text} …")

    def wait(self, unique_id: str) -> None:
        """Wait until the node has a result or there will be none, showing what runs meanwhile."""
        results = self._run.results_of(unique_id)
        try:
            while results.wait(unique_id, timeout=0.25) is None and not results.closed:
                self.show()
        finally:
            self.hide()

    def show(self) -> None:
        """Show what runs now."""
        text = self._text()
        with self._lock:
            if not text:
                return
            if self.is_live:
                self._draw(text)
            elif self._reporter is not None and time.monotonic() - self._said >= self._seconds:
                self._said = time.monotonic()
                self._reporter.write_line(text)

    def hide(self) -> None:
        """Remove the live row."""
        with self._lock:
            if self._shown:
                self._draw("")
                self._shown = False

    def start(self) -> None:
        """Show progress from a thread: under pytest-xdist, where this process waits in somebody else's loop."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._repeat, daemon=True)
            self._thread.start()

    def stop(self) -> None:
        """Show nothing any more."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(timeout=5)
        self.hide()

    @contextmanager
    def hidden(self) -> Iterator[None]:
        """Keep the terminal free for what pytest writes."""
        with self._lock:
            self.hide()
            yield

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logstart(self) -> Generator[None, Any, Any]:
        """Make room for pytest's line."""
        with self.hidden():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logreport(self) -> Generator[None, Any, Any]:
        """Make room for pytest's line."""
        with self.hidden():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_logfinish(self) -> Generator[None, Any, Any]:
        """Make room for pytest's line."""
        with self.hidden():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True, optionalhook=True)
    def pytest_testnodeready(self) -> Generator[None, Any, Any]:
        """Make room for pytest-xdist's line."""
        with self.hidden():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True, optionalhook=True)
    def pytest_testnodedown(self) -> Generator[None, Any, Any]:
        """Make room for pytest-xdist's line."""
        with self.hidden():
            return (yield)

    @pytest.hookimpl(wrapper=True, tryfirst=True, optionalhook=True)
    def pytest_xdist_node_collection_finished(self) -> Generator[None, Any, Any]:
        """Make room for pytest-xdist's line."""
        with self.hidden():
            return (yield)

    @property
    def _reporter(self) -> Any:
        """Return what writes whole lines, which `-q` asks to leave out."""
        # Without a terminal reporter pytest 8.2 knows no verbosity.
        return self._terminal if self._terminal is not None and self._config.get_verbosity() >= 0 else None

    @property
    def _terminal(self) -> Any:
        return self._config.pluginmanager.get_plugin("terminalreporter")

    @property
    def is_live(self) -> bool:
        """Whether output goes to a terminal that can be drawn on."""
        able = sys.platform != "win32" and os.environ.get("TERM", "dumb") != "dumb"
        return able and bool(getattr(self._terminal, "isatty", False)) and self._config.get_verbosity() >= -1

    def _text(self) -> str:
        begun, results = self._run.begun, self._run.results
        nodes = [n for n in self._run.plan.items if n.unique_id in begun]
        if not nodes or results.closed:
            return ""
        done = sum(results.get(n.unique_id) is not None for n in nodes)
        running = sorted(results.running.items(), key=lambda r: -r[1])
        names = {n.unique_id: n.name for n in nodes}
        what = ", ".join(f"{names.get(u, u)} {s:.0f} s" for u, s in running)
        elapsed = time.monotonic() - self._began
        return f"dbt-ci: {done} of {len(nodes)} nodes, {elapsed:.0f} s" + (f" · running {what}" if what else "")

    def _draw(self, text: str) -> None:
        width = shutil.get_terminal_size().columns - 1
        text = text if len(text) <= width else text[: width - 1] + "…"
        with self._lock:
            sys.stdout.write(_BELOW.format(text=text))
            sys.stdout.flush()
            self._shown = bool(text)

    def _repeat(self) -> None:
        while not self._ended.wait(0.5) and not self._run.results.closed:
            self.show()
        self.hide()
