"""`--lf` goes on in the kept schemas of every warehouse, and never takes for granted what is not there any more."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.warehouse_project import Kennel
from tests.support.warehouses.fixtures import ALL_KINDS

PYTHON = """
import pytest

@pytest.mark.dbt_needs("on_breeds")
def test_on_breeds(dbt_query):
    assert sorted(tuple(row) for row in dbt_query("select breed, dogs from {{ ref('on_breeds') }}")) == [
        ("beagle", 1), ("collie", 2), ("mongrel", 1)
    ]
"""
OPTIONS = ("-n", "2", "--dbt-ci-keep-schema=failed")


@pytest.mark.parametrize("kennel", ALL_KINDS, indirect=True)
@pytest.mark.slow
def test_builds_what_failed_in_the_kept_schemas_of_another_commit_unless_one_was_dropped(kennel: Kennel) -> None:
    breeds = kennel.read("models/marts/breeds.sql")
    directory = kennel.branch(
        "rerun",
        {
            "models/staging/stg_visits.sql": kennel.read("models/staging/stg_visits.sql") + "-- changed\n",
            "models/marts/breeds.sql": breeds.replace("select breed", "select no_such_column, breed"),
            "models/marts/on_breeds.sql": "select * from {{ ref('breeds') }}\n",
            "tests/test_breeds.py": PYTHON,
        },
    )
    first = kennel.validate(directory, "31", *OPTIONS)
    assert first.code == 1, first.output
    bad = {n.split("::")[1]: c.outcome for n, c in first.cases.items() if c.outcome != "passed"}
    assert bad == {"breeds": "failed", "on_breeds": "skipped", "test_on_breeds": "skipped"}, first.output
    assert len(kennel.built("31")) > 1
    if kennel.warehouse.kind != "snowflake":
        shell = "duckdb " if kennel.warehouse.kind == "duckdb" else "psql -h 127.0.0.1 -p "
        assert f", to look at with\n  {shell}" in first.output

    wrong = "select no_such_column from {{ ref('breeds') }}\n"
    kennel.commit(directory, {"models/marts/breeds.sql": breeds, "models/marts/on_breeds.sql": wrong})
    kennel.warehouse.query("drop schema dbt_build_31_staging cascade")
    second = kennel.validate(directory, "31", *OPTIONS, "--lf")
    assert second.code == 1, second.output
    outcomes = {n.split("::")[1]: c.outcome for n, c in second.cases.items()}
    assert outcomes.keys() == bad.keys()
    assert (outcomes["breeds"], outcomes["on_breeds"], outcomes["test_on_breeds"]) == ("passed", "failed", "skipped")
    assert ran(directory) >= {"stg_visits", "fact_dogs", "breeds"}, "a kept schema is gone, so nothing is relied on"
    assert "heavy_dogs" not in ran(directory)

    kennel.commit(directory, {"models/marts/on_breeds.sql": "select * from {{ ref('breeds') }}\n"})
    third = kennel.validate(directory, "31", *OPTIONS, "--lf")
    assert third.code == 0, third.output
    assert {n.split("::")[1]: c.outcome for n, c in third.cases.items()} == {
        "on_breeds": "passed",
        "test_on_breeds": "passed",
    }
    assert ran(directory) == {"on_breeds"}
    assert kennel.built("31") == ()
    assert kennel.others() == kennel.before


def ran(directory: Path) -> set[str]:
    """Return the names of what dbt built last."""
    results = json.loads((directory / "target/dbt_ci/run_results.json").read_text())["results"]
    return {r["unique_id"].split(".")[2] for r in results if r["unique_id"].startswith("model.")}
