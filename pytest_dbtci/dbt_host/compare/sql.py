"""The SQL of a comparison, in words that PostgreSQL, Redshift, DuckDB and Snowflake all know.

Redshift has neither `is distinct from` nor `filter` nor `except all`, and joins no SUPER: the sides are subqueries that
give every column a plain name and a comparable form.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pytest_dbtci.dbt_host.compare.columns import Compared
from pytest_dbtci.dbt_host.compare.dialect import DIGITS, FLOATS, NUMBER, RELATIVE, TEXT, Dialect, double

LARGE, SMALL = double("1e300"), double("1e-290")
"""Beyond these a float's relative difference can't be computed without overflow: such values are equal or not."""

FEW, SHARE = 10_000, 10
"""Where no more pairs differ than FEW, or than one in SHARE, each is looked at for the columns in which it does."""

PAIR = "h.here = 1 and b.here = 1"
SIDES = {"h": True, "b": False}
"""What head and base are called in a join, and whether it is the head."""

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
        names = self._listed("k", self.key)
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

    def probe(self) -> str:
        """Ask how many of some of the head's rows are not exactly the same in the base."""
        head, base = self._fingerprints(True, sampled=True), self._fingerprints(False)
        return f"select count(*) - {_count('h.x = b.x')} from {head} h left join {base} b on {self._on('h', 'b')}"

    def fingerprints(self) -> str:
        """Ask of both sides, a row each: the rows, those without a key, and a sum that tells the rows' values."""
        no_key = _count(_any_null("s", self.key)) if self.key else "0"
        return " union all ".join(
            f"select count(*), {no_key}, sum(x) from {self._fingerprints(is_head)} s" for is_head in (True, False)
        )

    def _fingerprints(self, is_head: bool, *, sampled: bool = False) -> str:
        """Return a subquery for the keys of one side and a hash of each row, which rows that look alike share."""
        sides = [(c, c.head if is_head else c.base) for c in (*self.key, *self.columns)]
        told = (v if c.is_hashed or c.family in FLOATS else self.dialect.as_text(c.family, v) for c, v in sides)
        # A hash of many values combines theirs bit by bit: if rows swap values, a sum of it can stay as it is.
        x = self.dialect.hash.format(self.dialect.hash.format(", ".join(told)))
        keys = "".join(f"{value} as k{i}, " for i, (_, value) in enumerate(sides[: len(self.key)]))
        return f"(select {keys}{x} as x from {self._table(is_head, sampled=sampled)})"

    def rows(self, most: int) -> str:
        """Ask, in one join, how the rows differ, and for `most` rows of each kind.

        A row gives numbers that are the same in all rows, then its kind (null where there is none to show), its key,
        the columns of the head and those of the base. The numbers are: rows of head and base, rows only in each, rows
        without a key in each, pairs, changed pairs, for each candidate the pairs that differ and those with a value;
        1 if the changed pairs are so few that all were looked at; how many of those that were differ in each column.

        A key is unique on both sides exactly if the pairs and the rows only on a side make up that side's rows: the
        join repeats the others. Only keys of rows that differ leave the join, and only such rows are read as a whole.
        """
        keys, count = self._listed("k", self.key), range(len(self.columns))
        numbers = [f"(select count(*) from {self._table(is_head)})" for is_head in (True, False)]
        numbers += [f"sum({side} - pairs)" for side in ("heads", "bases")]
        numbers += [f"sum(case when k0 is null then {side} - pairs end)" for side in ("heads", "bases")]
        changed = "sum(case when k0 is not null then pairs end)"
        numbers += ["sum(pairs)", changed]
        numbers += [f"sum({part}{i})" for i in range(len(self.candidates)) for part in "uv"]
        numbers.append(f"case when {changed} <= greatest({FEW}, sum(heads) / {SHARE}) then 1 else 0 end")
        totals = ", ".join(f"{number} as t{i}" for i, number in enumerate(numbers))
        kind = "case when bases = 0 then 'added' when heads = 0 then 'removed' else 'changed' end"
        place = f"row_number() over (partition by kind order by {keys}) as place"
        unequal = [f"kind = 'changed' and not {self._equal(c, f'c{i}')}" for i, c in enumerate(self.columns)]
        values = [f"case when {one} then 1 else 0 end as d{i}" for i, one in enumerate(unequal)]
        values += [f"{side}.c{i} as {side}{i}" for side in "hb" for i in count]
        sides = " ".join(
            f"left join {self._side(is_head)} {side} on {self._on('l', side)}" for side, is_head in SIDES.items()
        )
        chosen = f"place <= {most} or (kind = 'changed' and (select t{len(numbers) - 1} from t) = 1)"
        looked_at = ["1 as one", "count(*) as rows_read", *(f"sum(d{i}) as n{i}" for i in count)]
        shown = [f"t{i}" for i in range(len(numbers))] + [f"n{i}" for i in count]
        shown += ["kind", keys, *(f"{side}{i}" for side in "hb" for i in count)]
        return (
            f"with g as ({self._differing()}), t as (select 1 as one, {totals} from g), "
            f"f as (select {keys}, {kind} as kind from g where k0 is not null), p as (select f.*, {place} from f), "
            f"l as (select * from p where {chosen}), d as (select {', '.join(['l.*', *values])} from l {sides}), "
            f"e as (select {', '.join(looked_at)} from d), "
            f"r as (select 1 as one, d.* from d where place <= {most}) select {', '.join(shown)} "
            f"from t inner join e on t.one = e.one left join r on t.one = r.one order by kind, {keys}"
        )

    def columns_of_all(self) -> str:
        """Ask how many pairs differ in each column, by a join of all of them."""
        unequal = [f"{PAIR} and not {self._equal(c, f'c{i}')}" for i, c in enumerate(self.columns)]
        return f"select {', '.join(map(_count, unequal))} from {self._join()}"

    def _differing(self) -> str:
        """Return a query for the keys of rows that differ, and of each how often the join has it.

        All that are the same, or have no key, stand together as one null.
        """
        equal = ["h.x = b.x"] if any(c.is_hashed for c in self.columns) else []
        equal += [self._equal(c, f"c{i}") for i, c in enumerate(self.columns) if not c.is_hashed]
        same = " and ".join([PAIR, *equal])
        both = [f"coalesce(h.k{i}, b.k{i})" for i in range(len(self.key))]
        no_key = " or ".join(f"{one} is null" for one in both)
        parts = [f"case when {same} then null when {no_key} then null else {k} end as k{i}" for i, k in enumerate(both)]
        parts += ["h.here as head", "b.here as base"]
        counts = ["count(head) as heads", "count(base) as bases", "count(head + base) as pairs"]
        for i, column in enumerate(self.candidates):
            parts.append(f"case when {PAIR} and not {self._equal(column, f'r{i}')} then 1 end as u{i}")
            parts.append(f"case when {PAIR} and h.r{i} is not null then 1 end as v{i}")
            counts += [f"count({part}{i}) as {part}{i}" for part in "uv"]
        keys = self._listed("k", self.key)
        joined = f"select {', '.join(parts)} from {self._join(hashed=True, candidates=True)}"
        return f"select {keys}, {', '.join(counts)} from ({joined}) j group by {keys}"

    def bag(self, *, keyless: bool = False) -> str:
        """Ask how many rows stand on one side only, counting how often: rows of head and base, added, removed.

        With `keyless` only rows are looked at whose key is null.
        """
        signed = "sum(case when n > 0 then n else 0 end), sum(case when n < 0 then -n else 0 end)"
        return f"select sum(heads), sum(bases), {signed} from ({self._groups(keyless)}) g"

    def bag_by_candidate(self) -> str:
        """Ask for each candidate how many rows stand on one side only if its column counts, too.

        A row each: the candidate's place, that number, and how many kinds of rows of both sides have a value there.
        """
        asked = (
            f"select {i} as place, sum(abs(n)), count(case when heads > 0 and bases > 0 then r{i} end) "
            f"from ({self._groups(False, f'r{i}')}) g"
            for i in range(len(self.candidates))
        )
        return f"{' union all '.join(asked)} order by 1"

    def bag_examples(self, most: int, *, keyless: bool = False) -> str:
        """Ask for rows that stand on one side only: how many more in head than in base, and the values."""
        names = [f"k{i}" for i in range(len(self.key))] + [f"c{i}" for i in range(len(self.columns))]
        order = ", ".join(["n", *names[:8]])
        return (
            f"select n, {', '.join(names)} from ({self._groups(keyless)}) g where n <> 0 order by {order} limit {most}"
        )

    def profile(self, chosen: Sequence[int], *, tables: bool) -> str:
        """Ask of each column on both sides, head first: its nulls and distinct values, least, greatest and mean.

        A row each, with the number of the side and the column's place among the chosen. Grouping is cheaper than
        `count(distinct)`, which sorts. Where both are `tables` each column is read for itself, which costs less than to
        keep what was read; a view is read once where the warehouse keeps that.
        """
        asked, sides = list[str](), list[str]()
        for number, is_head in enumerate((True, False)):
            shown = [f"{c.head if is_head else c.base} as c{i}" for i, c in enumerate(self.columns) if i in chosen]
            sides.append(f"(select {', '.join(shown)} from {self._table(is_head)})")
            for place, i in enumerate(chosen):
                side = sides[number] if tables else f"s{number}"
                groups = f"(select c{i} as v, count(*) as n from {side} s group by c{i}) g"
                asked.append(
                    f"select {number} as side, {place} as place, {self._summary(self.columns[i])} from {groups}"
                )
        kept = "" if tables else f"with s0 as {sides[0]}, s1 as {sides[1]} "
        return f"{kept}{' union all '.join(asked)} order by 1, 2"

    def _summary(self, column: Compared) -> str:
        nothing, family = f"cast(null as {self.dialect.text})", column.family
        shown = family in PROFILED
        extremes = (self.dialect.as_text(family, f"{how}(v)") if shown else nothing for how in ("min", "max"))
        mean = self._mean() if family in (NUMBER, *FLOATS) else "cast(null as double precision)"
        return f"coalesce(sum(case when v is null then n end), 0), count(v), {', '.join(extremes)}, {mean}"

    @staticmethod
    def _listed(letter: str, columns: Sequence[Compared]) -> str:
        return ", ".join(f"{letter}{i}" for i in range(len(columns)))

    @staticmethod
    def _mean() -> str:
        """Return the mean; null where a value is no number, or near an end of the range, where PostgreSQL stops."""
        number = "cast(v as double precision)"
        ordinary = f"abs({number}) < {double('1e140')} and ({number} = 0 or abs({number}) > {SMALL})"
        filled = f"sum(case when {ordinary} then n end)"
        mean = f"sum(case when {ordinary} then {number} * n end) / {filled}"
        return f"case when count(v) = {_count(ordinary)} then {mean} end"

    def _groups(self, keyless: bool, *more: str) -> str:
        names = [*(f"k{i}" for i in range(len(self.key))), *(f"c{i}" for i in range(len(self.columns))), *more]
        listed = ", ".join(names)
        sides = []
        for is_head in (True, False):
            sign, here, there = (1, 1, 0) if is_head else (-1, 0, 1)
            only = f" where {_any_null('s', self.key)}" if keyless else ""
            side = self._side(is_head, rounded=True, candidates=bool(more))
            sides.append(f"select {sign} as n, {here} as heads, {there} as bases, {listed} from {side} s{only}")
        sums = "sum(n) as n, sum(heads) as heads, sum(bases) as bases"
        return f"select {sums}, {listed} from ({' union all '.join(sides)}) u group by {listed}"

    def _join(self, **how: bool) -> str:
        head, base = (f"{self._side(is_head, **how)} {side}" for side, is_head in SIDES.items())
        return f"{head} full join {base} on {self._on('h', 'b')}"

    def _on(self, one: str, other: str) -> str:
        return " and ".join(f"{one}.k{i} = {other}.k{i}" for i in range(len(self.key)))

    def _table(self, is_head: bool, *, sampled: bool = False) -> str:
        conditions = " and ".join(filter(None, (self.where and f"({self.where})", self._sampled(is_head))))
        table = f"{self.head if is_head else self.base} t"
        some = self.dialect.sampled.format(table) if sampled else table
        return f"{some} where {conditions}" if conditions else some

    def _sampled(self, is_head: bool) -> str:
        if self.sample == 1:
            return ""
        texts = [self.dialect.as_text(c.family, c.head if is_head else c.base) for c in self.sampled_by]
        key = " || '|' || ".join(f"coalesce({text}, '')" for text in texts)
        return f"substring(md5({key}), 1, {_HEX}) < '{16**_HEX // self.sample:0{_HEX}x}'"

    def _side(
        self,
        is_head: bool,
        *,
        keys: bool = False,
        candidates: bool = False,
        hashed: bool = False,
        rounded: bool = False,
    ) -> str:
        """Return a subquery for one side: its key and all its columns, unless `keys` says that these don't matter.

        With `hashed` one value, x, stands in the place of the columns that are compared by their hashes.
        """
        columns = [(f"c{i}", c) for i, c in enumerate(self.columns) if not (keys or (hashed and c.is_hashed))]
        columns += [(f"k{i}", c) for i, c in enumerate(self.key)]
        columns += [(f"r{i}", c) for i, c in enumerate(self.candidates)] if candidates else []
        shown = ["1 as here"]
        for name, column in columns:
            value = column.head if is_head else column.base
            if rounded and column.family in FLOATS:
                value = self.dialect.rounded(value, DIGITS[column.family])
            shown.append(f"{value} as {name}")
        if values := [c.head if is_head else c.base for c in self.columns if hashed and c.is_hashed]:
            shown.append(f"{self.dialect.hash.format(', '.join(values))} as x")
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
