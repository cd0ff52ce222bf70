"""Changes of a work tree, found and expected."""

from __future__ import annotations

from pathlib import Path

from pytest_dbtci.git.repository import Change, Repository


def changes(path: Path, base: str = "master") -> list[Change]:
    """Return what changed in the work tree since the base."""
    found = Repository.find(path).compare(base=base, target=None, provider_base=None, provider_head=None)
    return list(found.changes)


def added(path: str) -> Change:
    """Return the change of a file that was added."""
    return Change(path=path, status="added")


def modified(path: str) -> Change:
    """Return the change of a file that was modified."""
    return Change(path=path, status="modified")


def deleted(path: str) -> Change:
    """Return the change of a file that was deleted."""
    return Change(path=path, status="deleted")


def renamed(old_path: str, path: str) -> Change:
    """Return the change of a file that was renamed."""
    return Change(path=path, status="renamed", old_path=old_path)
