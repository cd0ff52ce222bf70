"""Only SQL that calls what is known by name follows from the rows that it reads."""

from __future__ import annotations

import pytest

from pytest_dbtci.dbt_host.plain_sql import follows_from_rows


@pytest.mark.parametrize(
    "sql",
    [
        "select distinct a, count(*) as n, sum(cast(b as decimal(9, 2))) from x join y using (a) group by a",
        "with w as (select * from x) select coalesce(a, 'it''s (a) limit') from w where a in (1) order by 1 -- now()",
        "select grouping(a), max(b) filter (where b > 1) from x group by grouping sets ((a), ())",
        'select a from "w"."s"."x" join "w"."s"."y" using (a) where b = \'x.y\'',
        "select a from x where exists (select 1 from y where y.a = x.a) union all (select a from z)",
    ],
)
def test_known_sql_follows_from_rows(sql: str) -> None:
    assert follows_from_rows(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "select own(a) from x",
        "select lib.upper(a) from x",
        'select "upper"(a) from x',
        "select a from read_csv('a.csv')",
        "select a from 'a.parquet'",
        "select a from 'a'",
        'select a from x, "a.csv"',
        "select a, now() from x",
        "select a from x where seen < current_date",
        "select cast('today' as date), a from x",
        "select cast('tomorrow 10:00' as timestamp), a from x",
        "select a, session_user from x",
        "select random() as r from x",
        "select gen_random_uuid(), a from x",
        "select max(a) over (partition by b) from x",
        "select a from x limit 3",
        "select first(a) from x",
        "select array_agg(a) from x",
        "select arg_max_null(a, b) from x",
        "select distinct on (a) a, b from x",
        "select a from x tablesample (10)",
        "select ctid, a from x",
        "select table_name from information_schema.tables",
        "select nextval('s'), a from x",
        'select a collate "C" from x',
        "select @ a from x",
    ],
)
def test_anything_else_does_not(sql: str) -> None:
    assert not follows_from_rows(sql)
