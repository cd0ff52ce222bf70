"""Where and why a team's own test stops: its own line, whatever of pytest or of this package lies below it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import pluggy
import pytest

import pytest_dbtci
from pytest_dbtci.errors import DbtCiError

_OURS = Path(pytest_dbtci.__file__).parent
_MACHINERY = (_OURS, Path(pytest.__file__).parents[1] / "_pytest", Path(pluggy.__file__).parent)


def with_only_theirs(excinfo: pytest.ExceptionInfo[BaseException]) -> pytest.ExceptionInfo[BaseException]:
    """Return what this package's fixtures raised with the test's own lines alone, if it has any there."""
    entries, kept = list(_entries(excinfo.value.__traceback__)), None
    if not entries or not _lies_in(_file(entries[-1]), _OURS):
        return excinfo
    for entry in reversed(entries):
        if not _lies_in(_file(entry), *_MACHINERY):
            kept = TracebackType(kept, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return excinfo if kept is None else pytest.ExceptionInfo.from_exception(excinfo.value.with_traceback(kept))


def _entries(entry: TracebackType | None) -> Iterator[TracebackType]:
    while entry is not None:
        yield entry
        entry = entry.tb_next


def _file(entry: TracebackType) -> str:
    return entry.tb_frame.f_code.co_filename


def in_plain_words(longrepr: Any, error: BaseException) -> None:
    """Take the module and the class of this package's errors out of what a failure shows: the text is complete."""
    if not isinstance(error, DbtCiError):
        return
    name = f"{type(error).__module__}.{type(error).__qualname__}: "
    for traceback, crash, _ in getattr(longrepr, "chain", ()):
        for entry in traceback.reprentries:
            entry.lines = [line.replace(name, "", 1) for line in entry.lines]
        if crash is not None:
            crash.message = crash.message.removeprefix(name)


def redacted(shown: Any, redact: Callable[[str], str]) -> Any:
    """Return what a failure shows, which pytest keeps in objects of its own, without secrets."""
    if isinstance(shown, str):
        return redact(shown)
    if isinstance(shown, list | tuple):
        return type(shown)(redacted(part, redact) for part in shown)
    if type(shown).__module__.startswith("_pytest._code."):
        for name, part in vars(shown).items():
            setattr(shown, name, part if name == "style" else redacted(part, redact))
    return shown


def skipped_at_its_own_line(item: pytest.Item, longrepr: Any) -> Any:
    """Return what a skip shows, which is the test's line where this package's code skipped it."""
    if isinstance(longrepr, tuple) and _lies_in(longrepr[0], _OURS):
        path, line, _ = item.reportinfo()
        return str(path), (line or 0) + 1, longrepr[2]
    return longrepr


def _lies_in(path: Any, *folders: Path) -> bool:
    return any(Path(path).is_relative_to(folder) for folder in folders)
