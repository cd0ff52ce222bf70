"""An incremental model goes on from a copy of prod's table, seen in its rows; or the run says that it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_dbtci.manifest import Manifest, ManifestNode
from pytest_dbtci.plan import Plan, Reason
from pytest_dbtci.planning.incremental import with_notes
from pytest_dbtci.planning.planned import Planned
from pytest_dbtci.selection.nodes import plan_nodes
from tests.support.warehouse_project import NEW_VISIT, Kennel
from tests.support.warehouses import KINDS, SERVER_KINDS
from tests.support.warehouses.faults import STATEMENT_TIMEOUT
from tests.support.warehouses.fixtures import ALL_KINDS

pytestmark = pytest.mark.slow

STRATEGIES = ("append", "merge", "replace")
CLONE = "--dbt-ci-incremental=clone"

CLONES = """
{% macro duckdb__can_clone_table() %}{{ return(True) }}{% endmacro %}
{% macro duckdb__create_or_replace_clone(this_relation, defer_relation) %}
  create or replace table {{ this_relation }} as
  select * replace (case weight_kg when 99 then -99 else weight_kg end as weight_kg) from {{ defer_relation }}
{% endmacro %}
"""


def changed(kennel: Kennel) -> dict[str, str]:
    """Give the files of a pull request with a new visit and a renamed dog."""
    dogs = kennel.read("seeds/raw_dogs.csv").replace("Bruno", "Brutus")
    return {"seeds/raw_dogs.csv": dogs, "seeds/raw_visits.csv": kennel.read("seeds/raw_visits.csv") + NEW_VISIT}


@pytest.mark.parametrize("kennel", ALL_KINDS, indirect=True)
def test_adds_the_new_batch_to_a_real_copy_of_prods_rows(kennel: Kennel) -> None:
    directory = kennel.branch("batch", changed(kennel))
    run = kennel.validate(directory, "17", CLONE, "--dbt-ci-keep-schema=always", "-v")
    assert run.code == 0, run.output
    assert "4 incremental models or snapshots go on from a copy of prod's relation" in run.output
    built = kennel.warehouse.contents("dbt_build_17")
    for strategy in STRATEGIES:
        assert [row[:3] for row in built[f"dbt_build_17.visits_{strategy}"]] == [
            (10, 1, 99),
            (11, 1, 22),
            (12, 2, 11),
            (13, 3, 19),
            (14, 4, 30),
            (15, 1, 26),
        ]
    history = [row[1] for row in built["dbt_build_17.dogs_history"] if row[0] == 2]
    assert sorted(map(str, history)) == ["Bruno", "Brutus"]
    assert kennel.others() == kennel.before


@pytest.mark.parametrize("kennel", KINDS, indirect=True)
def test_builds_anew_what_prod_does_not_build_incrementally(kennel: Kennel) -> None:
    went_on = "{{ 'true' if is_incremental() else 'false' }}"
    model = f"{{{{ config(materialized='incremental') }}}}\nselect 1 as id, {went_on} as went_on\n"
    table = kennel.read("models/marts/heavy_dogs.sql").replace("config(", "config(materialized='incremental', ")
    merge = kennel.read("models/marts/visits_merge.sql").replace("config(", "config(full_refresh=true, ", 1)
    files = {
        "models/marts/brand_new.sql": model,
        "models/marts/heavy_dogs.sql": table,
        "models/marts/visits_merge.sql": merge,
    }
    run = kennel.validate(kennel.branch("new", files), "18", CLONE, "--dbt-ci-keep-schema=always")
    assert run.code == 0, run.output
    assert kennel.warehouse.contents("dbt_build_18")["dbt_build_18.brand_new"] == [(1, False)]
    assert "3 incremental models or snapshots run as a full build, not from a copy of prod's relation" in run.output
    assert "so that is_incremental() is tested" not in run.output
    assert kennel.others() == kennel.before


@pytest.mark.parametrize(
    ("configs", "said"),
    [
        ((None,), "1 incremental model is"),
        ((None, True, False), "2 incremental models are"),
        ((False,), ""),
        ((), ""),
    ],
)
def test_a_release_says_what_the_environment_lets_it_build_anew(configs: tuple[bool | None, ...], said: str) -> None:
    # A snapshot is never built anew.
    kept = ManifestNode(
        unique_id="snapshot.p.s", resource_type="snapshot", name="s", package="p", file="s.sql", parts={}
    )
    model = replace(kept, resource_type="model", materialized="incremental")
    models = [replace(model, unique_id=f"model.p.m{i}", full_refresh=c) for i, c in enumerate(configs)]
    found = {node.unique_id: node for node in (kept, *models)}
    head = Manifest(
        project="p", adapter="duckdb", dbt_version="1", nodes=found, macros={}, docs={}, disabled={}, env_vars={}
    )
    reason = Reason(kind="released", text="released")
    nodes = plan_nodes(dict.fromkeys(found, reason), head, "dbt_packages")
    planned = Planned(plan=Plan(mode="release", project="p", project_dir="p", nodes=nodes), head=head)
    notes = with_notes(planned, "fresh", {"DBT_FULL_REFRESH": "true"}).plan.notes
    assert notes == ((f"DBT_FULL_REFRESH=true in the environment: {said} built anew",) if said else ())
    assert with_notes(planned, "fresh", {"DBT_FULL_REFRESH": "0"}).plan.notes == ()


@pytest.mark.parametrize("kennel", SERVER_KINDS, indirect=True)
def test_a_copy_that_fails_is_an_error_that_names_it(kennel: Kennel) -> None:
    faults = kennel.warehouse.faults
    faults.reset()
    faults.fail(r"insert into .*visits_merge", STATEMENT_TIMEOUT, times=9)
    files = {
        f"models/marts/visits_{s}.sql": kennel.read(f"models/marts/visits_{s}.sql") + "-- changed\n"
        for s in ("merge", "replace")
    }
    run = kennel.validate(kennel.branch("failing", files), "19", CLONE)
    faults.reset()
    assert run.code == 1, run.output
    cases = {name.split("::")[-1]: case for name, case in run.cases.items()}
    assert cases["visits_merge"].outcome == "error"
    assert "could not be copied" in cases["visits_merge"].text
    assert "prod.visits_merge: " in cases["visits_merge"].text
    for name in ("unique_visits_merge_visit_id", "takes_only_newer_visits"):
        assert cases[name].outcome == "skipped"
        assert "visits_merge" in cases[name].message
    assert cases["visits_replace"].outcome == "passed"
    assert cases["unique_visits_replace_visit_id"].outcome == "passed"
    assert kennel.built("19") == ()
    assert kennel.others() == kennel.before


@pytest.mark.parametrize("kennel", ["duckdb"], indirect=True)
def test_copies_by_dbts_own_clone_where_that_makes_a_table(kennel: Kennel) -> None:
    files = changed(kennel) | {"macros/clones.sql": CLONES}
    select = "--dbt-ci-select=raw_visits stg_visits visits_merge"
    run = kennel.validate(kennel.branch("cloning", files), "20", CLONE, select, "--dbt-ci-keep-schema=always")
    assert run.code == 0, run.output
    rows = kennel.warehouse.contents("dbt_build_20")["dbt_build_20.visits_merge"]
    assert [row[2] for row in rows] == [-99, 22, 11, 19, 30, 26]


@pytest.mark.parametrize("kennel", ["duckdb"], indirect=True)
@pytest.mark.parametrize(
    ("options", "environ", "reason"),
    [
        ([CLONE], {}, "copies from the deferral target: name it with --dbt-ci-defer-target"),
        ([CLONE, "--dbt-ci-defer-target=prod", "--dbt-ci-full-refresh"], {}, "contradict each other: leave one out"),
        (
            [CLONE, "--dbt-ci-defer-target=prod"],
            {"DBT_FULL_REFRESH": "True"},
            "--dbt-ci-incremental=clone and DBT_FULL_REFRESH=True in the environment contradict each other",
        ),
    ],
)
def test_refuses_to_copy_where_nothing_could_come_of_it(
    kennel: Kennel, options: list[str], environ: dict[str, str], reason: str
) -> None:
    run = kennel.validate(kennel.main, "21", *options, defer=False, **environ)
    assert run.code == 4
    assert reason in run.output
