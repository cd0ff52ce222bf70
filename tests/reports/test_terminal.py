"""The header counts every node under the word of its reason."""

from __future__ import annotations

from typing import get_args

import pytest

from pytest_dbtci.plan import Plan, ReasonKind
from pytest_dbtci.reports.terminal import KINDS, header_lines, not_run_lines, summary_lines, wrapped
from pytest_dbtci.results import Teardown
from tests.support.finished_run import node


def test_every_kind_of_reason_has_its_word() -> None:
    assert set(KINDS) == set(get_args(ReasonKind))


@pytest.mark.parametrize(
    ("kinds", "counts"),
    [
        (("modified", "new", "affected", "downstream"), "3 modified, 1 downstream"),
        (("selected", "downstream"), "1 downstream, 1 selected"),
        (("ancestor", "modified"), "1 modified, 1 ancestors"),
    ],
)
def test_nodes_are_counted_by_reason(kinds: tuple[ReasonKind, ...], counts: str) -> None:
    nodes = tuple(node(f"model.dogs.m{i}", kind=kind) for i, kind in enumerate(kinds))
    [_, built] = header_lines(Plan(mode="pull_request", nodes=nodes, total=10))
    assert f"→ {counts}, 0 tests · {10 - len(kinds)} of 10 nodes untouched" in built


def test_a_kind_that_nobody_knows_is_no_silent_count() -> None:
    stranger = node("model.dogs.m", kind="rumour")  # type: ignore[arg-type]
    with pytest.raises(KeyError, match="rumour"):
        header_lines(Plan(mode="pull_request", nodes=(stranger,), total=1))


@pytest.mark.parametrize("columns", [60, 80, 100])
def test_breaks_a_line_at_words(columns: int) -> None:
    line = "dbt-ci: PR 7 → schema dbt_build_7 (target ci) · base origin/main @ 3ab1d80 (merge base) " + "and more " * 20
    lines = wrapped(line, columns)
    assert max(map(len, lines)) <= columns
    assert " ".join(" ".join(lines).split()) == line.strip()
    assert all(part.startswith("        ") for part in lines[1:])


def test_counts_schemas_and_nodes_that_are_too_many_to_read() -> None:
    many = tuple(f"dbt_build_7_{i}" for i in range(40))
    assert summary_lines(Plan(mode="nothing"), Teardown(dropped=many)) == [
        f"dbt-ci: dropped {', '.join(many[:6])} and 34 more"
    ]
    nodes = [node(f"model.dogs.m{i}") for i in range(2)]
    assert not_run_lines(nodes, "dbt stopped before it had a result: it died") == [
        "dbt-ci: 2 nodes were not run: dbt stopped before it had a result"
    ]
