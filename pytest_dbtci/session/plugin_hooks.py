"""Ask a team's own plugins: what one of them raises is said with its own lines alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from pytest_dbtci.errors import UsageError
from pytest_dbtci.execution.result_listener import told
from pytest_dbtci.plan import Plan
from pytest_dbtci.results import Result


def ask_plugins(config: pytest.Config, hook: str, **known: Any) -> list[Any]:
    """Return what each plugin answers; UsageError where one fails."""
    with _told(hook):
        return list(getattr(config.hook, hook)(config=config, **known))


def gather(config: pytest.Config, hook: str, **known: Any) -> list[Any]:
    """Return all that the plugins' answers hold, a text being one thing; UsageError where one fails."""
    with _told(hook):
        answers = getattr(config.hook, hook)(config=config, **known)
        return [found for answer in answers for found in ([answer] if isinstance(answer, str) else answer)]


def added_lines(config: pytest.Config, plan: Plan, results: Mapping[str, Result]) -> tuple[tuple[str, ...], str]:
    """Return what the plugins add to the terminal's summary and the pages, and how one of them failed."""
    try:
        lines = gather(config, "pytest_dbtci_summary", plan=plan, results=results) if plan.nodes else []
    except UsageError as error:
        return (), str(error)
    return tuple(map(str, lines)), ""


@contextmanager
def _told(hook: str) -> Iterator[None]:
    try:
        yield
    except (UsageError, pytest.UsageError, pytest.exit.Exception):
        raise
    # What `pytest.fail` and `pytest.skip` raise is no Exception.
    except (Exception, pytest.fail.Exception, pytest.skip.Exception) as error:
        raise UsageError(told(error, hook)) from None
