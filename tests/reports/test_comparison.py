"""What comparisons look like: breaking changes first, values only on request, nothing that breaks the page."""

from __future__ import annotations

import dataclasses

import pytest

from pytest_dbtci.differences import ColumnChange, Comparison, Differences, Example, Profile, SchemaChange
from pytest_dbtci.plan import Destination, Exposure, Node, Plan, Reason
from pytest_dbtci.reports.comparison import describe, headline, properties, table, terminal_lines

PLAN = Plan(
    mode="pull_request",
    destination=Destination(defer_target="prod"),
    nodes=tuple(
        Node(
            unique_id=f"model.p.{name}",
            resource_type="model",
            name=name,
            item=name,
            file=f"{name}.sql",
            defined_in=f"{name}.sql",
            reason=Reason(kind="modified", text="modified"),
        )
        for name in ("stays", "dogs", "cats", "mice")
    ),
    exposures=(
        Exposure(unique_id="e", label="Board | @all", owner="Ada", url="https://bi/7", parents=("model.p.stays",)),
        Exposure(unique_id="f", label="Odd", url="javascript:alert(1)", parents=("model.p.stays",)),
    ),
)
CHANGED = Comparison(
    unique_id="model.p.stays",
    base="twin",
    key_from="unique test",
    differences=Differences(
        key=("id",),
        head_rows=1200,
        base_rows=1000,
        added=201,
        removed=1,
        changed=15,
        columns=(
            ColumnChange(
                column="price",
                rows=15,
                before=Profile(nulls=0, distinct=9, least="SECRET1", greatest="SECRET2", mean="3"),
                after=Profile(nulls=2, distinct=9, least="SECRET3", greatest="SECRET2", mean="4"),
            ),
        ),
        schema=(
            SchemaChange(kind="added", column="new", after="text"),
            SchemaChange(kind="removed", column="old|", before="integer"),
        ),
        examples=(Example(kind="changed", key=(("id", "SECRET4"),), values=(("price", "SECRET5", "SECRET6"),)),),
    ),
)
SAME = Comparison(unique_id="model.p.dogs", base="prod", differences=Differences(head_rows=1, base_rows=1))
OTHER = Comparison(unique_id="model.p.mice", why="new: the base builds no such relation")
UNKNOWN = Comparison(unique_id="model.p.cats", why="new: the base builds no such relation")
ALL = {c.unique_id: c for c in (CHANGED, SAME, UNKNOWN, OTHER)}


def test_a_headline_says_what_differs_in_a_few_words() -> None:
    assert headline(CHANGED) == "+201 −1 ~15 (1.5 %), 2 columns removed, added"
    assert headline(SAME) == "identical, 1 row"
    assert headline(UNKNOWN) == "not compared: new: the base builds no such relation"


def test_the_page_begins_with_what_breaks_and_who_reads_it() -> None:
    page = "\n\n".join(table(PLAN, ALL, values=False))
    assert page.index("### Breaking changes") < page.index("### Compared with the base")
    assert "column old\\| removed (integer)" in page
    assert "column new" not in page[: page.index("### Compared")], "an added column breaks nobody"
    assert "  - read by [Board \\| @\u200ball](<https://bi/7>), Ada" in page
    assert "  - read by Odd" in page
    assert "javascript" not in page
    assert "| `stays` | base twin | 1,000 → 1,200 | 201 | 1 | 15 (1.5 %) | `price` 15, `new` added" in page
    assert "Identical: `dogs`" in page
    assert "- `cats`, `mice`: not compared: new: the base builds no such relation" in page
    assert page.count("not compared") == 1
    assert not list(table(PLAN, {}, values=True))


def test_values_from_the_data_are_shown_only_where_they_are_asked_for() -> None:
    hidden = ["\n".join(table(PLAN, ALL, values=False)), "\n".join(describe(CHANGED, PLAN, values=False))]
    hidden += [headline(CHANGED), str(list(properties(CHANGED)))]
    assert not [text for text in hidden if "SECRET" in text]
    assert "SECRET5 → SECRET6" in "\n".join(table(PLAN, ALL, values=True))
    lines = list(terminal_lines(PLAN, ALL))
    assert "  id=SECRET4  price SECRET5 → SECRET6" in lines
    assert "  price: nulls 0 → 2 · least SECRET1 → SECRET3 · mean 3 → 4" in lines
    assert lines[-2:] == [
        "dbt-ci: cats, mice: not compared: new: the base builds no such relation",
        "dbt-ci: identical to the base: dogs",
    ]


def test_what_is_not_the_pull_requests_doing_is_labelled() -> None:
    drifting = dataclasses.replace(CHANGED, base="prod", drift="it reads raw", volatile="random")
    lines = describe(drifting, PLAN, values=False)
    assert lines[:3] == [
        "compared with prod · key id (unique test) · 1,200 rows",
        "may contain drift: it reads raw",
        "every build of it differs: its text reads random",
    ]
    assert "| prod, may contain drift, differs in every build |" in "\n".join(
        table(PLAN, {drifting.unique_id: drifting}, values=False)
    )
    assert dict(properties(drifting)) == {
        "dbt_compare_mode": "prod",
        "dbt_compare_key": "id",
        "dbt_compare_added": "201",
        "dbt_compare_removed": "1",
        "dbt_compare_changed": "15",
        "dbt_compare_columns": "price: 15, new: added, old|: removed",
    }


def test_what_was_found_in_a_sample_is_never_called_identical() -> None:
    found = Differences(key=("id",), head_rows=998, base_rows=998, sample=16)
    sampled = Comparison(unique_id="model.p.dogs", base="twin", key_from="unique test", differences=found)
    where = "in a sample of 1 row in 16"
    assert headline(sampled) == f"the same rows {where}"
    lines = list(terminal_lines(PLAN, {sampled.unique_id: sampled}))
    assert lines == [
        f"dbt-ci: dogs: compared with base twin · key id (unique test) · 998 rows {where}",
        "  the same rows",
    ]
    page = "\n\n".join(table(PLAN, {sampled.unique_id: sampled}, values=False))
    assert f"| `dogs` | base twin, {where} | 998 | 0 | 0 | 0 |" in page
    assert "Identical" not in page
    assert ("dbt_compare_sample", "1 in 16") in list(properties(sampled))


def test_columns_that_are_left_out_for_one_reason_stand_in_one_line() -> None:
    left_out = (("at", "excluded"), ("shape", "values of type geometry can't be compared"), ("by", "excluded"))
    differences = dataclasses.replace(CHANGED.differences or Differences(), left_out=left_out)
    lines = describe(dataclasses.replace(CHANGED, differences=differences), PLAN, values=False)
    assert [line for line in lines if line.startswith("left out")] == [
        "left out: at, by (excluded)",
        "left out: shape (values of type geometry can't be compared)",
    ]


@pytest.mark.parametrize(
    ("changed", "rows", "share"),
    [(1, 20_000, "<0.01 %"), (1, 200, "0.5 %"), (1, 7, "14 %"), (1_999, 2_000, ">99 %"), (200, 200, "100 %")],
)
def test_a_share_is_never_called_all_or_nothing_where_it_is_not(changed: int, rows: int, share: str) -> None:
    found = Differences(key=("id",), head_rows=rows, base_rows=rows, changed=changed)
    assert headline(dataclasses.replace(CHANGED, differences=found)) == f"+0 −0 ~{changed:,} ({share})"


def test_an_empty_text_is_seen_and_an_unknown_mean_is_no_change() -> None:
    before, after = (
        Profile(nulls=n, distinct=1, least=least, greatest="b", mean=mean)
        for n, least, mean in ((1, "", ""), (0, "a", "2"))
    )
    change = ColumnChange(column="name", rows=1, before=before, after=after)
    example = Example(kind="changed", key=(("id", ""),), values=(("name", "", "a"),))
    found = Differences(key=("id",), head_rows=1, base_rows=1, changed=1, columns=(change,), examples=(example,))
    lines = describe(dataclasses.replace(CHANGED, differences=found), PLAN, values=True)
    assert lines[-2:] == ["id=''  name '' → a", "name: nulls 1 → 0 · least '' → a"]
