"""Faults as Snowflake words them: what it refuses, and what it gives up, is told from a wrong model."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fault_stage import (
    RUN,
    SCHEMA,
    Stage,
    assert_every_node_has_an_outcome,
    eventually,
    make_repository,
    outcomes,
)
from tests.support.warehouse_project import database_of
from tests.support.warehouses.snowflake import Snowflake

pytestmark = pytest.mark.slow

NO_PRIVILEGE = ("003001", "42501", "SQL access control error:\nInsufficient privileges to operate on database")
TIMEOUT = ("000630", "57014", "Statement reached its statement or warehouse timeout of 60 second(s) and was canceled.")


@pytest.fixture
def stage(snowflake: Snowflake, tmp_path: Path) -> Iterator[Stage]:
    made = Stage.make(make_repository(tmp_path / "kennel"), snowflake)
    yield made
    made.end()


def test_tells_what_the_warehouse_gave_up_from_a_wrong_model(stage: Stage, snowflake: Snowflake) -> None:
    snowflake.fail(r"create.*\btable.*\bsecond\b", *TIMEOUT)
    (stage.directory / "models/third.sql").write_text("{{ config(schema='extra') }}\nselect no_such_column\n")
    run = stage.run()
    assert run.code == 1, run.output
    found, texts = outcomes(run), {u: case.text for u, case in run.by_unique_id().items()}
    assert (found["model.kennel.first"], found["test.kennel.unique_first_id"]) == ("passed", "passed"), run.output
    assert (found["model.kennel.second"], found["model.kennel.third"]) == ("error", "failed"), run.output
    assert "query cancelled by the warehouse" in texts["model.kennel.second"]
    assert "the warehouse's trouble" in texts["model.kennel.second"]
    assert "the warehouse's trouble" not in texts["model.kennel.third"]
    assert_every_node_has_an_outcome(run)
    stage.assert_nothing_left()


def test_needs_the_right_to_create_schemas_and_says_how_to_grant_it(stage: Stage, snowflake: Snowflake) -> None:
    snowflake.fail("create transient schema", *NO_PRIVILEGE)
    run = stage.run()
    assert run.code == 1, run.output
    assert set(outcomes(run).values()) == {"skipped"}
    assert "Insufficient privileges" in run.cases[RUN].text
    assert f"grant create schema on database {database_of(snowflake)} to role dbt" in run.cases[RUN].text
    assert run.output.count("Insufficient privileges") == 1, run.output
    stage.assert_nothing_left()


def test_is_red_where_the_schemas_can_not_be_dropped_and_the_next_run_drops_them(
    stage: Stage, snowflake: Snowflake
) -> None:
    snowflake.fail("drop schema", *NO_PRIVILEGE)
    run = stage.run()
    assert run.code == 1, run.output
    assert set(outcomes(run).values()) == {"passed"}
    assert "dbt_ci_teardown" in run.output
    assert "Insufficient privileges" in run.output
    assert stage.own_schemas() == [SCHEMA, f"{SCHEMA}_extra"]
    stage.assert_others_untouched()
    snowflake.recover()
    (stage.directory / "models/old.sql").write_text("select 2 as id\n")
    run = stage.run("--dbt-ci-compare=base")
    assert run.code == 0, run.output
    assert "old: compared with base twin" in run.output
    stage.assert_nothing_left()


def test_another_dbt_process_drops_the_schemas_of_one_that_was_killed(stage: Stage, snowflake: Snowflake) -> None:
    snowflake.hold(r"create.*\btable.*\bsecond\b")
    running = stage.start()
    eventually(snowflake.holds, "dbt builds the second model")
    os.kill(stage.host(), signal.SIGKILL)
    snowflake.recover()
    run = running.wait()
    assert run.code == 1, run.output
    assert outcomes(run)["model.kennel.second"] in ("error", "skipped"), run.output
    assert f"dropped {SCHEMA}" in run.output
    stage.assert_nothing_left()
