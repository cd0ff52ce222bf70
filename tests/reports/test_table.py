from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pytest_dbtci.reports.table import cell, cut, plain, table, width


def test_aligns_wide_and_combining_characters() -> None:
    lines = table(("name", "n"), (("狗子", "1"), ("Zoë", "22"), ("Zoe\u0308", "333")))
    assert lines == ("name |   n", "-----+----", "狗子 |   1", "Zoë  |  22", "Zoe\u0308  | 333")
    assert {width(line) for line in lines} == {10}


def test_puts_numbers_right_and_lets_null_be_among_them() -> None:
    assert table(("n", "s"), (("1", "a"), ("null", "1"), ("-2.50", "b"))) == (
        "    n | s",
        "------+--",
        "    1 | a",
        " null | 1",
        "-2.50 | b",
    )


def test_keeps_every_value_on_one_line() -> None:
    assert cell("a\r\nb\tc\x1b[31md\x1b[0m\x00\u202e", 20) == "a↵b cd"


@pytest.mark.parametrize(
    ("text", "limit", "short"), [("abcdef", 6, "abcdef"), ("abcdef", 5, "abcd…"), ("狗狗狗", 5, "狗狗…")]
)
def test_cuts_to_the_columns_of_a_terminal(text: str, limit: int, short: str) -> None:
    assert cut(text, limit) == short


def test_counts_the_columns_that_do_not_fit() -> None:
    columns = [f"column_{i}" for i in range(12)]
    lines = table(columns, [["x" * 100] * 12], total=78)
    assert all(width(line) <= 78 for line in lines)
    assert lines[-1].startswith("10 more columns: column_2, column_3")


def test_strips_colours_and_links_but_keeps_lines() -> None:
    coloured = "\x1b[1;31mno\x1b[0m\r\n\x1b]8;;http://x\x07link\x1b]8;;\x07\x08!"
    assert plain(coloured) == "no\nlink!"


@given(
    columns=st.lists(st.text(min_size=1, max_size=40), min_size=1, max_size=6),
    rows=st.integers(1, 4),
    data=st.data(),
)
def test_is_never_wider_than_asked_nor_more_than_a_line_a_row(
    columns: list[str], rows: int, data: st.DataObject
) -> None:
    body = [[data.draw(st.text(max_size=60)) for _ in columns] for _ in range(rows)]
    lines = table(columns, body, cells=20, total=50)
    assert all(width(line) <= 50 for line in lines)
    assert len(lines) - rows in (2, 3)
    assert not any(c in line for line in lines for c in "\n\r\x1b\x00")
