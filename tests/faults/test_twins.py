"""What befalls a run while it builds the base's version beside the head's: the twins go with the other schemas."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from tests.support.fault_stage import Running, Stage, eventually
from tests.support.tiny_project import git
from tests.support.warehouses.faults import REDSHIFT_SERIALIZABLE, Hold, Trouble

TWINS = "dbt_build_7__base"
COMPARE = "--dbt-ci-compare=base"
BUILDS_A_TWIN = rf"create\s+table[^;]*{TWINS}[^;]*old"

pytestmark = pytest.mark.slow


def change_what_the_base_has(directory: Path) -> None:
    (directory / "models/old.sql").write_text("select 1 as id, 2 as more\n")
    git(directory, "commit", "--quiet", "--all", "--message=More")


def at_work_on_twins(stage: Stage) -> tuple[Running, Hold]:
    """Start a run and stop it in the middle of building a twin."""
    change_what_the_base_has(stage.directory)
    hold = stage.warehouse.faults.hold(BUILDS_A_TWIN)
    running = stage.start(COMPARE)
    hold.wait()
    assert TWINS in stage.own_schemas()
    return running, hold


def test_sigkill_of_pytest_leaves_no_twin(stage: Stage) -> None:
    running, hold = at_work_on_twins(stage)
    running.signal(signal.SIGKILL)
    hold.release()
    running.process.wait()
    stage_is_clean(stage)


def test_sigkill_of_dbt_leaves_no_twin_and_says_what_was_not_compared(stage: Stage) -> None:
    running, hold = at_work_on_twins(stage)
    os.kill(stage.host(), signal.SIGKILL)
    hold.release()
    run = running.wait()
    case = next(c for n, c in run.cases.items() if n.endswith("old::compare"))
    assert case.outcome == "error"
    assert "dbt process" in case.message
    assert run.code == 1, run.output
    stage_is_clean(stage)


def test_sigterm_leaves_no_twin(stage: Stage) -> None:
    running, hold = at_work_on_twins(stage)
    running.signal(signal.SIGTERM)
    run = running.wait()
    hold.release()
    assert run.code == 2, run.output
    stage_is_clean(stage)


@pytest.mark.parametrize("stage", ["postgres"], indirect=True)
def test_ctrl_c_leaves_no_twin(stage: Stage) -> None:
    running, hold = at_work_on_twins(stage)
    running.signal(signal.SIGINT, group=True)
    run = running.wait()
    hold.release()
    assert run.code == 2, run.output
    stage_is_clean(stage)


def test_a_twin_that_can_not_be_built_is_said_and_the_rest_stays_as_it_is(stage: Stage) -> None:
    change_what_the_base_has(stage.directory)
    stage.warehouse.faults.fail(BUILDS_A_TWIN, REDSHIFT_SERIALIZABLE, times=9)
    run = stage.run(COMPARE)
    assert run.code == 0, run.output
    case = next(c for n, c in run.cases.items() if n.endswith("old::compare"))
    assert case.outcome == "skipped"
    assert case.message.startswith("the base's version could not be built: ")
    stage_is_clean(stage)


@pytest.mark.parametrize("stage", ["postgres"], indirect=True)
def test_a_newer_run_takes_the_twins_schemas_over(stage: Stage) -> None:
    older, hold = at_work_on_twins(stage)
    newer = stage.run(COMPARE)
    stage.assert_others_untouched()
    assert newer.code == 0, newer.output
    assert "old: compared with base twin" in newer.output
    hold.release()
    overtaken = older.wait()
    assert overtaken.code == 1, overtaken.output
    stage_is_clean(stage)


@pytest.mark.parametrize("stage", ["redshift"], indirect=True)
def test_twins_that_could_not_be_dropped_go_with_a_later_run_that_has_none(stage: Stage) -> None:
    change_what_the_base_has(stage.directory)
    stage.warehouse.faults.drop(BUILDS_A_TWIN, times=9)
    denied = Trouble(code="42501", message=f"must be owner of schema {TWINS}")
    stage.warehouse.faults.fail(rf"drop\s+schema[^;]*{TWINS}", denied, times=99)
    run = stage.run(COMPARE)
    assert run.code == 1, run.output
    case = next(c for n, c in run.cases.items() if n.endswith("old::compare"))
    assert case.message.startswith("the base's version could not be built: "), "the connection was lost"
    assert "must be owner" in run.output
    assert stage.own_schemas() == [TWINS]
    stage.assert_others_untouched()
    stage.warehouse.faults.reset()
    later = stage.run()
    assert later.code == 0, later.output
    stage_is_clean(stage)


def test_twins_schemas_of_somebody_else_stop_the_run_before_a_write(stage: Stage) -> None:
    change_what_the_base_has(stage.directory)
    stage.warehouse.query(f"create schema {TWINS}")
    stage.warehouse.query(f"create table {TWINS}.old as select 7 as id")
    run = stage.run(COMPARE)
    assert run.code == 4, run.output
    assert f"schema {TWINS} exists and was not created by this tool" in run.output
    assert stage.own_schemas() == [TWINS]
    assert stage.warehouse.contents(TWINS) == {f"{TWINS}.old": [(7,)]}


def stage_is_clean(stage: Stage) -> None:
    """Look for twins and all else once the dbt process has had its time."""
    eventually(lambda: not stage.own_schemas(), "the schemas are gone")
    stage.assert_nothing_left()
