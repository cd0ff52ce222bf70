"""The repository's Python modules, followed from import to import."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path

from pytest_dbtci.project.references import files, is_named

_LEFT_OUT = ("node_modules", "site-packages", "__pycache__")


class Modules:
    """The Python files below a folder, installed ones and virtual environments apart; paths are POSIX, from it."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def leading_to(self, path: str) -> list[str]:
        """Return the files that import or name this one, directly or not."""
        found: list[str] = []
        todo = [path]
        while todo:
            here = todo.pop()
            for file, pattern in self._named.get(here.rpartition("/")[2].lower(), ()):
                if file != path and file not in found and is_named(here, [pattern]):
                    found.append(file)
                    todo.append(file)
        return found

    @cached_property
    def _named(self) -> dict[str, list[tuple[str, str]]]:
        """Map the name of each file that is named to where, and by which pattern."""
        found: dict[str, list[tuple[str, str]]] = {}
        for path in self._files():
            text = path.read_text(encoding="utf-8", errors="replace")
            for pattern in files(text, python=True):
                where = path.relative_to(self._root).as_posix()
                found.setdefault(pattern.rpartition("/")[2].lower(), []).append((where, pattern))
        return found

    def _files(self) -> Iterator[Path]:
        for place, folders, names in os.walk(self._root):
            if "pyvenv.cfg" in names:
                folders.clear()
                continue
            folders[:] = [f for f in folders if not f.startswith(".") and f not in _LEFT_OUT]
            found = (Path(place, name) for name in names if name.endswith(".py"))
            yield from (path for path in found if path.is_file())
