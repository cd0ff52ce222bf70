"""Compare two relations: with a key in one join, else as a bag of rows; ask for more only where they differ."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_dbtci.dbt_host.compare import columns
from pytest_dbtci.dbt_host.compare.columns import Matched
from pytest_dbtci.dbt_host.compare.dialect import Dialect
from pytest_dbtci.dbt_host.compare.sql import Sql
from pytest_dbtci.dbt_host.runner import DbtFailed
from pytest_dbtci.dbt_host.statements import Bound
from pytest_dbtci.dbt_host.warehouses.generic import Warehouse
from pytest_dbtci.differences import ColumnChange, Differences, Example, Pair, Place, Profile, SchemaChange

PROFILED = 20
"""The most columns that a profile tells of."""

WIDTH = 200
"""The most characters of a value that are shown."""


def compare(warehouse: Warehouse, pair: Pair, seconds: float | None = None) -> Differences:
    """Return how the head's relation differs from the base's; DbtFailed where that can't be found out in time."""
    bound = None if seconds is None else Bound(seconds)
    known = warehouse.dialect
    if known is None:
        raise DbtFailed("it is not known how values of this adapter's warehouse are compared")
    head, base = (_relation(warehouse, place) for place in (pair.head, pair.base))
    matched = columns.match(head.columns, base.columns, pair, known)
    return _Comparison(
        warehouse=warehouse, head=head, base=base, pair=pair, matched=matched, dialect=known, bound=bound
    ).run()


@dataclass(frozen=True, kw_only=True)
class _Relation:
    name: str
    columns: Sequence[columns.Column]
    is_table: bool


def _relation(warehouse: Warehouse, place: Place) -> _Relation:
    found = warehouse.describe(place)
    if found is None or not found[1]:
        raise DbtFailed(f"{'.'.join(place)} is not there", usage=False)
    name, read, is_table = found
    return _Relation(name=name, columns=[columns.read(c) for c in read], is_table=is_table)


@dataclass(frozen=True, kw_only=True)
class _Comparison:
    warehouse: Warehouse
    head: _Relation
    base: _Relation
    pair: Pair
    matched: Matched
    dialect: Dialect
    bound: Bound | None
    sample: int = 1

    def run(self) -> Differences:
        matched = self.matched
        about = Differences(left_out=matched.left_out, schema=matched.schema, note=matched.note)
        if not matched.key:
            return self._as_bag(replace(about, note=matched.note or "no key is known"))
        return replace(self, sample=self._sample())._with_key(about)

    def _with_key(self, about: Differences) -> Differences:
        about = replace(about, sample=self.sample)
        if not self.pair.unique and (twice := self._twice()):
            return self._as_bag(replace(about, note=twice))
        return self._by_key(about)

    def _sample(self) -> int:
        """Return in how many rows one is compared: 1 where that is every row."""
        key = {c.name for c in self.matched.key}
        if self.pair.most_rows is None or any(c.kind == "retyped" and c.column in key for c in self.matched.schema):
            return 1  # another type may write the same value in another way
        return max(-(-max(self._row(self._sql().sizes())) // self.pair.most_rows), 1)

    def _sql(self, *, key: bool = True) -> Sql:
        matched = self.matched
        return Sql(
            head=self.head.name,
            base=self.base.name,
            key=matched.key if key else (),
            sampled_by=matched.key,
            columns=matched.columns if key else (*matched.key, *matched.columns),
            candidates=[c for c, _ in matched.candidates],
            where=self.pair.where,
            dialect=self.dialect,
            sample=self.sample,
        )

    def _twice(self) -> str:
        """Return on which side the key is not unique, in words; empty if it is on both."""
        found = zip(("this pull request", "the base"), self._row(self._sql().duplicates()), strict=True)
        sides = [side for side, count in found if count]
        return f"{', '.join(self.pair.key)} is not unique in {' and in '.join(sides)}" if sides else ""

    def _identical(self, about: Differences, sql: Sql) -> Differences | None:
        """Return what there is to say where a scan of each side shows that all rows are the same, else None.

        That is only asked where some rows show no difference, and where it is cheaper than what is asked otherwise.
        """
        retyped = any(c.kind == "retyped" for c in self.matched.schema)
        scanned = bool(self.dialect.sampled) and self.head.is_table and self.base.is_table and self.sample == 1
        if not scanned or retyped or sql.candidates or (sql.key and self._row(sql.probe())[0]):
            return None
        head, base = (_numbers(row) for row in self._fetch(sql.fingerprints()))
        if head != base:
            return None
        key = tuple(c.name for c in sql.key)
        return replace(about, key=key, head_rows=head[0], base_rows=base[0], keyless=head[1] + base[1])

    def _by_key(self, about: Differences) -> Differences:
        sql, matched = self._sql(), self.matched
        if same := self._identical(about, sql):
            return same
        rows = self._fetch(sql.rows(self.pair.examples))
        counted = 8 + 2 * len(matched.candidates)
        *numbers, whole = _numbers(rows[0][: counted + 1])
        heads, bases, only_head, only_base, no_key, no_base_key, pairs, changed, *counts = numbers
        if pairs + only_head != heads or pairs + only_base != bases:
            twice = self._twice() or f"{', '.join(self.pair.key)} is not unique"
            return self._as_bag(replace(about, note=twice), differ=True)
        found = replace(
            about,
            key=tuple(c.name for c in matched.key),
            head_rows=heads,
            base_rows=bases,
            added=only_head - no_key,
            removed=only_base - no_base_key,
            changed=changed,
            keyless=no_key + no_base_key,
            schema=_renamed(matched, counts) if self.sample == 1 else matched.schema,
        )
        differ = _numbers(rows[0][counted + 1 :][: len(matched.columns)])
        if changed and not whole:
            differ = self._row(sql.columns_of_all())
        shown = [row[counted + 1 + len(matched.columns) :] for row in rows]
        found = self._with_examples(found, sql, differ, [row for row in shown if row[0] is not None])
        return self._with_keyless(found, sql) if found.keyless else found

    def _with_examples(
        self, found: Differences, sql: Sql, numbers: Sequence[int], rows: Sequence[Sequence[Any]]
    ) -> Differences:
        """Add examples, and the columns in which rows differ, given in how many each does."""
        differing = [i for i, n in enumerate(numbers) if n]
        examples = tuple(self._example(row, differing) for row in rows)
        columns = self._columns(sql, differing, numbers) if differing else ()
        return replace(found, examples=examples, columns=columns)

    def _with_keyless(self, found: Differences, sql: Sql) -> Differences:
        _, _, added, removed = self._row(sql.bag(keyless=True))
        examples = self._bag_examples(sql, keyless=True) if added or removed else ()
        return replace(
            found,
            added=found.added + added,
            removed=found.removed + removed,
            examples=(*found.examples, *examples),
        )

    def _as_bag(self, about: Differences, *, differ: bool = False) -> Differences:
        """Compare without a key; `differ` tells that it need not be asked first whether all rows are the same."""
        sql = self._sql(key=False)
        if not sql.columns:
            raise DbtFailed("the two relations have no column in common that can be compared", usage=False)
        if not differ and (same := self._identical(about, sql)):
            return same
        heads, bases, added, removed = self._row(sql.bag())
        schema = about.schema
        if sql.candidates and self.sample == 1:
            # A column that tells apart no rows which are the same without it has the other's values.
            told = [
                (int(n or 0) - added - removed, int(filled)) for _, n, filled in self._fetch(sql.bag_by_candidate())
            ]
            schema = _renamed(self.matched, [number for pair in told for number in pair])
        found = replace(about, head_rows=heads, base_rows=bases, added=added, removed=removed, schema=schema)
        if found.same_rows:
            return found
        changes = self._columns(sql, range(len(sql.columns)), None)
        return replace(found, examples=self._bag_examples(sql), columns=changes)

    def _bag_examples(self, sql: Sql, *, keyless: bool = False) -> tuple[Example, ...]:
        if not self.pair.examples:
            return ()
        names = [c.name for c in (*sql.key, *sql.columns)]
        found = list[Example]()
        for number, *row in self._fetch(sql.bag_examples(2 * self.pair.examples, keyless=keyless)):
            texts = [(name, _text(value)) for name, value in zip(names, row, strict=True)]
            added = number > 0
            values = tuple((name, None if added else text, text if added else None) for name, text in texts)
            found.append(Example(kind="added" if added else "removed", values=values))
        return tuple(found)

    def _example(self, row: Sequence[Any], differing: Sequence[int]) -> Example:
        kind, width, count = row[0], len(self.matched.key), len(self.matched.columns)
        values = [_text(v) for v in row[1:]]
        key = tuple((c.name, v) for c, v in zip(self.matched.key, values, strict=False))
        after, before = values[width : width + count], values[width + count :]
        changes = tuple(
            (self.matched.columns[i].name, before[i], after[i])
            for i in differing
            if kind == "changed" and after[i] != before[i]
        )
        return Example(kind=kind, key=key, values=changes)

    def _columns(self, sql: Sql, differing: Iterable[int], counts: Sequence[int] | None) -> tuple[ColumnChange, ...]:
        """Return the columns with their profiles; of a bag only those whose profiles differ."""
        wanted = list(differing)
        shown, tables = wanted[:PROFILED], self.head.is_table and self.base.is_table
        profiles = [_profile(row) for row in self._fetch(sql.profile(shown, tables=tables))]
        sides = profiles[: len(shown)], profiles[len(shown) :]
        found = list[ColumnChange]()
        for i, after, before in zip(shown, *sides, strict=True):
            if counts is not None or after != before:
                rows = None if counts is None else counts[i]
                found.append(ColumnChange(column=sql.columns[i].name, rows=rows, before=before, after=after))
        if counts is not None:
            found += [ColumnChange(column=sql.columns[i].name, rows=counts[i]) for i in wanted[PROFILED:]]
        return tuple(found)

    def _fetch(self, query: str) -> list[tuple[Any, ...]]:
        return self.warehouse.fetch(query, self.bound)

    def _row(self, query: str) -> list[int]:
        """Return the only row of counts."""
        (row,) = self._fetch(query)
        return _numbers(row)


def _renamed(matched: Matched, counts: Sequence[int]) -> tuple[SchemaChange, ...]:
    """Return the schema's changes with a removed and an added column made one where all their values are equal."""
    equal = [
        (compared.name, old)
        for (compared, old), differ, filled in zip(matched.candidates, counts[::2], counts[1::2], strict=True)
        if filled and not differ
    ]
    new_names, old_names = [new for new, _ in equal], [old for _, old in equal]
    sure = [(new, old) for new, old in equal if new_names.count(new) == old_names.count(old) == 1]
    gone = {("added", new) for new, _ in sure} | {("removed", old) for _, old in sure}
    renamed = [SchemaChange(kind="renamed", column=new, before=old, after=new) for new, old in sure]
    return (*(c for c in matched.schema if (c.kind, c.column) not in gone), *renamed)


def _numbers(row: Sequence[Any]) -> list[int]:
    """Return counts and sums as numbers; the sum over nothing is 0."""
    return [int(value or 0) for value in row]


def _profile(row: Sequence[Any]) -> Profile:
    _, _, nulls, distinct, least, greatest, mean = row
    shown = "" if mean is None else f"{mean:.6g}"
    return Profile(nulls=int(nulls), distinct=int(distinct), least=_text(least), greatest=_text(greatest), mean=shown)


def _text(value: Any) -> str:
    text = "null" if value is None else str(value)
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"
