"""pytest's terminal in a CI build: nothing that it shows is a command to the provider, but for what is meant as one."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from pytest_dbtci.ci.stream import Stream

_ESCAPE = re.compile(r"\x1b(?!\[[0-9;]*m)|[\x80-\x9f]")
"""What begins a command to a terminal, or a mark of a log's section; pytest itself writes colours alone."""


class TerminalGuard:
    """Redact what pytest's terminal writes, and neutralize commands in it.

    File names, node ids, messages of dbt, git and the warehouse are other people's text, wherever pytest shows them.
    """

    def __init__(self, config: pytest.Config, environ: Mapping[str, str], redact: Callable[[str], str]) -> None:
        self._config = config
        self._redact = redact
        self._stream = Stream(environ)
        self._write: Callable[..., None] | None = None

    def install(self) -> None:
        """Stand between pytest and its terminal from now on; there may be none."""
        if self._write is not None or not self._config.pluginmanager.has_plugin("terminalreporter"):
            return
        writer: Any = self._config.get_terminal_writer()
        self._write = writer.write
        writer.write = self._pass

    def send(self, command: str) -> None:
        """Write a line that is meant for the provider."""
        if self._write is not None:
            self._write(f"{command}\n")
            self._stream.begin_line()

    def _pass(self, text: str, **how: Any) -> None:
        assert self._write is not None
        shown = _ESCAPE.sub(lambda found: repr(found[0])[1:-1], self._redact(text))
        self._write(self._stream.feed(shown), **how)
