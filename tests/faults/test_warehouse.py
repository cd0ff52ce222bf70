"""The warehouse fails, goes away, comes back, is full, refuses: what is shown, and what stays as it was."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.fault_stage import (
    NODES,
    RUN,
    SCHEMA,
    Stage,
    assert_every_node_has_an_outcome,
    outcomes,
    write_profile,
)
from tests.support.warehouses.faults import (
    POSTGRES_DISK_FULL,
    POSTGRES_SERIALIZABLE,
    POSTGRES_TOO_MANY_CONNECTIONS,
    REDSHIFT_CANCELLED,
    REDSHIFT_DISK_FULL,
    REDSHIFT_SERIALIZABLE,
    REDSHIFT_TOO_MANY_CONNECTIONS,
    STATEMENT_TIMEOUT,
    Trouble,
)

pytestmark = pytest.mark.slow

FIRST = r"create\s+table.*first__dbt_tmp"
SECOND = r"create\s+table.*second__dbt_tmp"
THIRD = r"create\s+table.*third__dbt_tmp"
ALWAYS = 99


def test_tells_persistent_trouble_of_the_warehouse_from_a_wrong_model(stage: Stage) -> None:
    redshift = stage.warehouse.kind == "redshift"
    stage.warehouse.faults.fail(SECOND, REDSHIFT_SERIALIZABLE if redshift else POSTGRES_SERIALIZABLE, times=ALWAYS)
    stage.warehouse.faults.fail(THIRD, REDSHIFT_DISK_FULL if redshift else POSTGRES_DISK_FULL, times=ALWAYS)
    run = stage.run()
    assert run.code == 1, run.output
    found = outcomes(run)
    assert found["model.kennel.first"] == "passed"
    assert found["model.kennel.second"] == found["model.kennel.third"] == "error"
    assert found["test.kennel.unique_third_id"] == "skipped"
    texts = {u: c.text for u, c in run.by_unique_id().items()}
    assert "serializable isolation violation: the warehouse's trouble" in texts["model.kennel.second"]
    assert "disk full: the warehouse's trouble" in texts["model.kennel.third"]
    assert_every_node_has_an_outcome(run)
    stage.assert_nothing_left()


def test_lets_the_adapter_repeat_what_the_profile_says(stage: Stage) -> None:
    output = stage.warehouse.output("analytics")
    redshift = stage.warehouse.kind == "redshift"
    write_profile(stage.directory, {**output, "retries": 3, **({"retry_all": True} if redshift else {})})
    faults = stage.warehouse.faults
    faults.refuse(REDSHIFT_TOO_MANY_CONNECTIONS if redshift else POSTGRES_TOO_MANY_CONNECTIONS)
    if redshift:
        faults.fail(SECOND, REDSHIFT_SERIALIZABLE)
    run = stage.run()
    assert run.code == 0, run.output
    assert faults.pending() == 0
    stage.assert_nothing_left()


@pytest.mark.parametrize("trouble", [REDSHIFT_CANCELLED, STATEMENT_TIMEOUT])
def test_takes_a_timeout_for_trouble(stage: Stage, trouble: Trouble) -> None:
    stage.warehouse.faults.fail(SECOND, trouble, times=ALWAYS)
    run = stage.run()
    assert run.code == 1, run.output
    assert outcomes(run)["model.kennel.second"] == "error"
    stage.assert_nothing_left()


def test_takes_a_lost_connection_for_trouble(stage: Stage) -> None:
    stage.warehouse.faults.drop(SECOND, times=ALWAYS)
    run = stage.run()
    assert run.code == 1, run.output
    assert outcomes(run)["model.kennel.second"] == "error", run.output
    assert_every_node_has_an_outcome(run)
    stage.assert_nothing_left()


def test_is_an_error_where_the_warehouse_is_away_before_the_build(stage: Stage) -> None:
    assert stage.warehouse.server is not None
    stage.warehouse.server.stop()
    run = stage.run()
    stage.warehouse.server.start()
    assert run.code == 1, run.output
    assert set(outcomes(run).values()) == {"skipped"}
    assert run.cases[RUN].outcome == "error"
    assert "the schemas could not be made ready" in run.cases[RUN].text
    assert "Look at the target's host, port, user and password" in run.cases[RUN].text
    assert_every_node_has_an_outcome(run)
    stage.assert_nothing_left()


def test_drops_the_schemas_where_the_warehouse_was_away_and_is_back(stage: Stage) -> None:
    server, hold = stage.warehouse.server, stage.warehouse.faults.hold(SECOND)
    assert server is not None
    running = stage.start()
    hold.wait()
    server.stop()
    server.start()
    run = running.wait()
    assert run.code == 1, run.output
    assert outcomes(run)["model.kennel.second"] == "error"
    assert_every_node_has_an_outcome(run)
    stage.assert_nothing_left()


def test_says_what_stays_where_the_warehouse_is_gone_for_good(stage: Stage) -> None:
    server, hold = stage.warehouse.server, stage.warehouse.faults.hold(r"drop\s+schema")
    assert server is not None
    running = stage.start()
    hold.wait()
    server.stop()
    run = running.wait()
    server.start()
    assert run.code == 1, run.output
    assert set(outcomes(run).values()) == {"passed"}
    assert "could not all be dropped" in run.output
    assert SCHEMA in stage.own_schemas()
    again = stage.run()
    assert again.code == 0, again.output
    stage.assert_nothing_left()


def test_needs_the_right_to_create_schemas_and_says_so(stage: Stage) -> None:
    write_profile(stage.directory, stage.warehouse.output("analytics", as_reader=True))
    run = stage.run()
    assert run.code == 1, run.output
    assert set(outcomes(run).values()) == {"skipped"}
    assert run.cases[RUN].outcome == "error"
    assert "permission denied" in run.cases[RUN].text
    assert run.output.count("permission denied") == 1, run.output
    stage.assert_nothing_left()


def test_is_red_where_the_schemas_can_not_be_dropped(stage: Stage) -> None:
    denied = Trouble(code="42501", message=f"must be owner of schema {SCHEMA}")
    stage.warehouse.faults.fail(r"drop\s+schema", denied, times=ALWAYS)
    run = stage.run()
    assert run.code == 1, run.output
    assert set(outcomes(run).values()) == {"passed"}
    assert "dbt_ci_teardown" in run.output
    assert "must be owner" in run.output
    stage.assert_others_untouched()


def test_leaves_a_schema_alone_that_somebody_else_made(stage: Stage) -> None:
    stage.warehouse.query(f"create schema {SCHEMA}")
    stage.warehouse.query(f"create table {SCHEMA}.precious as select 1 as id")
    run = stage.run()
    assert run.code == 4, run.output
    assert f"schema {SCHEMA} exists and was not created by this tool" in run.output
    assert stage.warehouse.contents() == {**stage.before, f"{SCHEMA}.precious": [(1,)]}


def test_shows_no_secret_that_the_warehouse_repeats(stage: Stage) -> None:
    secret, password = "tell-nobody-this", str(stage.warehouse.output("x")["password"])
    echo = Trouble(code="XX000", message=f"login with {secret} and {password} went wrong")
    stage.warehouse.faults.fail(SECOND, echo, times=ALWAYS)
    stage.warehouse.faults.fail(r"drop\s+schema", echo)
    output = {**stage.warehouse.output("analytics"), "password": "{{ env_var('KENNEL_PASSWORD') }}"}
    write_profile(stage.directory, output)
    run = stage.run("-vv", KENNEL_PASSWORD=password, DBT_ENV_SECRET_OTHER=secret)
    # dbt itself replaces what DBT_ENV_SECRET variables hold, by five stars.
    assert len(re.findall(r"login with \*+ and \*\*\* went wrong", run.output)) > 1, run.output
    written = [p for p in stage.directory.parent.rglob("*") if p.is_file() and ".git/" not in str(p)]
    assert len(written) > 10
    for path in written:
        assert secret.encode() not in path.read_bytes(), path
        assert password.encode() not in path.read_bytes(), path


def test_skips_the_rest_where_dbt_stops_at_the_first_failure(stage: Stage) -> None:
    (stage.directory / "models/first.sql").write_text("select no_such_column\n")
    project = stage.directory / "dbt_project.yml"
    project.write_text(project.read_text().replace("flags: {", "flags: {fail_fast: true, "))
    run = stage.run("--dbt-ci-threads=1")
    assert run.code == 1, run.output
    assert outcomes(run)["model.kennel.first"] == "failed"
    assert set(outcomes(run)) >= {n for n in NODES if n.startswith("model")}
    stage.assert_nothing_left()


SLOW_TO_CONNECT = """
import threading, time, redshift_connector
connect = redshift_connector.connect

def slow(**kwargs):
    connection = connect(**kwargs)
    time.sleep(0.5 if threading.current_thread() is threading.main_thread() else 0.2)
    return connection

redshift_connector.connect = slow
"""


# Only Redshift's driver keeps a connection that nobody holds.
@pytest.mark.parametrize("stage", ["redshift"], indirect=True)
def test_frees_what_a_connection_locks_that_dbt_forgets_as_it_cancels(stage: Stage) -> None:
    # While dbt cancels, it opens the connection that a thread of its own is just opening, too.
    (stage.scratch / "sitecustomize.py").write_text(SLOW_TO_CONNECT)
    (stage.directory / "models/first.sql").write_text("select no_such_column\n")
    (stage.directory / "models/old.sql").write_text("select 1 as id from (select pg_sleep(2)) as nap\n")
    project = stage.directory / "dbt_project.yml"
    project.write_text(project.read_text().replace("flags: {", "flags: {fail_fast: true, "))
    run = stage.run("--dbt-ci-threads=1", PYTHONPATH=str(stage.scratch), DBT_CI_LOCK_SECONDS="3")
    assert run.code == 1, run.output
    found = outcomes(run)
    assert (found["model.kennel.first"], found["model.kennel.old"]) == ("failed", "error"), run.output
    stage.assert_nothing_left()


def test_lets_one_of_two_runs_of_a_pull_request_win(stage: Stage) -> None:
    hold = stage.warehouse.faults.hold(SECOND)
    older = stage.start("--dbt-ci-threads=1")
    hold.wait()
    newer = stage.run()
    stage.assert_others_untouched()
    assert newer.code == 0, newer.output
    assert set(outcomes(newer).values()) == {"passed"}
    hold.release()
    overtaken = older.wait()
    assert overtaken.code == 1, overtaken.output
    again = stage.run()
    assert again.code == 0, again.output
    stage.assert_nothing_left()


# On PostgreSQL forty runs are kept apart: test_many_runs.py.
@pytest.mark.parametrize("stage", ["redshift"], indirect=True)
def test_keeps_the_runs_of_twenty_pull_requests_apart(stage: Stage) -> None:
    for first in range(100, 120, 5):
        runs = [(pr, stage.start(pr=pr)) for pr in range(first, first + 5)]
        for pr, running in runs:
            run = running.wait(300)
            assert run.code == 0, f"{pr}: {run.output}"
    assert not [s for s in stage.warehouse.schemas() if re.match(r"dbt_build_1[01]\d", s)]
    stage.assert_nothing_left()


@pytest.mark.parametrize(
    ("program", "said"),
    [
        ("import os; os._exit(3)", "with exit code 3"),
        ("raise ImportError('this dbt is broken')", "this dbt is broken"),
        ("print('nonsense ' * 100000)\nimport os; os._exit(0)", "ended unexpectedly"),
    ],
)
def test_says_that_dbt_itself_does_not_run(stage: Stage, program: str, said: str) -> None:
    package = Path(stage.scratch.parent, "broken", "dbt")
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(program)
    run = stage.run(PYTHONPATH=str(package.parent))
    assert run.code == 1, run.output
    assert said in run.output
    stage.assert_nothing_left()
