"""Two texts are called the same only where every warehouse that is known reads the same tokens."""

from __future__ import annotations

import pytest

from pytest_dbtci.dbt_host.sql_tokens import KNOWN, is_same

SAME = (
    ("select a from b", "select  a\n\tfrom b"),
    ("select a from b -- x", "select a /* x */ from b"),
    ("select a>=1, 'x', \"y\"", "select a >= 1 ,'x' , \"y\""),
    ("select $$a  b$$ ,c", "select $$a  b$$, c"),
    ("select f(x)::int", "select f( x ) :: int"),
    ("SELECT a FROM b WHERE c IS NOT NULL", "select a from b where c is not null"),
    ("select 'https://a'", "select  'https://a'"),
    ("select a\r\n from b", "select a\n from b"),
)

DIFFERENT = (
    ("select 'a b'", "select 'a  b'"),
    ("select 'A'", "select 'a'"),
    ('select "a b"', 'select "a  b"'),
    ('select "A"', 'select "a"'),
    ("select a -- x\n, b", "select a -- x , b"),
    ("select a - -1", "select a --1\n"),
    ("select a >= b", "select a > = b"),
    ("select 1.5", "select 1 .5"),
    ("select a ?| b", "select a ? | b"),
    ("select E'x'", "select E 'x'"),
    ("select 'a'\n'b'", "select 'a' 'b'"),
    ("select /*+ h */ a", "select a"),
    ("select --+ h\n a", "select a"),
    ("select $$a  b$$", "select $$a b$$"),
    ("select ab", "select a b"),
    ("select a\u00a0b", "select a b"),
    ("select a\r, b", "select a\n, b"),
    (r"select 'a\' , 'b'", r"select 'a\', 'b'"),
    ("select /* a /* b */ c", "select /* a b */ c"),
    ("select a // b\n, c", "select a // b, c"),
    ("select a from @stage/x", "select a from @stage /x"),
    ("select a from b", "select a from c"),
)


@pytest.mark.parametrize("adapter", KNOWN)
def test_formatting_is_told_from_what_is_read(adapter: str) -> None:
    assert [pair for pair in SAME if not is_same(*pair, adapter)] == []
    assert [pair for pair in DIFFERENT if is_same(*pair, adapter)] == []


def test_case_counts_where_a_column_is_named_by_it() -> None:
    pair = ("select Id, name as Left, x.From", "select id, name as left, x.from")
    assert {adapter: is_same(*pair, adapter) for adapter in KNOWN} == {
        "postgres": True,
        "redshift": True,
        "snowflake": True,
        "duckdb": False,
    }


def test_of_an_unknown_warehouse_nothing_is_told() -> None:
    assert not is_same("select a", "select  a", "bigquery")
    assert is_same("select a", "select a", "bigquery")
