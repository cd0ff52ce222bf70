"""The SQL of a comparison, in words that PostgreSQL, Redshift and DuckDB all know.

Redshift has neither `is distinct from` nor `filter` nor `except all`, and joins no SUPER: the sides are subqueries that
give every column a plain name and a comparable form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_dbtci.dbt_host.compare.columns import Compared
from pytest_dbtci.dbt_host.compare.dialect import DIGITS, FLOATS, NUMBER, RELATIVE, TEXT, Dialect

LARGE, SMALL = "1e300", "1e-290"
"""Beyond these a float's relative difference can't be computed without overflow: such values are equal or not."""

PROFILED = (NUMBER, *FLOATS, TEXT, "date", "moment")
"""The families of which a least and a greatest value can be told."""


@dataclass(frozen=True, kw_only=True)
class Sql:
    """The statements that compare two relations, which are given as they are named in SQL.

    The columns of the key are k0, k1 …, the compared columns c0, c1 …, renaming candidates r0, r1 ….
    """

    head: str
    base: str
    key: Sequence[Compared]
    columns: Sequence[Compared]
    candidates: Sequence[Compared]
    where: str
    dialect: Dialect

    def duplicates(self) -> str:
        """Ask on which side a key occurs twice: a number for each side, 0 for neither."""
        names = ", ".join(f"k{i}" for i in range(len(self.key)))
        sides = (self._side(is_head, keys=True) for is_head in (True, False))
        counts = (
            f"(select count(*) from (select 1 as one from {side} s where not {_any_null('s', self.key)} "
            f"group by {names} having count(*) > 1 limit 1) d)"
            for side in sides
        )
        return f"select {', '.join(counts)}"

    def counts(self) -> str:
        """Ask for all counts in one join.

        The row gives: rows of head and base, rows only in each, rows without a key in each, pairs, changed pairs, then
        for each column the pairs that differ, then for each candidate the pairs that differ and those with a value.
        A key is unique on both sides exactly if the pairs and the rows only on a side make up that side's rows: the
        join repeats the others.
        """
        pair = "h.here = 1 and b.here = 1"
        parts = [f"(select count(*) from {self._table(is_head)})" for is_head in (True, False)]
        parts += [_count("b.here is null"), _count("h.here is null")]
        parts += [_count(f"{side}.here = 1 and {_any_null(side, self.key)}") for side in "hb"]
        equal = [self._equal(c, f"c{i}") for i, c in enumerate(self.columns)]
        parts += [_count(pair), _count(f"{pair} and not ({' and '.join(equal)})") if equal else "0"]
        parts += [_count(f"{pair} and not {one}") for one in equal]
        for i, column in enumerate(self.candidates):
            parts += [
                _count(f"{pair} and not {self._equal(column, f'r{i}')}"),
                _count(f"{pair} and h.r{i} is not null"),
            ]
        return f"select {', '.join(parts)} from {self._join(candidates=True)}"

    def examples(self, differing: Sequence[int], most: int) -> str:
        """Ask for `most` rows of each kind: the kind, the key, the differing columns of the head, then of the base."""
        kind = "case when b.here is null then 'added' when h.here is null then 'removed' else 'changed' end"
        keys = [f"coalesce(h.k{i}, b.k{i}) as k{i}" for i in range(len(self.key))]
        values = [f"{side}.c{i} as {side}{i}" for side in "hb" for i in differing]
        unequal = [f"not {self._equal(self.columns[i], f'c{i}')}" for i in differing]
        rows = " or ".join(["h.here is null", "b.here is null", *unequal])
        known = " and ".join(f"coalesce(h.k{i}, b.k{i}) is not null" for i in range(len(self.key)))
        found = f"select {kind} as kind, {', '.join([*keys, *values])} from {self._join()} where ({rows}) and {known}"
        names = ["kind", *(f"k{i}" for i in range(len(self.key))), *(f"{side}{i}" for side in "hb" for i in differing)]
        order = ", ".join(f"k{i}" for i in range(len(self.key)))
        ranked = f"select f.*, row_number() over (partition by kind order by {order}) as rank_in_kind from ({found}) f"
        return f"select {', '.join(names)} from ({ranked}) r where rank_in_kind <= {most} order by kind, {order}"

    def bag(self, *, keyless: bool = False) -> str:
        """Ask how many rows stand on one side only, counting how often: rows of head and base, added, removed.

        With `keyless` only rows are looked at whose key is null.
        """
        signed = "sum(case when n > 0 then n else 0 end), sum(case when n < 0 then -n else 0 end)"
        return f"select sum(heads), sum(bases), {signed} from ({self._groups(keyless)}) g"

    def bag_examples(self, most: int, *, keyless: bool = False) -> str:
        """Ask for rows that stand on one side only: how many more in head than in base, and the values."""
        names = [f"k{i}" for i in range(len(self.key))] + [f"c{i}" for i in range(len(self.columns))]
        order = ", ".join(["n", *names[:8]])
        return (
            f"select n, {', '.join(names)} from ({self._groups(keyless)}) g where n <> 0 order by {order} limit {most}"
        )

    def profile(self, chosen: Sequence[int]) -> str:
        """Ask of both sides, head first: rows, then of each column nulls, distinct, least, greatest and mean."""
        sides = []
        for number, is_head in enumerate((True, False)):
            asked = ", ".join(self._summary(f"c{i}", self.columns[i].family) for i in chosen)
            sides.append(f"select {number} as side, count(*) as n, {asked} from {self._side(is_head)} s")
        return " union all ".join(sides) + " order by 1"

    def _summary(self, name: str, family: str) -> str:
        nothing = f"cast(null as {self.dialect.text})"
        shown = family in PROFILED
        extremes = (self.dialect.as_text(family, f"{how}({name})") if shown else nothing for how in ("min", "max"))
        mean = self._mean(name) if family in (NUMBER, *FLOATS) else "cast(null as double precision)"
        return f"count(*) - count({name}), count(distinct {name}), {', '.join(extremes)}, {mean}"

    @staticmethod
    def _mean(name: str) -> str:
        """Return the mean; null where a value is so large, or none, that PostgreSQL's own stops at an overflow."""
        number = f"cast({name} as double precision)"
        ordinary = f"abs({number}) < 1e140"
        mean = f"avg(case when {ordinary} then {number} end)"
        return f"case when count({name}) = {_count(ordinary)} then {mean} end"

    def _groups(self, keyless: bool) -> str:
        names = [f"k{i}" for i in range(len(self.key))] + [f"c{i}" for i in range(len(self.columns))]
        listed = ", ".join(names)
        sides = []
        for is_head in (True, False):
            sign, here, there = (1, 1, 0) if is_head else (-1, 0, 1)
            only = f" where {_any_null('s', self.key)}" if keyless else ""
            side = self._side(is_head, rounded=True)
            sides.append(f"select {sign} as n, {here} as heads, {there} as bases, {listed} from {side} s{only}")
        sums = "sum(n) as n, sum(heads) as heads, sum(bases) as bases"
        return f"select {sums}, {listed} from ({' union all '.join(sides)}) u group by {listed}"

    def _join(self, *, candidates: bool = False) -> str:
        on = " and ".join(f"h.k{i} = b.k{i}" for i in range(len(self.key)))
        head, base = (self._side(is_head, candidates=candidates) for is_head in (True, False))
        return f"{head} h full join {base} b on {on}"

    def _table(self, is_head: bool) -> str:
        return f"{self.head if is_head else self.base} t{f' where {self.where}' if self.where else ''}"

    def _side(self, is_head: bool, *, keys: bool = False, candidates: bool = False, rounded: bool = False) -> str:
        columns = [] if keys else [(f"c{i}", c) for i, c in enumerate(self.columns)]
        columns += [(f"k{i}", c) for i, c in enumerate(self.key)]
        columns += [(f"r{i}", c) for i, c in enumerate(self.candidates)] if candidates else []
        shown = ["1 as here"]
        for name, column in columns:
            value = column.head if is_head else column.base
            if rounded and column.family in FLOATS:
                value = self.dialect.rounded(value, DIGITS[column.family])
            shown.append(f"{value} as {name}")
        return f"(select {', '.join(shown)} from {self._table(is_head)})"

    def _equal(self, column: Compared, name: str) -> str:
        """Return whether two values are equal, two nulls among them; never null itself."""
        head, base = f"h.{name}", f"b.{name}"
        same = f"case when {head} = {base} or ({head} is null and {base} is null) then true"
        if column.tolerance is not None:
            same += f" when abs({head} - {base}) <= {column.tolerance!r} then true"
        elif column.family in FLOATS:
            larger = f"greatest(abs({head}), abs({base}))"
            ordinary = f"abs({head}) < {LARGE} and abs({base}) < {LARGE} and {larger} > {SMALL}"
            near = f"abs({head} - {base}) <= {RELATIVE[column.family]!r} * {larger}"
            # Only then are they subtracted: PostgreSQL stops at an overflow.
            same += f" when not ({ordinary}) then false when {near} then true"
        return f"{same} else false end"


def _any_null(side: str, key: Sequence[Compared]) -> str:
    return "(" + " or ".join(f"{side}.k{i} is null" for i in range(len(key))) + ")"


def _count(condition: str) -> str:
    return f"count(case when {condition} then 1 end)"
