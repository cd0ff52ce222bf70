"""The tables of our own in a schema: the mark says whose it is (see `protocol.Mark`), the other what it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields

from pytest_dbtci.dbt_client.protocol.values import Mark

MARK_TABLE = "dbt_ci_mark"
BUILT_TABLE = "dbt_ci_built"


def mark_of(row: Mapping[str, object]) -> Mark | None:
    """Return the mark that a row, by column names, is; None where it is none of this tool."""
    known = {f.name: str(row[f.name]) for f in fields(Mark) if row.get(f.name) is not None}
    if not {"tool", "pr", "run", "head", "started"} <= known.keys() or known["tool"] != Mark.tool:
        return None
    return Mark(**known)
