"""A connection that answers no more: a build does not wait for it for ever, and an interrupted run not at all."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path

import pytest

from tests.support.fault_stage import Stage, assert_every_node_has_an_outcome, eventually, outcomes, write_profile
from tests.support.tiny_project import commit, git, make_tiny, write
from tests.support.validation import Validation, validate
from tests.support.warehouses import Warehouse

pytestmark = pytest.mark.slow

SECOND = r"create\s+table.*second"


def test_a_connection_without_a_sign_of_life_is_given_up(stage: Stage) -> None:
    stage.warehouse.faults.hold(SECOND)
    run = stage.run(DBT_CI_SILENCE_SECONDS="5", DBT_CI_WATCH_SECONDS="1")
    assert run.code == 1, run.output
    assert outcomes(run)["model.kennel.second"] == "error"
    assert "gave a sign of life for 5 s (DBT_CI_SILENCE_SECONDS), so the connection was given up" in run.output
    assert outcomes(run)["model.kennel.third"] == "passed"
    assert_every_node_has_an_outcome(run)
    stage.assert_nothing_left()


def test_a_release_is_given_up_in_the_same_way_and_no_sooner(stage: Stage) -> None:
    write_profile(stage.directory, stage.warehouse.output("released"))
    git(stage.directory, "switch", "--quiet", "main")
    git(stage.directory, "merge", "--quiet", "change")
    git(stage.directory.parent, "init", "--quiet", "--bare", "--initial-branch=main", "origin.git")
    git(stage.directory, "remote", "add", "origin", "../origin.git")
    git(stage.directory, "push", "--quiet", "origin", "main")

    def release(seconds: int) -> Validation:
        watch = {"DBT_CI_SILENCE_SECONDS": str(seconds), "DBT_CI_WATCH_SECONDS": "0.5"}
        return validate(stage.directory, "--dbt-ci-release=ci", **watch)

    stage.warehouse.faults.hold(SECOND)
    run = release(5)
    assert run.code == 1, run.output
    assert {run.by_unique_id()[f"model.kennel.{name}"].outcome for name in ("first", "third")} == {"passed"}
    assert "gave a sign of life for 5 s" in run.by_unique_id()["model.kennel.second"].text
    stage.warehouse.faults.reset()
    _slow_down(stage.warehouse, seconds=8)
    run = release(4)
    assert run.code == 0, run.output


def test_a_silence_while_the_schemas_are_made_ends_the_run_too(stage: Stage) -> None:
    for _ in ("the name is taken while it plans", "what that met is tried again"):
        stage.warehouse.faults.hold("create schema")
    run = stage.run(DBT_CI_SILENCE_SECONDS="5", DBT_CI_WATCH_SECONDS="1")
    assert run.code == 1, run.output
    assert "gave a sign of life for 5 s (DBT_CI_SILENCE_SECONDS), so the connection was given up" in run.output
    # One error says so, and none of the nodes was run.
    assert set(outcomes(run).values()) == {"skipped"}
    assert run.cases["dbt_project.yml::dbt_ci_build"].outcome == "error"
    assert_every_node_has_an_outcome(run)


def test_a_statement_that_the_warehouse_works_on_is_waited_for(stage: Stage) -> None:
    _slow_down(stage.warehouse, seconds=8)
    run = stage.run(DBT_CI_SILENCE_SECONDS="4", DBT_CI_WATCH_SECONDS="0.5")
    assert run.code == 0, run.output
    stage.assert_nothing_left()


def test_an_interrupted_run_waits_for_no_answer(stage: Stage) -> None:
    """Everything is delayed, cancelling included, as where the network is gone; the warehouse works on meanwhile."""
    warehouse = stage.warehouse
    _slow_down(warehouse, seconds=300)
    running = stage.start()
    at_work = "select 1 from pg_stat_activity where query ~* '^[^;]*create *table.*second' and state = 'active'"
    eventually(lambda: warehouse.query(f"{at_work} and pid <> pg_backend_pid()"), "the statement is executed")
    warehouse.faults.delay(600_000)
    began = time.monotonic()
    running.signal(signal.SIGINT)
    run = running.wait()
    assert run.code == 2, run.output
    # 6 s for dbt to cancel and 4 s for a sign of life; the rest is this machine's. Any answer takes ten minutes.
    assert time.monotonic() - began < 120, run.output
    assert "could not all be dropped: the run was interrupted, and neither warehouse nor dbt answered" in run.output
    assert_every_node_has_an_outcome(run)
    warehouse.faults.reset()
    warehouse.query("drop event trigger dawdle")
    again = stage.run()
    assert again.code == 0, again.output
    stage.assert_nothing_left()


def test_a_build_that_waits_for_itself_is_given_up_and_says_where_it_stood(tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "tiny")
    write(
        project,
        {"models/stuck.py": "import time\n\n\ndef model(dbt, session):\n    time.sleep(120)\n    return None\n"},
    )
    commit(project, "wait")
    run = validate(project, "--dbt-ci-pr=7", DBT_CI_SILENCE_SECONDS="5", DBT_CI_WATCH_SECONDS="1")
    assert run.code == 1, run.output
    assert "Nothing came of that for as long again." in run.output
    assert re.search(r":\d+ in model$", run.output, flags=re.MULTILINE), run.output
    assert "dropped dbt_build_7" in run.output


def _slow_down(warehouse: Warehouse, seconds: float) -> None:
    """Let the server take its time over one statement: a trigger on the making of tables."""
    warehouse.query(
        "create function public.dawdle() returns event_trigger language plpgsql as "
        f"$$ begin if current_query() ~ 'table.*second' then perform pg_sleep({seconds}); end if; end $$; "
        "create event trigger dawdle on ddl_command_end when tag in ('CREATE TABLE AS') "
        "execute function public.dawdle()"
    )
