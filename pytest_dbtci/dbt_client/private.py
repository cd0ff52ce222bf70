"""A run's private folder: it lives as long as a process of the run does, and the next run removes what is left."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

_PREFIX = "dbt-ci-"
_LOCK = "lock"


class PrivateFolder:
    """A new folder that this user alone can read, and the lock that tells that it is in use.

    A process that is started with `descriptors` inherits the lock: it is free when all of them are gone, however
    they ended.
    """

    def __init__(self) -> None:
        remove_leftovers()
        # Locked before it has the name by which others find it.
        new = Path(tempfile.mkdtemp(prefix=f".new-{_PREFIX}"))
        self._lock = os.open(new / _LOCK, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        if fcntl is not None:
            fcntl.flock(self._lock, fcntl.LOCK_EX)
        self.path = new.rename(new.with_name(new.name.removeprefix(".new-")))
        self._is_open = True

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Return what a child process inherits."""
        return () if fcntl is None else (self._lock,)

    def remove(self) -> None:
        """Remove the folder; safe to call more than once."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._is_open:
            self._is_open = False
            os.close(self._lock)


def remove_leftovers() -> None:
    """Remove the folders of runs of which no process is left: a profile in them can hold a password."""
    if fcntl is None:
        return
    for folder in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        # Another user's, or one that somebody else removes just now.
        with contextlib.suppress(OSError):
            if folder.is_symlink() or folder.stat().st_uid != os.getuid():
                continue
            lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)
