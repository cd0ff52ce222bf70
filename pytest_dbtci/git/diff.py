"""List the paths that differ between a commit and the work tree."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from pytest_dbtci.git.process import Git

Status = Literal["added", "modified", "deleted", "renamed"]

# git's letters; T is a change of type (a file became a symbolic link), U a conflict that isn't resolved yet.
_STATUS: dict[str, Status] = {
    "A": "added",
    "C": "added",
    "D": "deleted",
    "M": "modified",
    "R": "renamed",
    "T": "modified",
    "U": "modified",
}
_SUBMODULE = "160000"

# Without core.fileMode a file that only became executable has the same object on both sides.
_DIFF = (
    *("-c", "core.fileMode=false", "diff", "--raw", "-z", "--no-abbrev"),
    *("--find-renames", "--ignore-submodules=none"),
)


@dataclass(frozen=True, kw_only=True)
class Change:
    """Name one path (posix, from the repository's root) that differs between the base and the work tree.

    A changed submodule stands as the files that changed in it, or as its own path when it was moved or removed
    or isn't checked out. `exact` tells that the content is the same on the disk: of a renamed file, or of one that
    git only stores otherwise.
    """

    path: str
    status: Status
    old_path: str | None = None
    exact: bool = field(default=False, compare=False)


def changed_files(git: Git, base: str) -> Iterator[Change]:
    """Yield what differs between a commit or tree and the work tree of `git`, untracked files included."""
    with _own_index(git) as own:
        untracked = set(own("ls-files", "--others", "--exclude-standard", "-z").split("\0")) - {""}
        listed = iter(own(*_DIFF, base, "--").split("\0"))
    changes: dict[str, Change] = {}
    for entry in listed:
        if not entry:
            break
        old_mode, new_mode, old, new, letter = entry.removeprefix(":").split(" ")
        status, path = _STATUS[letter[0]], next(listed)
        if status == "renamed":
            changes |= _renamed(path, next(listed), still_there=path in untracked, exact=letter == "R100")
        elif _SUBMODULE in (old_mode, new_mode):
            yield from _submodule_changes(git, path, status, old if old_mode == _SUBMODULE else None)
        elif old != new or letter != "M":
            # A file that was added has no object yet where the index is older than the disk (a copied clone).
            changes[path] = Change(path=path, status=status)
    for path in untracked:
        # Out of the index but still on the disk: not deleted. Another repository is listed as `name/`.
        status = "modified" if path in changes else "added"
        changes[path] = Change(path=path.rstrip("/"), status=status)
    yield from changes.values()


def _renamed(old: str, new: str, *, still_there: bool, exact: bool) -> dict[str, Change]:
    if not still_there:
        return {new: Change(path=new, status="renamed", old_path=old, exact=exact)}
    return {new: Change(path=new, status="added"), old: Change(path=old, status="modified")}


def _submodule_changes(git: Git, module: str, status: Status, old: str | None) -> Iterator[Change]:
    """Yield the files that changed in a submodule, or the submodule itself when it can't be looked into."""
    directory = git.directory / module
    inside = Git(directory)
    if status == "deleted" or not (directory / ".git").exists():
        yield Change(path=module, status=status)
        return
    base = old or inside("hash-object", "-t", "tree", "--stdin")  # the empty tree
    if inside.ask("rev-parse", "--quiet", "--verify", f"{base}^{{tree}}") is None:
        yield Change(path=module, status=status)
        return
    for change in changed_files(inside, base):
        old_path = f"{module}/{change.old_path}" if change.old_path else None
        yield replace(change, path=f"{module}/{change.path}", old_path=old_path)


@contextmanager
def _own_index(git: Git) -> Iterator[Git]:
    """Let git work on a copy of the index, as `diff` writes to it when files were touched without being changed."""
    index = git.directory / git("rev-parse", "--git-path", "index")
    with tempfile.TemporaryDirectory(prefix="dbt-ci-index-") as private:
        copy = Path(private) / "index"
        if index.exists():
            # The time counts: a file as young as the index is read, as it may have changed since.
            shutil.copy2(index, copy)
        own = Git(git.directory, environment={"GIT_INDEX_FILE": str(copy)})
        _look_at_all(own)
        yield own


def _look_at_all(own: Git) -> None:
    """Undo in this index what makes git overlook files; what a sparse checkout leaves out stays out."""
    flagged = _flagged(own)
    assumed = [path for flag, path in flagged if flag.islower()]
    skipped = [path for flag, path in flagged if flag in "Ss" and os.path.lexists(own.directory / path)]
    for option, paths in (("--no-assume-unchanged", assumed), ("--no-skip-worktree", skipped)):
        if paths:
            # A split index would leave its shared part in the user's repository.
            whole = ("-c", "core.splitIndex=false", "update-index")
            own(*whole, option, "-z", "--stdin", stdin="".join(f"{path}\0" for path in paths))


def left_out(git: Git) -> frozenset[str]:
    """Return the paths that a sparse checkout leaves out of the work tree."""
    return frozenset(p for flag, p in _flagged(git) if flag in "Ss" and not os.path.lexists(git.directory / p))


def _flagged(git: Git) -> list[tuple[str, str]]:
    """Return every path that git overlooks, with its letter: `S` for skip-worktree, lower case for assume-unchanged."""
    listed = (line.partition(" ") for line in git("ls-files", "-v", "-z").split("\0") if line)
    return [(flag, path) for flag, _, path in listed if flag in "Ss" or flag.islower()]
