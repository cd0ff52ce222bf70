"""How a failed data test stands on the base: new, worse, already failing with the same rows, or with others."""

from __future__ import annotations

import pytest

from tests.support.compare_project import FILES, ON_THE_QUICK_ONES, Shop, shop
from tests.support.validation import Validation

__all__ = ["shop"]

PRICES = """\
{{{{ config(materialized='table') }}}}
select s.id, {dog} as dog, cast({price} as decimal(9,2)) as price,
  case when s.id = {odd} then 'odd' else 'even' end as kind,
  case when s.id in (3, 4) then null else 'x' end as note,
  case when s.id = {silent} then null else 'x' end as hint
from {{{{ source('raw', 'stays') }}}} s
"""
AS_IT_WAS = {"dog": "s.dog", "price": "s.price", "odd": "7", "silent": "3"}
SINGULAR = "select {what} from {{{{ ref('prices') }}}} where {condition}\n"
DOGS = [f"dog {i}" for i in range(7)]
TESTS: dict[str, str | None] = {
    "models/prices.sql": PRICES.format(**AS_IT_WAS),
    "models/prices.yml": f"""\
models:
- name: prices
  columns:
  - name: id
    data_tests: [unique, not_null]
  - name: dog
    data_tests: [accepted_values: {{arguments: {{values: {DOGS}}}}}]
  - name: kind
    data_tests: [accepted_values: {{arguments: {{values: [even]}}}}]
  - name: price
    data_tests: [not_null]
  - name: note
    data_tests: [not_null]
  - name: hint
    data_tests: [not_null]
""",
    "tests/too_cheap.sql": SINGULAR.format(what="id, price", condition="price < 1.75"),
    "tests/too_dear.sql": SINGULAR.format(what="*", condition="price > 98"),
    "tests/too_many.sql": SINGULAR.format(what="count(*) as n", condition="id > 50") + "having count(*) > 0\n",
}
CHANGED = {
    "dog": "s.dog",
    "price": "case s.id when 1 then 1 when 99 then 50 when 2 then null else s.price end",
    "odd": "8",
    "silent": "4",
}

ONLY_DUCKDB = pytest.mark.parametrize("shop", ["duckdb"], indirect=True)
"""For what is the same on every warehouse, or asks none."""


def labels(run: Validation) -> dict[str, str]:
    cases = run.by_unique_id().items()
    return {u.split(".")[2]: c.properties["dbt_on_base"] for u, c in cases if "dbt_on_base" in c.properties}


@pytest.mark.slow
def test_says_of_each_failed_test_how_it_stands_on_the_base(shop: Shop) -> None:
    files = {"models/prices.sql": PRICES.format(**CHANGED)}
    files["tests/brand_new.sql"] = SINGULAR.format(what="id", condition="id = 1")
    directory = shop.branch("changed", dict(files), TESTS)
    summary = directory.parent / f"{shop.warehouse.kind}-labels.md"
    run = shop.validate(
        directory, "--dbt-ci-compare=auto", "--dbt-ci-known=warn", f"--dbt-ci-summary={summary}", "-k", "not compare"
    )
    assert run.code == 1, run.output
    found = labels(run)
    dog = next(name for name in found if "prices_dog" in name)
    kind = next(name for name in found if "prices_kind" in name)
    assert found == {
        dog: "same",
        kind: "other",
        "not_null_prices_note": "same",
        "not_null_prices_hint": "other",
        "not_null_prices_price": "new",
        "too_cheap": "worse",
        "too_dear": "other",
        "too_many": "unknown",
        "brand_new": "new",
    }
    cases = {u.split(".")[2]: c for u, c in run.by_unique_id().items()}
    assert {n for n in found if cases[n].outcome == "passed"} == {dog, "not_null_prices_note"}
    assert "worse than on the base: 2 → 3" in cases["too_cheap"].message
    assert "more failures there: 2 → 1" in cases["too_dear"].message
    assert "don't say which rows of the table they are" in cases["too_many"].text
    line = "2 new, 1 worse than on the base, 2 already failing on the base with the same rows, "
    assert f"dbt-ci: failed data tests: {line}3 already failing on the base with other rows" in run.output
    page = summary.read_text()
    assert f"Failed data tests: {line}" in page
    assert "new: the base has no such test" in page
    assert "dropped dbt_build_7, dbt_build_7__base" in run.output
    assert shop.others() == shop.before


@pytest.mark.slow
@ON_THE_QUICK_ONES
def test_what_failed_before_is_red_unless_it_is_to_warn(shop: Shop) -> None:
    refactored = f"with p as ({TESTS['models/prices.sql']}) select kind, id, dog, price, note, hint from p\n"
    refactored = "{{ config(materialized='table') }}\n" + refactored.replace("{{ config(materialized='table') }}\n", "")
    directory = shop.branch("refactored", {"models/prices.sql": refactored}, TESTS)
    red = shop.validate(directory, "--dbt-ci-compare=auto", "-n2")
    assert red.code == 1, red.output
    assert set(labels(red).values()) == {"same"}
    assert len(labels(red)) == 7
    green = shop.validate(directory, "--dbt-ci-compare=auto", "--dbt-ci-known=warn")
    assert green.code == 0, green.output
    assert labels(green) == labels(red)
    assert "Got 1 result, configured to fail if != 0" in green.output
    assert ": already failing on the base, the same rows" in green.output
    assert shop.others() == shop.before


@pytest.mark.slow
@ON_THE_QUICK_ONES
def test_what_can_not_be_told_stays_red(shop: Shop) -> None:
    told = str(FILES["models/models.yml"]).replace(
        "data_tests: [unique, not_null]}",
        f"data_tests: [unique]}}, {{name: dog, data_tests: [accepted_values: {{arguments: {{values: {DOGS}}}}}]}}",
    )
    base: dict[str, str | None] = {"models/models.yml": told}
    directory = shop.branch("skipping", {"models/stays.sql": f"{FILES['models/stays.sql']}-- same\n"}, base)
    after = shop.validate(directory, "--dbt-ci-compare=auto", "--dbt-ci-known=warn")
    assert after.code == 1, after.output
    assert set(labels(after).values()) == {"same"}
    assert "it stays red, because dbt skipped dogs and 1 more after it" in after.output
    drifting = shop.validate(directory, "--dbt-ci-compare=prod", "--dbt-ci-known=warn")
    assert drifting.code == 1, drifting.output
    assert set(labels(drifting).values()) == {"unknown"}
    assert "stays was built earlier in production, and it reads stays" in drifting.output
    if shop.warehouse.kind == "duckdb":
        wrong = shop.validate(directory, "--dbt-ci-known=warn")
        assert wrong.code == 4, wrong.output
        assert "it goes with --dbt-ci-compare" in wrong.output
    assert shop.others() == shop.before


@pytest.mark.slow
@ONLY_DUCKDB
def test_a_hundred_failed_tests_stay_within_the_cap(shop: Shop) -> None:
    tests = {f"tests/t{i}.sql": SINGULAR.format(what="id", condition=f"id = {i % 40}") for i in range(100)}
    base = {"models/prices.sql": TESTS["models/prices.sql"], "models/prices.yml": TESTS["models/prices.yml"], **tests}
    directory = shop.branch("hundred", {"models/prices.sql": f"{TESTS['models/prices.sql']}-- same\n"}, base)
    run = shop.validate(directory, "--dbt-ci-compare=auto", "--dbt-ci-known=warn")
    assert run.code == 1, run.output
    found = list(labels(run).values())
    assert (found.count("same"), found.count("unknown"), len(found)) == (50, 54, 104)
    assert "the base is asked about the first 50 failed tests only" in run.output
    assert shop.others() == shop.before
