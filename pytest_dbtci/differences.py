"""How the contents of two relations differ: what to ask, and the answer, as frozen values that know no warehouse."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from pytest_dbtci.codec import Words

Place = tuple[str, str, str]
"""Database, schema and identifier of a relation."""

SchemaKind = Literal["added", "removed", "renamed", "retyped", "reordered"]


@dataclass(frozen=True, kw_only=True)
class Pair:
    """Two relations to compare, and how.

    `key` names the columns that identify a row (none: rows are compared as a bag); `unique` tells that a test of this
    run has shown them unique on the head's side. `tolerance` maps a column to the difference that does not count,
    `where` restricts both sides, `examples` is how many rows of each kind are shown.
    """

    head: Place
    base: Place
    key: tuple[str, ...] = ()
    unique: bool = False
    exclude: tuple[str, ...] = ()
    tolerance: Mapping[str, float] = field(default_factory=dict)
    where: str = ""
    examples: int = 5


@dataclass(frozen=True, kw_only=True)
class SchemaChange:
    """One difference between the columns of the two relations; `before` and `after` are types, names or positions."""

    kind: SchemaKind
    column: str
    before: str = ""
    after: str = ""


@dataclass(frozen=True, kw_only=True)
class Profile:
    """One column on one side, values as texts; `mean` is empty unless it holds numbers."""

    nulls: int
    distinct: int
    least: Words
    greatest: Words
    mean: str = ""


@dataclass(frozen=True, kw_only=True)
class ColumnChange:
    """One column whose values differ: in how many rows (None where rows have no key), and before and after."""

    column: str
    rows: int | None = None
    before: Profile | None = None
    after: Profile | None = None


@dataclass(frozen=True, kw_only=True)
class Example:
    """One row that differs, values as texts: `key` by column, then each differing column before and after.

    Without a key, `values` holds the whole row, on the side where it is.
    """

    kind: Literal["added", "removed", "changed"]
    key: tuple[tuple[str, Words], ...] = ()
    values: tuple[tuple[str, Words | None, Words | None], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Differences:
    """What a comparison found.

    `key` is what rows were matched by; it is empty where they were compared as a bag, which knows no changed rows,
    and `note` says why. `keyless` counts the rows on either side whose key is null: they are compared as a bag.
    `left_out` are columns that can't be compared or were excluded, each with the reason.
    """

    key: tuple[str, ...] = ()
    head_rows: int = 0
    base_rows: int = 0
    added: int = 0
    removed: int = 0
    changed: int = 0
    keyless: int = 0
    columns: tuple[ColumnChange, ...] = ()
    schema: tuple[SchemaChange, ...] = ()
    left_out: tuple[tuple[str, str], ...] = ()
    examples: tuple[Example, ...] = ()
    note: str = ""

    @property
    def same_rows(self) -> bool:
        """Whether the compared columns hold the same rows."""
        return not (self.added or self.removed or self.changed)

    @property
    def identical(self) -> bool:
        """Whether nothing differs: neither rows nor columns."""
        return self.same_rows and not self.schema
