"""Break commands to the CI provider in a text that comes in pieces, such as a terminal's."""

from __future__ import annotations

import re
from collections.abc import Mapping

from pytest_dbtci.ci.build import Environment
from pytest_dbtci.ci.providers import PROVIDERS, Provider


def reader_of(environ: Mapping[str, str]) -> Provider | None:
    """Return the provider that runs commands that it finds in a log, whatever else is wrong with the build."""
    env = Environment(environ)
    return next((p for p in PROVIDERS if p.marks and p.is_here(env)), None)


def harmless(text: str, environ: Mapping[str, str]) -> str:
    """Return the text without the meaning of a command to the provider in this environment."""
    reader = reader_of(environ)
    return reader.neutralize(text) if reader else text


class Stream:
    """What is written piece by piece: a command that is whole only with a later piece is broken in that piece."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._reader = reader_of(environ)
        self._line = ""

    def feed(self, piece: str) -> str:
        """Return what to write instead of the next piece."""
        if self._reader is None:
            return piece
        written, whole = len(self._line), self._line + piece
        places = {
            max(_first(m) + 1, written) for p in self._reader.marks for m in p.finditer(whole) if m.end() > written
        }
        for place in sorted(places, reverse=True):
            whole = f"{whole[:place]} {whole[place:]}"
        self._line = re.split(r"[\r\n]", whole)[-1]
        return whole[written:]

    def begin_line(self) -> None:
        """Note that the line was ended from outside."""
        self._line = ""


def _first(match: re.Match[str]) -> int:
    """Return where the mark begins, behind what may stand before it in a line."""
    return match.start() + min(i for i, c in enumerate(match.group()) if c in "#:")
