"""The mark: the small table that says whose a schema is; see `protocol.Mark` for what stands in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from pytest_dbtci.dbt_client.protocol.values import Mark

MARK_TABLE = "dbt_ci_mark"


def mark_of(row: Mapping[str, object]) -> Mark | None:
    """Return the mark that a row, by column names, is; None where it is none of this tool."""
    known = {f.name: str(row[f.name]) for f in fields(Mark) if row.get(f.name) is not None}
    if not {"tool", "pr", "run", "head", "started"} <= known.keys() or known["tool"] != Mark.tool:
        return None
    return Mark(**known)
