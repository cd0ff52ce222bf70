"""What a pull request does to the data: compared with master, free of what it did not do; on every warehouse."""

from __future__ import annotations

import pytest

from tests.support.compare_project import FILES, ON_THE_QUICK_ONES, STAYS, Shop, shop
from tests.support.validation import Case, Validation
from tests.support.warehouses.dbt_project import run_dbt, write_profiles

__all__ = ["shop"]

TABLE = "{{ config(materialized='table') }}\n"
REFACTORED = f"{TABLE}with s as ({STAYS}) select price, id, dog from s\n"
DEARER = TABLE + STAYS.replace("s.price as", "s.price + case when s.id < 2 then 7000.01 else 0 end as")

ONLY_DUCKDB = pytest.mark.parametrize("shop", ["duckdb"], indirect=True)
"""For what is the same on every warehouse, or asks none."""


def compared(run: Validation) -> dict[str, Case]:
    """Return the comparisons by the node's name."""
    return {n.split(".")[-1].split("::")[0]: c for n, c in run.cases.items() if n.endswith("::compare")}


def counts(run: Validation) -> dict[str, tuple[str, ...]]:
    names = ("mode", "added", "removed", "changed")
    found = {n: tuple(c.properties.get(f"dbt_compare_{p}", "") for p in names) for n, c in compared(run).items()}
    return {n: c for n, c in found.items() if any(c)}


@pytest.mark.slow
def test_a_refactoring_shows_no_difference_that_production_would_show(shop: Shop) -> None:
    directory = shop.branch("refactor", {"models/stays.sql": REFACTORED})
    auto = shop.validate(directory, "--dbt-ci-compare", "-v")
    assert auto.code == 0, auto.output
    assert counts(auto) == {"stays": ("twin", "0", "0", "0"), "dogs": ("twin", "0", "0", "0")}
    assert compared(auto)["stays"].properties["dbt_compare_columns"] == f"{shop.stored('price')}: reordered"
    assert "dropped dbt_build_7, dbt_build_7__base" in auto.output
    assert shop.others() == shop.before

    production = shop.validate(directory, "--dbt-ci-compare=prod", "-v")
    assert production.code == 0, production.output
    assert counts(production) == {"stays": ("prod", "2", "1", "3"), "dogs": ("prod", "1", "0", "3")}
    assert "may contain drift: it reads stays, which may have changed since production was built" in production.output
    assert shop.others() == shop.before


@pytest.mark.slow
@ON_THE_QUICK_ONES
def test_says_what_the_pull_request_changed_with_no_values_but_in_the_terminal(shop: Shop) -> None:
    files = {
        "models/stays.sql": DEARER,
        "models/breeds.sql": f"{TABLE}select 'collie' as race, 1 as legs\n",
        "models/paws.sql": TABLE + "select race, 4 * legs as paws from {{ ref('breeds') }}\n",
        "models/cats.sql": "select 1 as cat\n",
        "models/models.yml": str(FILES["models/models.yml"])
        .replace("- name: stays\n", "- name: stays\n  config: {meta: {dbt_ci: {fail_if: 'changed > 1'}}}\n")
        .replace("[{name: dog, data_tests: [unique]}]", "[{name: dog}]"),
    }
    directory = shop.branch("dearer", dict(files))
    summary = directory.parent / f"{shop.warehouse.kind}.md"
    run = shop.validate(directory, "--dbt-ci-compare=auto", f"--dbt-ci-summary={summary}", "-v")
    assert run.code == 1, run.output
    stays = compared(run)["stays"]
    assert counts(run)["stays"] == ("twin", "0", "0", "2")
    assert stays.outcome == "failed"
    assert "dbt_ci.fail_if: changed > 1" in stays.text
    key, price = shop.stored("id"), shop.stored("price")
    assert (stays.properties["dbt_compare_key"], stays.properties["dbt_compare_columns"]) == (key, f"{price}: 2")
    assert counts(run)["dogs"] == ("twin", "0", "0", "2")
    assert f"dogs: compared with base twin · key {shop.stored('dog')} (unique test of the base)" in run.output
    assert counts(run)["breeds"] == ("prod", "0", "0", "0")
    cats = compared(run)["cats"]
    assert (cats.outcome, cats.message) == ("skipped", "new: the base builds no such relation")
    assert f"{key}=0  {price} 1.50 → 7001.51" in run.output

    page = summary.read_text()
    shown = page + run.junit.read_text()
    assert "7001.51" not in shown, "no value leaves the terminal"
    assert "### Breaking changes" in page
    assert "  - read by [Anatomy](<https://bi.example/7>), Ada" in page
    assert f"| `stays` | base twin | 101 | 0 | 0 | 2 (2 %) | `{price}` 2 |" in page
    again = shop.validate(
        directory, "--dbt-ci-compare=auto", "--dbt-ci-compare-values", f"--dbt-ci-summary={summary}", "-k", "stays"
    )
    assert again.code == 1, again.output
    assert "1.50 → 7001.51" in summary.read_text()
    assert shop.others() == shop.before


@pytest.mark.slow
def test_a_column_that_changed_its_type_says_who_names_it_and_what_it_reaches(shop: Shop) -> None:
    described = """\
- name: breeds
  config: {contract: {enforced: true}}
  columns:
  - {name: breed, data_type: varchar(6)}
  - {name: legs, data_type: 'TYPE', data_tests: [not_null]}
exposures:
"""
    told, breeds = (
        str(FILES["models/models.yml"]),
        "select cast('collie' as varchar(6)) as breed, cast(1 as TYPE) as legs",
    )
    sides = [
        {
            "models/models.yml": told.replace("exposures:\n", described).replace("TYPE", kind),
            "models/breeds.sql": TABLE + breeds.replace("TYPE", kind) + "\n",
        }
        for kind in ("integer", "decimal(9,2)")
    ]
    base, files = (dict[str, str | None](side) for side in sides)
    directory = shop.branch("retyped", {**files, "models/tails.sql": "select 1 as tail from {{ ref('breeds') }}"}, base)
    summary = directory.parent / f"{shop.warehouse.kind}-retyped.md"
    run = shop.validate(directory, "--dbt-ci-compare=auto", f"--dbt-ci-summary={summary}", "-v")
    assert run.code == 0, run.output
    page = summary.read_text()
    breaking = page[page.index("### Breaking changes") : page.index("### Compared")]
    assert f"`breeds`: column {shop.stored('legs')} retyped (integer →" in breaking
    assert "named by paws\n" in breaking
    assert "tested by not" in breaking
    assert "in the enforced contract of breeds" in breaking
    assert breaking.count("  - read by [Anatomy](<https://bi.example/7>), Ada") == 2, "of breeds and of paws"
    assert "breaking change to an unversioned model" in " ".join(run.output.split())
    assert shop.others() == shop.before


@pytest.mark.slow
def test_without_deferral_everything_is_compared_with_twins(shop: Shop) -> None:
    directory = shop.branch("alone", {"models/dogs.sql": f"{FILES['models/dogs.sql']}-- the same\n"})
    run = shop.validate(directory, "--dbt-ci-compare=auto", "models/dogs.sql::dogs::compare", defer=False)
    assert run.code == 0, run.output
    assert counts(run) == {"dogs": ("twin", "0", "0", "0")}
    assert shop.others() == shop.before


@pytest.mark.slow
def test_a_twin_that_is_too_dear_or_broken_is_said_and_production_stands_in(shop: Shop) -> None:
    directory = shop.branch("dear", {"models/stays.sql": REFACTORED})
    run = shop.validate(directory, "--dbt-ci-compare=auto", "--dbt-ci-compare-budget=0", "-v")
    assert run.code == 0, run.output
    assert counts(run)["stays"] == ("prod", "2", "1", "3")
    assert "the base's version would exceed the budget of 0 s" in run.output
    alone = shop.validate(directory, "--dbt-ci-compare=auto", "--dbt-ci-compare-budget=0", defer=False)
    assert alone.code == 0, alone.output
    assert counts(alone) == {}
    assert {c.outcome for c in compared(alone).values()} == {"skipped"}
    assert shop.others() == shop.before


@pytest.mark.slow
def test_incremental_twins_go_the_same_way_as_the_heads(shop: Shop) -> None:
    directory = shop.branch("log", {"models/log.sql": f"{FILES['models/log.sql']}-- the same\n"})
    for how in ("build", "clone"):
        run = shop.validate(directory, "--dbt-ci-compare=auto", f"--dbt-ci-incremental={how}", "-v")
        assert run.code == 0, run.output
        assert counts(run) == {"log": ("twin", "0", "0", "0")}
        rows = {"build": "identical, 101 rows", "clone": "identical, 102 rows"}[how]
        assert compared(run)["log"].properties["dbt_compare"] == rows
    assert shop.others() == shop.before


@pytest.mark.slow
@ONLY_DUCKDB
def test_python_tests_get_the_numbers_under_xdist_too(shop: Shop) -> None:
    test = "def test_rows(dbt_compare):\n    assert dbt_compare('stays').differences.changed == 2\n"
    directory = shop.branch("python", {"models/stays.sql": DEARER, "tests/test_rows.py": test})
    for args, outcome in (((), "passed"), (("-n2", "--dbt-ci-compare-rules={fail_if: 'changed > 1'}"), "failed")):
        run = shop.validate(directory, "--dbt-ci-compare=auto", "tests/test_rows.py", "models/stays.sql", *args)
        assert compared(run)["stays"].outcome == outcome, run.output
        assert run.cases["tests.test_rows::test_rows"].outcome == "passed"
    wrong = "--dbt-ci-compare-rules={where: 'no_such = 1'}"
    run = shop.validate(directory, "--dbt-ci-compare=auto", "models/stays.sql", wrong)
    assert compared(run)["stays"].message.startswith('Binder Error: Referenced column "no_such"'), run.output
    off = shop.validate(directory, "tests/test_rows.py", "models/stays.sql")
    assert off.cases["tests.test_rows::test_rows"].message == "needs --dbt-ci-compare, and something to compare"
    assert not compared(off)


@pytest.mark.slow
@ONLY_DUCKDB
def test_a_rule_that_is_none_is_a_usage_error_before_anything_is_written(shop: Shop) -> None:
    rule = str(FILES["models/models.yml"]).replace(
        "- name: stays\n", "- name: stays\n  config: {meta: {dbt_ci: {fail_if: 'changed > lots'}}}\n"
    )
    directory = shop.branch("wrong", {"models/models.yml": rule, "models/stays.sql": REFACTORED})
    run = shop.validate(directory, "--dbt-ci-compare=auto")
    assert run.code == 4, run.output
    assert "'changed > lots' is no condition" in run.output
    for rules, said in (("{fail: 'changed > 1'}", "has no fail"), ("[changed]", "write a YAML mapping")):
        run = shop.validate(directory, "--dbt-ci-compare=auto", f"--dbt-ci-compare-rules={rules}")
        assert run.code == 4, run.output
        assert "--dbt-ci-compare-rules" in run.output
        assert said in " ".join(run.output.split())
    assert shop.others() == shop.before


@pytest.mark.slow
@ONLY_DUCKDB
def test_another_manifest_in_the_bases_place_is_a_usage_error(shop: Shop) -> None:
    directory = shop.branch("state", {"models/stays.sql": REFACTORED})
    profiles = write_profiles(directory, {"ci": shop.warehouse.output("dev")})
    state = directory.parent / "manifest"
    done = run_dbt(directory, ["parse", "--target-path", str(state)])
    assert done.returncode == 0, done.stdout
    profiles.unlink()
    run = shop.validate(directory, "--dbt-ci-compare=auto", f"--dbt-ci-state={state}", "--dbt-ci-select=stays")
    assert run.code == 4, run.output
    assert "leave one of them out" in run.output
    assert shop.others() == shop.before
