"""The rules in a node's `meta: {dbt_ci: …}`: what is understood, what is refused, what a condition says."""

from __future__ import annotations

from typing import Any

import pytest

from pytest_dbtci.compare.rules import holds, read_rules
from pytest_dbtci.differences import Differences, SchemaChange
from pytest_dbtci.errors import UsageError

FOUND = Differences(
    base_rows=200,
    added=3,
    removed=0,
    changed=1,
    schema=(
        SchemaChange(kind="removed", column="a"),
        SchemaChange(kind="renamed", column="c", before="b"),
        SchemaChange(kind="reordered", column="d"),
    ),
)


def test_reads_every_rule() -> None:
    meta = {
        "key": "id",
        "exclude": ["loaded_at"],
        "tolerance": {"price": 0.01, "n": 1},
        "where": "id > 3",
        "fail_if": "removed > 0",
    }
    rules = read_rules(meta, "here")
    assert (rules.key, rules.exclude, rules.where, rules.fail_if) == (("id",), ("loaded_at",), "id > 3", "removed > 0")
    assert rules.tolerance == {"price": 0.01, "n": 1.0}


@pytest.mark.parametrize(
    ("condition", "true"),
    [
        ("added > 2", True),
        ("added > 3", False),
        ("added >= 3 and removed = 0", True),
        ("added >= 3 and removed > 0", False),
        ("removed > 0 or changed == 1", True),
        ("removed > 0 and added > 0 or changed < 2", True),
        ("changed_pct > 0.5", False),
        ("CHANGED_PCT >= 0.5", True),
        ("columns_removed = 2", True),
        ("columns_changed != 1", False),
        ("columns_added > 0", False),
    ],
)
def test_says_whether_a_condition_holds(condition: str, true: bool) -> None:
    assert holds(read_rules({"fail_if": condition}, "here").fail_if, FOUND) is true


@pytest.mark.parametrize(
    "meta",
    [
        {"fail": "added > 0"},
        {"fail_if": ""},
        {"fail_if": "added"},
        {"fail_if": "added > many"},
        {"fail_if": "rows > 1"},
        {"fail_if": "added > 1 xor removed > 1"},
        {"fail_if": "__import__('os') > 1"},
        {"fail_if": "added > 1 and"},
        {"fail_if": True},
        {"key": []},
        {"key": 3},
        {"exclude": [""]},
        {"tolerance": 0.1},
        {"tolerance": {"a": -1}},
        {"tolerance": {"a": "0.1"}},
        {"tolerance": {"a": float("nan")}},
        {"tolerance": {"a": True}},
        {"where": ["id > 1"]},
        ["key"],
        "key",
    ],
)
def test_refuses_what_it_does_not_understand(meta: Any) -> None:
    with pytest.raises(UsageError, match="here: dbt_ci"):
        read_rules(meta, "here")
