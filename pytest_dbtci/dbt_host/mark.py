"""The mark: the small table that says whose a schema is."""

from __future__ import annotations

from dataclasses import dataclass

MARK_TABLE = "dbt_ci_mark"


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What makes a schema ours: the pull request, the run that owns it, its head and when it began (UTC, ISO)."""

    tool: str = "pytest-dbtci"
    pr: str
    run: str
    head: str
    started: str
