"""The mark: the small table that says whose a schema is; see `protocol.Mark` for what stands in it."""

from __future__ import annotations

MARK_TABLE = "dbt_ci_mark"
