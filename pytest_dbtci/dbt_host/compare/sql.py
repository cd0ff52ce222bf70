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

_HEX = 6
"""How many digits of the key's hash choose a sample: of 16 million rows, one at the least."""

PROFILED = (NUMBER, *FLOATS, TEXT, "date", "moment")
"""The families of which a least and a greatest value can be told."""


@dataclass(frozen=True, kw_only=True)
class Sql:
    """The statements that compare two relations, which are given as they are named in SQL.

    With a `sample` of more than 1 they look at about one row in so many, on both sides at those with the same keys.

    The columns of the key are k0, k1 …, the compared columns c0, c1 …, renaming candidates r0, r1 ….
    """

    head: str
    base: str
    key: Sequence[Compared]
    sampled_by: Sequence[Compared]
    columns: Sequence[Compared]
    candidates: Sequence[Compared]
    where: str
    dialect: Dialect
    sample: int = 1

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

    def sizes(self) -> str:
        """Ask how many rows there are in head and base."""
        return f"select {', '.join(f'(select count(*) from {self._table(is_head)})' for is_head in (True, False))}"

    def counts(self) -> str:
        """Ask for all counts but the columns' in one join.

        The row gives: rows of head and base, rows only in each, rows without a key in each, pairs, changed pairs, then
        for each candidate the pairs that differ and those with a value.
        A key is unique on both sides exactly if the pairs and the rows only on a side make up that side's rows: the
        join repeats the others.
        """
        pair = "h.here = 1 and b.here = 1"
        parts = [f"(select count(*) from {self._table(is_head)})" for is_head in (True, False)]
        parts += [_count("b.here is null"), _count("h.here is null")]
        parts += [_count(f"{side}.here = 1 and {_any_null(side, self.key)}") for side in "hb"]
        equal = [self._equal(c, f"c{i}") for i, c in enumerate(self.columns)]
        parts += [_count(pair), _count(f"{pair} and not ({' and '.join(equal)})") if equal else "0"]
        for i, column in enumerate(self.candidates):
            parts += [
                _count(f"{pair} and not {self._equal(column, f'r{i}')}"),
                _count(f"{pair} and h.r{i} is not null"),
            ]
        return f"select {', '.join(parts)} from {self._join(candidates=True)}"

    def examples(self, most: int) -> str:
        """Ask for `most` rows of each kind, and how many pairs differ in each column.

        A row gives its kind and its key, then these numbers, which are the same in all rows, then the columns of the
        head and those of the base. Only what differs is looked at, so that a large table with few changes costs little.
        """
        count = range(len(self.columns))
        kind = "case when b.here is null then 'added' when h.here is null then 'removed' else 'changed' end"
        keys = [f"coalesce(h.k{i}, b.k{i}) as k{i}" for i in range(len(self.key))]
        unequal = [f"not {self._equal(c, f'c{i}')}" for i, c in enumerate(self.columns)]
        pair = "h.here = 1 and b.here = 1"
        values = [f"case when {pair} and {one} then 1 else 0 end as d{i}" for i, one in enumerate(unequal)]
        values += [f"{side}.c{i} as {side}{i}" for side in "hb" for i in count]
        rows = " or ".join(["h.here is null", "b.here is null", *unequal])
        known = " and ".join(f"coalesce(h.k{i}, b.k{i}) is not null" for i in range(len(self.key)))
        found = f"select {kind} as kind, {', '.join([*keys, *values])} from {self._join()} where ({rows}) and {known}"
        order = ", ".join(f"k{i}" for i in range(len(self.key)))
        sums = [f"sum(d{i}) over () as n{i}" for i in count]
        rank = f"row_number() over (partition by kind order by {order}) as rank_in_kind"
        ranked = f"select f.*, {', '.join([*sums, rank])} from ({found}) f"
        names = ["kind", *(f"k{i}" for i in range(len(self.key))), *(f"{part}{i}" for part in "nhb" for i in count)]
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
        """Ask of each column on both sides, head first: its nulls and distinct values, least, greatest and mean.

        A row each, with the number of the side and the column's place among the chosen. Grouping is cheaper than
        `count(distinct)`, which sorts, and the sides are read once where the warehouse keeps what is read many times.
        """
        asked, sides = list[str](), list[str]()
        for number, is_head in enumerate((True, False)):
            shown = [f"{c.head if is_head else c.base} as c{i}" for i, c in enumerate(self.columns) if i in chosen]
            sides.append(f"s{number} as (select {', '.join(shown)} from {self._table(is_head)})")
            for place, i in enumerate(chosen):
                groups = f"(select c{i} as v, count(*) as n from s{number} group by c{i}) g"
                asked.append(
                    f"select {number} as side, {place} as place, {self._summary(self.columns[i])} from {groups}"
                )
        return f"with {', '.join(sides)} {' union all '.join(asked)} order by 1, 2"

    def _summary(self, column: Compared) -> str:
        nothing, family = f"cast(null as {self.dialect.text})", column.family
        shown = family in PROFILED
        extremes = (self.dialect.as_text(family, f"{how}(v)") if shown else nothing for how in ("min", "max"))
        mean = self._mean() if family in (NUMBER, *FLOATS) else "cast(null as double precision)"
        return f"coalesce(sum(case when v is null then n end), 0), count(v), {', '.join(extremes)}, {mean}"

    @staticmethod
    def _mean() -> str:
        """Return the mean; null where a value is no number, or near an end of the range, where PostgreSQL stops."""
        number = "cast(v as double precision)"
        ordinary = f"abs({number}) < 1e140 and ({number} = 0 or abs({number}) > {SMALL})"
        filled = f"sum(case when {ordinary} then n end)"
        mean = f"sum(case when {ordinary} then {number} * n end) / {filled}"
        return f"case when count(v) = {_count(ordinary)} then {mean} end"

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
        conditions = " and ".join(filter(None, (self.where and f"({self.where})", self._sampled(is_head))))
        return f"{self.head if is_head else self.base} t{f' where {conditions}' if conditions else ''}"

    def _sampled(self, is_head: bool) -> str:
        if self.sample == 1:
            return ""
        texts = [self.dialect.as_text(c.family, c.head if is_head else c.base) for c in self.sampled_by]
        key = " || '|' || ".join(f"coalesce({text}, '')" for text in texts)
        return f"substring(md5({key}), 1, {_HEX}) < '{16**_HEX // self.sample:0{_HEX}x}'"

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
