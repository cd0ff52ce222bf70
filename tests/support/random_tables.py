"""Random pairs of tables, one made from the other by edits, and a plain Python account of how they differ."""

from __future__ import annotations

import json
import math
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

from tests.support.warehouses import KINDS, Kind

ALL: tuple[Kind, ...] = (*KINDS, "snowflake")
Row = dict[str, Any]

NAMES = ("amount", "a b", 'x"y', "100%", "Größe", "select", "order", "it's", "Name", "c1", "here", "n", "k0")
"""Names that need quotes, names of functions and keywords, and those that the queries use themselves."""

# Snowflake has one type of integers, and one of floats, by many names.
TYPES: dict[str, dict[Kind, str]] = {
    "integer": dict.fromkeys(ALL, "integer"),
    "bigint": {**dict.fromkeys(KINDS, "bigint"), "snowflake": "decimal(19,0)"},
    "decimal": dict.fromkeys(ALL, "decimal(12,2)"),
    "double": dict.fromkeys(ALL, "double precision"),
    "real": dict.fromkeys(KINDS, "real"),
    "text": dict.fromkeys(ALL, "varchar(60)"),
    "boolean": dict.fromkeys(ALL, "boolean"),
    "date": dict.fromkeys(ALL, "date"),
    "timestamp": dict.fromkeys(ALL, "timestamp"),
    "json": {"duckdb": "json", "postgres": "json", "snowflake": "variant"},
    "list": {"duckdb": "integer[]", "postgres": "integer[]"},
}

WIDER = {"integer": ("bigint", "decimal", "double", "text"), "date": ("timestamp",), "decimal": ("double",)}
"""Types to which a column's type is changed, the values staying what they are."""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table: types by column, in order, and rows."""

    columns: dict[str, str]
    rows: list[Row]

    def statements(self, relation: str, kind: Kind) -> Iterator[str]:
        """Yield the SQL that makes it."""
        types = ", ".join(f"{quote(name)} {TYPES[type_][kind]}" for name, type_ in self.columns.items())
        yield f"create table {relation} ({types})"
        rows = [", ".join(literal(row[n], t, kind) for n, t in self.columns.items()) for row in self.rows]
        if rows and kind == "snowflake":
            # It takes no call, such as `parse_json`, among values.
            yield f"insert into {relation} select {' union all select '.join(rows)}"
        elif rows:
            yield f"insert into {relation} values ({'), ('.join(rows)})"


@dataclass(frozen=True, kw_only=True)
class RandomPair:
    """Two tables, the key by which they are to be matched, and whether it is claimed to be unique."""

    head: Table
    base: Table
    key: tuple[str, ...]
    unique: bool


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What a comparison must say; `keyed` is None where it makes no difference whether rows are matched by the key."""

    keyed: bool | None
    head_rows: int
    base_rows: int
    added: int
    removed: int
    changed: int
    columns: dict[str, int] = field(default_factory=dict)
    schema: set[tuple[str, str]] = field(default_factory=set)


def quote(name: str) -> str:
    """Return the name for SQL."""
    return '"' + name.replace('"', '""') + '"'


def literal(value: Any, type_: str, kind: Kind) -> str:
    """Return a value as a literal of its type."""
    if value is None:
        return "null"
    if type_ == "list":
        return f"{'array' if kind != 'duckdb' else ''}[{', '.join(map(str, value))}]::integer[]"
    text = "'" + str(value).replace("'", "''") + "'"
    return f"parse_json({text})" if TYPES[type_][kind] == "variant" else f"cast({text} as {TYPES[type_][kind]})"


def random_pair(seed: int, kind: Kind) -> RandomPair:
    """Return the pair of that number: always the same."""
    chance = random.Random(f"{kind} {seed}")
    names = chance.sample(NAMES, len(NAMES))
    if kind == "redshift":
        names = [n.lower() for n in names]
    if kind == "snowflake":
        names.remove('x"y')  # the stand-in loses the quotation mark
    known = [t for t, kinds in TYPES.items() if kind in kinds]
    keys = {names.pop(): chance.choice(("integer", "text", "date")) for _ in range(chance.choice((0, 1, 1, 1, 2)))}
    others = {names.pop(): chance.choice(known) for _ in range(chance.choice((0, 1, 2, 3, 6)))}
    types = {**keys, **others} or {names.pop(): "integer"}
    base = Table(columns=types, rows=_rows(types, keys, chance))
    head = _edited(base, keys, names, chance, kind)
    if chance.random() < 0.1:
        base, head = chance.choice(((replace(base, rows=[]), head), (base, replace(head, rows=[]))))
    return RandomPair(head=head, base=base, key=tuple(keys), unique=chance.random() < 0.3)


def expected(pair: RandomPair) -> Expected:
    """Return what differs, found out one row after the other."""
    head, base = pair.head, pair.base
    both = {n: _other(n, base.columns) for n in head.columns if _other(n, base.columns)}
    same = {n: (head.columns[n], base.columns[b]) for n, b in both.items() if b}
    schema = {("added", n) for n in head.columns if n not in both}
    schema |= {("removed", n) for n in base.columns if n not in both.values()}
    schema |= {("retyped", n) for n, (one, other) in same.items() if one != other}
    bases = [{n: row[b] for n, b in both.items() if b} for row in base.rows]
    keyed = bool(pair.key) and all(k in both for k in pair.key)
    if not keyed:
        return _as_bag(head.rows, bases, same, schema)
    heads, theirs = _by_key(head.rows, pair.key, same), _by_key(bases, pair.key, same)
    # A key that is claimed to be unique may be found repeated, but only where that makes a difference.
    matter = heads.keys() & theirs.keys() if pair.unique else heads.keys() | theirs.keys()
    if any(len(rows.get(k, ())) > 1 for k in matter for rows in (heads, theirs)):
        found = _as_bag(head.rows, bases, same, schema)
        return replace(found, keyed=None) if pair.unique and not (found.added or found.removed) else found
    pairs = [(heads[k][0], theirs[k][0]) for k in heads.keys() & theirs.keys()]
    columns = {
        n: sum(not _equal(h[n], b[n], *types) for h, b in pairs) for n, types in same.items() if n not in pair.key
    }
    changed = sum(any(not _equal(h[n], b[n], *same[n]) for n in columns) for h, b in pairs)
    lost, stray = ([r for r in rows if _no_key(r, pair.key)] for rows in (head.rows, bases))
    added, removed = _bags(lost, stray, same)
    return Expected(
        keyed=True,
        head_rows=len(head.rows),
        base_rows=len(base.rows),
        added=added + sum(len(rows) for k, rows in heads.items() if k not in theirs),
        removed=removed + sum(len(rows) for k, rows in theirs.items() if k not in heads),
        changed=changed,
        columns={n: count for n, count in columns.items() if count},
        schema=schema,
    )


def _as_bag(
    heads: Sequence[Row], bases: Sequence[Row], types: dict[str, tuple[str, str]], schema: set[tuple[str, str]]
) -> Expected:
    added, removed = _bags(heads, bases, types)
    return Expected(
        keyed=False,
        head_rows=len(heads),
        base_rows=len(bases),
        added=added,
        removed=removed,
        changed=0,
        schema=schema,
    )


def _rows(types: dict[str, str], keys: dict[str, str], chance: random.Random) -> list[Row]:
    mode = chance.choice(("unique", "unique", "nulls", "any"))
    rows = list[Row]()
    for i in range(chance.choice((0, 1, 3, 8, 30))):
        row = {n: _value(t, chance) for n, t in types.items()}
        if mode != "any":
            row |= {n: _key(t, i) for n, t in keys.items()}
        if mode == "nulls" and keys and chance.random() < 0.3:
            row[chance.choice(list(keys))] = None
        rows.append(row)
    return rows


def _key(type_: str, number: int) -> Any:
    return {"integer": number, "text": f"key {number}", "date": date(2024, 1, 1) + timedelta(days=number)}[type_]


def _value(type_: str, chance: random.Random) -> Any:
    if chance.random() < 0.15:
        return None
    floats = (0.0, -0.0, 0.1, -2.5, 1 / 3, 12345.678, math.inf, -math.inf, math.nan)
    values: dict[str, Sequence[Any]] = {
        "integer": (0, 1, -1, 7, 2**31 - 1),
        "bigint": (0, 1, 2**62, -(2**62)),
        "decimal": (Decimal("0.00"), Decimal("0.31"), Decimal("-0.01"), Decimal("1234567890.12")),
        "double": (*floats, 1e308, -1e308, 1e-300, 5e-324),
        "real": (*floats, 3e38, -3e38),
        "text": ("", "a", "A", "it's", "100% é", "null", "a\nb", "x" * 60),
        "boolean": (True, False),
        "date": (date(2024, 2, 29), date(1900, 1, 1), date(9999, 12, 31)),
        "timestamp": (datetime(2024, 2, 29, 12, 0, 0, 1), datetime(2024, 2, 29)),
        "json": ('{"a": 1}', '{"a": [1, null]}', "[]", '"text"'),
        "list": ([1, 2], [2, 1], []),
    }
    return chance.choice(values[type_])


def _edited(base: Table, keys: dict[str, str], names: list[str], chance: random.Random, kind: Kind) -> Table:
    rows = [dict(row) for row in base.rows if chance.random() > 0.1]
    columns = dict(base.columns)
    for row in rows:
        for name, type_ in columns.items():
            if name in keys or chance.random() > 0.1:
                continue
            row[name] = _nearly(row[name], type_) if chance.random() < 0.5 else _value(type_, chance)
    rows += _rows(columns, keys, chance)[: chance.choice((0, 0, 1, 3))]
    for edit in chance.sample((_drop, _add, _retype, _reorder, _recase), chance.choice((0, 0, 1, 2, 5))):
        columns = edit(columns, rows, keys, names, chance)
    if kind == "redshift":
        columns = {n.lower(): t for n, t in columns.items()}
        rows = [{n.lower(): v for n, v in row.items()} for row in rows]
    chance.shuffle(rows)
    return Table(columns=columns, rows=rows)


def _nearly(value: Any, type_: str) -> Any:
    """Return a value that differs as little as the type allows, or is spelled in another way."""
    if value is None:
        return value
    if type_ == "double" and abs(value) < 1e300 and abs(value) > 1e-200:
        return math.nextafter(value, math.inf)
    if type_ == "decimal":
        return value + Decimal("0.01")
    if type_ == "text":
        return value[:-1]
    if type_ == "timestamp":
        return value + timedelta(microseconds=1)
    return value


def _drop(
    columns: dict[str, str], rows: list[Row], keys: dict[str, str], names: list[str], chance: random.Random
) -> dict[str, str]:
    gone = chance.choice(list(columns)) if len(columns) > 1 else ""
    return {n: t for n, t in columns.items() if n != gone}


def _add(
    columns: dict[str, str], rows: list[Row], keys: dict[str, str], names: list[str], chance: random.Random
) -> dict[str, str]:
    name, number = names.pop(), chance.randrange(100, 200)
    for i, row in enumerate(rows):
        row[name] = number + i
    return {name: "integer", **columns} if chance.random() < 0.5 else {**columns, name: "integer"}


def _retype(
    columns: dict[str, str], rows: list[Row], keys: dict[str, str], names: list[str], chance: random.Random
) -> dict[str, str]:
    able = [n for n, t in columns.items() if t in WIDER]
    if not able:
        return columns
    name = chance.choice(able)
    return {**columns, name: chance.choice(WIDER[columns[name]])}


def _reorder(
    columns: dict[str, str], rows: list[Row], keys: dict[str, str], names: list[str], chance: random.Random
) -> dict[str, str]:
    return dict(chance.sample(list(columns.items()), len(columns)))


def _recase(
    columns: dict[str, str], rows: list[Row], keys: dict[str, str], names: list[str], chance: random.Random
) -> dict[str, str]:
    able = [n for n in columns if n not in keys and n.upper() != n]
    if not able:
        return columns
    old = chance.choice(able)
    for row in rows:
        row[old.upper()] = row.pop(old, None)
    return {old.upper() if n == old else n: t for n, t in columns.items()}


def _other(name: str, columns: dict[str, str]) -> str | None:
    return next((n for n in columns if n.lower() == name.lower()), None)


def _no_key(row: Row, key: Sequence[str]) -> bool:
    return any(row[k] is None for k in key)


def _by_key(
    rows: Sequence[Row], key: Sequence[str], types: dict[str, tuple[str, str]]
) -> dict[tuple[Any, ...], list[Row]]:
    """Return the rows that have a key, by it."""
    found = dict[tuple[Any, ...], list[Row]]()
    for row in rows:
        if not _no_key(row, key):
            found.setdefault(tuple(_common(row[k], *types[k]) for k in key), []).append(row)
    return found


def _bags(heads: Sequence[Row], bases: Sequence[Row], types: dict[str, tuple[str, str]]) -> tuple[int, int]:
    def bag(rows: Sequence[Row]) -> Counter[tuple[Any, ...]]:
        return Counter(tuple(_rounded(_common(row[n], *types[n]), types[n]) for n in types) for row in rows)

    one, other = bag(heads), bag(bases)
    return (one - other).total(), (other - one).total()


def _common(value: Any, one: str, other: str) -> Any:
    """Return a value so that two of these types compare with `==`."""
    if value is None:
        return None
    if "json" in (one, other):
        return json.dumps(json.loads(value), sort_keys=True)
    if "text" in (one, other):
        return str(value)
    if "list" in (one, other):
        return tuple(value)
    if {"double", "real"} & {one, other}:
        return "nan" if math.isnan(value) else float(value)
    if "timestamp" in (one, other):
        return value if isinstance(value, datetime) else datetime(value.year, value.month, value.day)
    return value


def _equal(head: Any, base: Any, one: str, other: str) -> bool:
    a, b = _common(head, one, other), _common(base, one, other)
    if a == b or not isinstance(a, float) or not isinstance(b, float) or "text" in (one, other):
        return bool(a == b)
    ordinary = math.isfinite(a) and math.isfinite(b) and max(abs(a), abs(b)) < 1e300 and max(abs(a), abs(b)) > 1e-290
    return ordinary and math.isclose(a, b, rel_tol=1e-6 if "real" in (one, other) else 1e-9)


def _rounded(value: Any, types: tuple[str, str]) -> Any:
    if not isinstance(value, float) or not math.isfinite(value) or not 1e-280 < abs(value) < 1e280:
        return value
    return float(f"{value:.{6 if 'real' in types else 9}g}")
