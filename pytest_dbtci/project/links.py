"""Symbolic links on the way to a path, which git knows as files of their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

_MOST = 40
"""So many links in a row are a circle, as they are to the system."""


def follow(path: str) -> tuple[tuple[str, ...], str]:
    """Return the links on the way to an absolute path, and where it leads; what is missing is taken as it stands."""
    anchor, links = Path(path).anchor, list[str]()
    here, todo = anchor, list(reversed(Path(path).parts[1:]))
    while todo:
        part = todo.pop()
        if part == os.pardir:
            here = str(Path(here).parent)
            continue
        here = str(Path(here, part))
        try:
            target = Path(os.readlink(here))  # noqa: PTH115 - a Path would cost more than the call
        except OSError:
            continue
        links.append(here)
        if len(links) > _MOST:
            break
        todo += reversed(target.parts[1:] if target.is_absolute() else target.parts)
        here = target.anchor if target.is_absolute() else str(Path(here).parent)
    return tuple(links), here


def walk(folder: Path) -> Iterator[os.DirEntry[str]]:
    """Yield every file and link below a folder, those behind links included; git's own folder is left out."""
    seen, todo = set[str](), [str(folder)]
    while todo:
        place = todo.pop()
        real = os.path.realpath(place)
        if real in seen:
            continue
        seen.add(real)
        try:
            entries = sorted(os.scandir(place), key=lambda entry: entry.name)
        except OSError:
            continue
        for entry in entries:
            if entry.is_dir() and entry.name != ".git":
                todo.append(entry.path)
            if entry.is_symlink() or entry.is_file():
                yield entry
