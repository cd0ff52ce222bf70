"""Match the columns of two relations, and say in which form the values of each pair are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pytest_dbtci.dbt_host.compare.dialect import (
    COLLATE,
    DATE,
    FLOAT,
    FLOATS,
    MOMENT,
    NUMBER,
    REAL,
    TEXT,
    Dialect,
    base_name,
)
from pytest_dbtci.differences import Pair, SchemaChange


@dataclass(frozen=True, kw_only=True)
class Column:
    """A column of one relation: its physical name and its type with sizes."""

    name: str
    type: str


@dataclass(frozen=True, kw_only=True)
class Compared:
    """Two columns whose values are compared: SQL for each side, in forms of one family; `name` is the head's.

    `is_hashed` tells that both sides have one type, whose values are equal if their hashes are.
    """

    name: str
    head: str
    base: str
    family: str
    tolerance: float | None = None
    is_hashed: bool = False


@dataclass(frozen=True, kw_only=True)
class Matched:
    """The columns of two relations: those of the key, the others, what is left out and why, how the schemas differ.

    `candidates` are pairs of a removed and an added column that may be one renamed.
    """

    key: tuple[Compared, ...]
    columns: tuple[Compared, ...]
    candidates: tuple[tuple[Compared, str], ...]
    left_out: tuple[tuple[str, str], ...]
    schema: tuple[SchemaChange, ...]
    note: str = ""


CANDIDATES = 12
"""The most pairs of columns that are looked at for a new name."""


def read(column: Any) -> Column:
    """Return a column as dbt's adapter shows it."""
    sizes: list[Any] = []
    kind = base_name(column.dtype)
    if kind in ("number", "numeric", "decimal") and column.numeric_precision is not None:
        sizes = [column.numeric_precision, column.numeric_scale or 0]
    elif column.char_size is not None:
        sizes = [column.char_size]
    size = f"({','.join(str(int(n)) for n in sizes)})" if sizes and "(" not in column.dtype else ""
    collation = getattr(column, "collation", None)
    return Column(
        name=column.column, type=f"{column.dtype.lower()}{size}{f'{COLLATE}{collation}' if collation else ''}"
    )


def match(head: Sequence[Column], base: Sequence[Column], pair: Pair, dialect: Dialect) -> Matched:
    """Match columns by name, without regard to case where that leaves no doubt."""
    both = list(_same_names(head, base))
    added = [c for c in head if c not in [h for h, _ in both]]
    removed = [c for c in base if c not in [b for _, b in both]]
    excluded = {name.lower() for name in pair.exclude}
    schema = [SchemaChange(kind="removed", column=c.name, before=c.type) for c in removed]
    schema += [SchemaChange(kind="added", column=c.name, after=c.type) for c in added]
    schema += [
        SchemaChange(kind="retyped", column=h.name, before=b.type, after=h.type) for h, b in both if h.type != b.type
    ]
    schema += _reordered([h for h, _ in both], [b for _, b in both], base)
    columns, left_out = list[Compared](), list[tuple[str, str]]()
    tolerances = {name.lower(): value for name, value in pair.tolerance.items()}
    for h, b in both:
        compared = _compared(h, b, dialect, tolerances.get(h.name.lower()))
        if h.name.lower() in excluded:
            left_out.append((h.name, "excluded"))
        elif compared is None:
            left_out.append((h.name, f"values of type {h.type} can't be compared"))
        else:
            columns.append(compared)
    by_name = {c.name.lower(): c for c in columns}
    key = tuple(by_name[name.lower()] for name in pair.key if name.lower() in by_name)
    missing = [name for name in pair.key if name.lower() not in by_name]
    return Matched(
        key=() if missing else key,
        columns=tuple(c for c in columns if missing or c not in key),
        candidates=_candidates(added, removed, excluded, dialect),
        left_out=tuple(left_out),
        schema=tuple(schema),
        note=f"{missing[0]} of the key is not on both sides" if missing else "",
    )


def quoted(name: str) -> str:
    """Return a name for SQL, its case kept."""
    return '"' + name.replace('"', '""') + '"'


def _same_names(head: Sequence[Column], base: Sequence[Column]) -> list[tuple[Column, Column]]:
    exact = {c.name: c for c in base}
    folded: dict[str, list[Column]] = {}
    for column in base:
        folded.setdefault(column.name.lower(), []).append(column)
    found = list[tuple[Column, Column]]()
    for column in head:
        others = [c for c in head if c.name.lower() == column.name.lower()]
        alike = folded.get(column.name.lower(), [])
        if column.name in exact:
            found.append((column, exact[column.name]))
        elif len(others) == len(alike) == 1:
            found.append((column, alike[0]))
    return found


def _reordered(head: Sequence[Column], base: Sequence[Column], all_base: Sequence[Column]) -> list[SchemaChange]:
    """Name the columns that stand elsewhere among those of both sides: the fewest whose move explains the order."""
    position = {c.name: i for i, c in enumerate(all_base)}
    before = [position[b.name] for b in base]
    still = _longest_rising(before)
    ranks = {p: i + 1 for i, p in enumerate(sorted(before))}
    return [
        SchemaChange(kind="reordered", column=h.name, before=str(ranks[p]), after=str(i + 1))
        for i, (h, p) in enumerate(zip(head, before, strict=True))
        if p not in still
    ]


def _longest_rising(numbers: Sequence[int]) -> set[int]:
    lengths, previous = [1] * len(numbers), [-1] * len(numbers)
    for i, number in enumerate(numbers):
        for j in range(i):
            if numbers[j] < number and lengths[j] >= lengths[i]:
                lengths[i], previous[i] = lengths[j] + 1, j
    found, i = set[int](), max(range(len(numbers)), key=lengths.__getitem__, default=-1)
    while i >= 0:
        found.add(numbers[i])
        i = previous[i]
    return found


def _compared(head: Column, base: Column, dialect: Dialect, tolerance: float | None = None) -> Compared | None:
    """Return how two columns are compared; None where one of them can't be."""
    families = dialect.family(head.type), dialect.family(base.type)
    if not all(families):
        return None
    one, other = (dialect.form(c.type, quoted(c.name)) for c in (head, base))
    family = _common(*families)
    if family is None and base_name(head.type) == base_name(base.type):
        family = families[0]
    elif family is None:
        family = TEXT
        one, other = dialect.as_text(families[0], one), dialect.as_text(families[1], other)
    elif family == MOMENT and DATE in families:
        one, other = (f"cast({e} as {dialect.moment})" for e in (one, other))
    elif family in FLOATS and set(families) != {FLOAT}:
        one, other = (f"cast({e} as double precision)" for e in (one, other))
    tolerated = tolerance if family in (NUMBER, *FLOATS) else None
    hashed = head.type == base.type and dialect.is_hashed(head.type) and tolerated is None
    return Compared(name=head.name, head=one, base=other, family=family, tolerance=tolerated, is_hashed=hashed)


def _common(head: str, base: str) -> str | None:
    """Return the family in which values of both are compared, None where there is none but by type."""
    found = {head, base}
    if found <= {NUMBER, *FLOATS}:
        return REAL if REAL in found else FLOAT if FLOAT in found else NUMBER
    if found <= {DATE, MOMENT}:
        return MOMENT if MOMENT in found else DATE
    return TEXT if found == {TEXT} else None


def _candidates(
    added: Sequence[Column], removed: Sequence[Column], excluded: set[str], dialect: Dialect
) -> tuple[tuple[Compared, str], ...]:
    found = list[tuple[Compared, str]]()
    for a in added:
        for b in removed:
            same = a.name.lower() not in excluded and dialect.family(a.type) == dialect.family(b.type)
            compared = _compared(a, b, dialect) if same else None
            if compared is not None:
                found.append((compared, b.name))
    return tuple(found) if len(found) <= CANDIDATES else ()
