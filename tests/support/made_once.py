"""What is dear to make is made once for all processes that run tests."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest


def made_once(
    tmp_path_factory: pytest.TempPathFactory, worker_id: str, name: str, make: Callable[[Path], None]
) -> Path:
    """Return a folder of that name that all workers share; the first to ask makes what is in it."""
    own = tmp_path_factory.getbasetemp()
    base = own if worker_id == "master" else own.parent
    with _locked(base / f"{name}.lock"):
        if not (base / f"{name}.done").exists():
            make(base / name)
            (base / f"{name}.done").touch()
    return base / name


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock that other processes respect; one that is five minutes old was left by a dead process."""
    while True:
        try:
            path.mkdir()
            break
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):
                if time.time() - path.stat().st_mtime > 300:
                    path.rmdir()
            time.sleep(0.1)
    try:
        yield
    finally:
        path.rmdir()
