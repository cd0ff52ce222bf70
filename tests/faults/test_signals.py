"""Ctrl-C, SIGTERM and SIGKILL at any time: the schemas go, the others stay, the report is whole."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

import pytest

from tests.support.fault_stage import RUN, SCHEMA, Stage, assert_every_node_has_an_outcome, eventually, outcomes

INTERRUPTED = 2
SECOND = r"create\s+table.*second"
IGNORES_HANGUP = pytest.mark.skipif(
    signal.getsignal(signal.SIGHUP) is signal.SIG_IGN, reason="SIGHUP is ignored here, as `nohup` wants"
)


def test_is_green_where_nothing_is_wrong(stage: Stage) -> None:
    run = stage.run()
    assert run.code == 0, run.output
    assert set(outcomes(run).values()) == {"passed"}, run.output
    assert_every_node_has_an_outcome(run)
    stage.assert_nothing_left()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_writes_nothing_when_the_plan_is_interrupted(stage: Stage, number: int) -> None:
    running = stage.start()
    stage.host()
    running.signal(number)
    run = running.wait()
    assert run.code == INTERRUPTED, run.output
    assert not stage.warehouse.faults.statements("create schema")
    stage.assert_nothing_left()


@pytest.mark.parametrize(
    ("number", "times"),
    [
        (signal.SIGINT, 1),
        (signal.SIGTERM, 1),
        pytest.param(signal.SIGINT, 2, marks=pytest.mark.slow),
        pytest.param(signal.SIGTERM, 2, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, 1, marks=(pytest.mark.slow, IGNORES_HANGUP)),
    ],
)
def test_drops_the_schemas_when_the_build_is_interrupted(stage: Stage, number: int, times: int) -> None:
    hold = stage.warehouse.faults.hold(SECOND)
    running = stage.start()
    hold.wait()
    for _ in range(times):
        running.signal(number, group=True)
    run = running.wait()
    assert run.code == INTERRUPTED, run.output
    assert_every_node_has_an_outcome(run)
    assert outcomes(run)["model.kennel.second"] == "error"
    stage.assert_nothing_left()


@pytest.mark.slow
@pytest.mark.parametrize(("number", "times"), [(signal.SIGINT, 1), (signal.SIGINT, 2), (signal.SIGTERM, 2)])
def test_ends_the_teardown_in_spite_of_signals(stage: Stage, number: int, times: int) -> None:
    hold = stage.warehouse.faults.hold("drop schema")
    running = stage.start()
    hold.wait()
    for _ in range(times):
        running.signal(number, group=True)
    eventually(lambda: "please wait" in running.output(), "the user is asked to wait")
    hold.release()
    run = running.wait()
    assert run.code == INTERRUPTED, run.output
    assert set(outcomes(run).values()) == {"passed"}, run.output
    assert_every_node_has_an_outcome(run)
    stage.assert_nothing_left()


def test_drops_the_schemas_when_pytest_is_killed(stage: Stage) -> None:
    hold = stage.warehouse.faults.hold(SECOND)
    running = stage.start()
    hold.wait()
    assert stage.own_schemas()
    running.signal(signal.SIGKILL)
    running.process.wait()
    eventually(lambda: not stage.own_schemas(), "the dbt process drops the schemas")
    stage.assert_nothing_left()


@pytest.mark.slow
def test_takes_a_killed_dbt_for_an_error_and_drops_the_schemas(stage: Stage) -> None:
    hold = stage.warehouse.faults.hold(SECOND)
    running = stage.start()
    hold.wait()
    os.kill(stage.host(), signal.SIGKILL)
    hold.release()
    run = running.wait()
    assert run.code == 1, run.output
    assert outcomes(run)["model.kennel.second"] == "skipped"
    assert run.cases[RUN].outcome == "error"
    assert "ended unexpectedly by signal 9" in run.cases[RUN].text
    assert_every_node_has_an_outcome(run)
    stage.assert_nothing_left()


def test_survives_the_death_of_a_worker(stage: Stage) -> None:
    hold = stage.warehouse.faults.hold(SECOND)
    running = stage.start("-n2")
    hold.wait()
    workers = _workers(running.process.pid)
    assert len(workers) == 2
    # One of them waits for the second model; xdist misses nothing of one that has no work left.
    for worker in workers:
        os.kill(worker, signal.SIGKILL)
    hold.release()
    run = running.wait()
    assert run.code == 1, run.output
    assert "crashed" in run.output
    stage.assert_nothing_left()


@pytest.mark.slow
def test_drops_the_schemas_when_pytest_and_dbt_are_killed_and_it_runs_again(stage: Stage) -> None:
    hold = stage.warehouse.faults.hold(SECOND)
    running = stage.start()
    hold.wait()
    host = stage.host()
    running.signal(signal.SIGSTOP)
    os.kill(host, signal.SIGKILL)
    running.signal(signal.SIGKILL)
    running.process.wait()
    hold.release()
    assert SCHEMA in stage.own_schemas()
    stage.assert_others_untouched()
    assert list(stage.scratch.glob("dbt-ci-*/profiles/run/profiles.yml"))
    again = stage.run()
    assert again.code == 0, again.output
    stage.assert_nothing_left()


@pytest.mark.slow
def test_drops_what_a_run_left_under_the_name_that_it_took_while_another_repository_had_the_first(stage: Stage) -> None:
    kept = stage.run("--dbt-ci-keep-schema=always")
    assert kept.code == 0, kept.output
    stage.warehouse.query(f"update {SCHEMA}.dbt_ci_mark set repository = 'another'")
    beside = stage.run("--dbt-ci-keep-schema=always")
    assert beside.code == 0, beside.output
    assert f"{SCHEMA} belongs to pull request 7 of project kennel in another" in " ".join(beside.output.split())
    for schema in stage.own_schemas():
        stage.warehouse.query(f"drop schema {schema} cascade")
    assert stage.warehouse.contents() != stage.before
    run = stage.run()
    assert run.code == 0, run.output
    stage.assert_nothing_left()


def _workers(controller: int) -> list[int]:
    """Return the processes that xdist started; the dbt process is not among them."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            stat, line = (process / "stat").read_text(), (process / "cmdline").read_text()
            parent = int(stat.rsplit(")", 1)[1].split()[1])
            if parent == controller and "pytest_dbtci" not in line:
                found.append(int(process.name))
    return found
