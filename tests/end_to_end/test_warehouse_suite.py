"""A pull request is validated end to end on DuckDB, on PostgreSQL and, with dbt-redshift, on the Redshift stand-in.

The project is that of tests/support/warehouses: seeds, views, tables with dist and sort keys, `bind: false`,
incremental models of every strategy, a snapshot, an ephemeral model, custom schemas, stored failures, all tests, hooks
and grants. tests/support/warehouses/README.md says what the stand-in can't show.
"""

from __future__ import annotations

from collections import Counter

from tests.support.warehouse_project import NEW_VISIT, Kennel


def test_builds_and_tests_the_whole_project_then_takes_over_and_drops(kennel: Kennel) -> None:
    warehouse = kennel.warehouse
    if warehouse.server:
        warehouse.faults.reset()
    seeds = {f"seeds/{name}.csv": kennel.read(f"seeds/{name}.csv") for name in ("raw_dogs", "raw_visits")}
    seeds["seeds/raw_visits.csv"] += NEW_VISIT
    seeds["seeds/raw_dogs.csv"] = seeds["seeds/raw_dogs.csv"].replace("Bruno", "Brutus")
    directory = kennel.branch("everything", seeds)

    run = kennel.validate(directory, "7", "--dbt-ci-keep-schema=always", "-v")
    assert run.code == 0, run.output
    assert Counter(u.split(".")[0] for u in run.by_unique_id()) == {
        "seed": 2,
        "model": 8,
        "snapshot": 1,
        "test": 12,
        "unit_test": 2,
        "operation": 1,
    }
    assert {c.outcome for c in run.cases.values()} == {"passed"}
    assert "known_breeds" in run.output
    assert "Got 1 result, configured to warn if != 0" in run.output
    assert "4 incremental models or snapshots run as a full build in a fresh schema" in run.output
    assert "kept dbt_build_7, dbt_build_7_dbt_test__audit, dbt_build_7_staging" in run.output

    built = warehouse.contents("dbt_build_7")
    assert [row[:4] for row in built["dbt_build_7.fact_dogs"]] == [
        (1, "Ada", "collie", 3),
        (2, "Brutus", "beagle", 1),
        (3, "Cleo", "collie", 1),
        (4, "Dara", "mongrel", 1),
    ], "the hook after the model takes dog -1 out"
    assert built["dbt_build_7.breeds"] == [("beagle", 1), ("collie", 2), ("mongrel", 1)]
    assert built["dbt_build_7.heavy_dogs"] == [(1, "Ada", 26), (4, "Dara", 30)]
    assert len(built["dbt_build_7.dogs_history"]) == 5
    assert len(built["dbt_build_7_staging.stg_visits"]) == 6
    assert built["dbt_build_7_dbt_test__audit.heavy_dogs_are_weighed"] == []
    for strategy in ("append", "merge", "replace"):
        visits = [row[:3] for row in built[f"dbt_build_7.visits_{strategy}"]]
        assert visits == [(10, 1, 21), (11, 1, 22), (12, 2, 11), (13, 3, 19), (14, 4, 30), (15, 1, 26)]
    assert kennel.others() == kennel.before
    if warehouse.server:
        granted = "has_table_privilege('reader', 'dbt_build_7.fact_dogs', 'select')"
        hooked = "has_schema_privilege('reader', 'dbt_build_7', 'usage')"
        assert warehouse.query(f"select {granted}, {hooked}") == [(True, True)]
    if warehouse.kind == "redshift":
        sent = warehouse.faults.statements('create .*"dbt_build_7')
        for words in ("distkey", "diststyle all", "compound sortkey", "interleaved sortkey", "no schema binding"):
            assert any(words in " ".join(s.text.lower().split()) for s in sent), words

    again = kennel.validate(directory, "7", "--dbt-ci-select=breeds", "-v")
    assert again.code == 0, again.output
    assert set(again.by_unique_id()) >= {"model.kennel.breeds"}
    assert "dropped dbt_build_7\n" in again.output
    assert kennel.built("7") == ()
    assert kennel.others() == kennel.before


def test_shows_what_fails_reads_the_rest_from_prod_and_drops(kennel: Kennel) -> None:
    weighed = kennel.read("models/marts/heavy_dogs.sql").replace("max(h.weight_kg)", "cast(null as integer)")
    expected = kennel.read("models/marts/marts.yml").replace("weight_kg: 6}", "weight_kg: 7}")
    files = {
        "models/marts/heavy_dogs.sql": weighed,
        "models/marts/marts.yml": expected,
        "models/marts/visits_merge.sql": kennel.read("models/marts/visits_merge.sql") + "-- changed\n",
        "models/marts/breeds.sql": "select no_such_column from {{ ref('fact_dogs') }}\n",
        "models/marts/on_breeds.sql": "select * from {{ ref('breeds') }}\n",
    }
    if kennel.warehouse.server:
        kennel.warehouse.faults.reset()
    run = kennel.validate(kennel.branch("red", files), "8", "-v")
    assert run.code == 1, run.output
    cases = {name.split("::")[-1]: case for name, case in run.cases.items()}
    assert {name: c.outcome for name, c in cases.items() if c.outcome != "passed"} == {
        "heavy_dogs_are_weighed": "failed",
        "takes_only_newer_visits": "failed",
        "visits_merge": "skipped",
        "unique_visits_merge_visit_id": "skipped",
        "breeds": "failed",
        "on_breeds": "skipped",
    }
    assert cases["heavy_dogs"].outcome == "passed"
    stored = cases["heavy_dogs_are_weighed"]
    assert "Got 2 results, configured to fail if != 0" in stored.message
    assert "dbt_build_8_dbt_test__audit" in stored.text
    assert "Dara" in stored.text, "the failing rows come from the stored failures"
    assert "no_such_column" in cases["breeds"].message.lower()
    assert "breeds" in cases["on_breeds"].message
    if kennel.warehouse.server:
        read = kennel.warehouse.faults.statements('create .*"dbt_build_8".*"prod_staging"."stg_visits"')
        assert read, "what an ephemeral parent reads is deferred as well"
    assert kennel.built("8") == ()
    assert kennel.others() == kennel.before


def test_refuses_a_schema_that_is_not_its_own_and_writes_nothing(kennel: Kennel) -> None:
    warehouse = kennel.warehouse
    warehouse.query("create schema dbt_build_9")
    warehouse.query("create table dbt_build_9.precious as select 1 as id")
    contents = warehouse.contents()
    changed = {"models/marts/breeds.sql": kennel.read("models/marts/breeds.sql") + "-- changed\n"}
    run = kennel.validate(kennel.branch("foreign", changed), "9")
    assert run.code == 4, run.output
    assert "schema dbt_build_9 exists and was not created by this tool" in run.output
    assert warehouse.contents() == contents
    warehouse.query("drop schema dbt_build_9 cascade")
