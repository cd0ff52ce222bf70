"""What names a column in SQL: not what stands in a comment or in a text."""

from __future__ import annotations

import pytest

from pytest_dbtci.dbt_host.compare.column_readers import names_in


@pytest.mark.parametrize(
    ("sql", "names"),
    [
        ("select Price from t", {"select", "price", "from", "t"}),
        ("select p -- price\n, 'price' /* price */ from t", {"select", "p", "from", "t"}),
        ("""select "Unit Price", 'it''s price', "a""b" """, {"select", "unit price", 'a"b'}),
        ("select $$price$$, $q$ price $q$, 1e5", {"select"}),
        ("select * from t", {"select", "*", "from", "t"}),
        ("select t.*, 1", {"select", "t", "*"}),
        ("select count(*), 2 * price from t", {"select", "count", "price", "from", "t"}),
        ("select straße_1 from t", {"select", "straße_1", "from", "t"}),
        ("select 'open", {"select", "open"}),
    ],
)
def test_finds_names_and_nothing_else(sql: str, names: set[str]) -> None:
    assert names_in(sql) == names
