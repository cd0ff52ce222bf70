"""Which alarm sees what the real dbt prints: the error lines' filter, the exit code, or both."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.deploy.cloudformation import stack
from tests.deploy.jobs import Run, run_job, write_duckdb_profile, write_project
from tests.deploy.patterns import event_matches, line_matches
from tests.deploy.test_template import task_event


def run_dogs(root: Path, dogs: str, **environment: str) -> Run:
    project = write_project(root / "project", dogs=dogs)
    profiles = write_duckdb_profile(root)
    return run_job({"DBT_PROJECT_DIR": str(project), "DBT_PROFILES_DIR": str(profiles), **environment})


def error_lines(run: Run) -> int:
    """Count the lines that the template's metric filter counts."""
    pattern = stack().resources()["ErrorLines"]["FilterPattern"]
    return sum(line_matches(pattern, line) for line in run.lines)


def exit_alarms(run: Run) -> bool:
    """Say whether the template's rule matches a task that ended with the run's exit code."""
    event = task_event(containers=[{"name": "dbt", "exitCode": run.code}])
    return event_matches(stack().resources()["TaskFailed"]["EventPattern"], event)


@pytest.mark.slow
def test_a_healthy_run_raises_no_alarm(tmp_path: Path) -> None:
    run = run_dogs(tmp_path, "select 1 as dog_id")
    assert "Completed successfully" in run.messages
    assert (run.code, error_lines(run), exit_alarms(run)) == (0, 0, False)


@pytest.mark.slow
def test_a_failing_test_is_seen_by_both(tmp_path: Path) -> None:
    run = run_dogs(tmp_path, "select 1 as dog_id union all select 1")
    assert "Failure in test unique_dogs_dog_id" in run.messages
    assert (run.code, exit_alarms(run)) == (1, True)
    assert error_lines(run) > 0


@pytest.mark.slow
def test_a_broken_model_is_seen_by_both(tmp_path: Path) -> None:
    run = run_dogs(tmp_path, "select bone from nowhere")
    assert "Runtime Error in model dogs" in run.messages
    assert (run.code, exit_alarms(run)) == (1, True)
    assert error_lines(run) > 0


@pytest.mark.slow
def test_a_missing_credential_is_seen_by_both(tmp_path: Path) -> None:
    project = write_project(tmp_path / "project")
    run = run_job({"DBT_PROJECT_DIR": str(project)})
    assert "Env var required but not provided: 'REDSHIFT_HOST'" in run.messages
    assert (run.code, exit_alarms(run)) == (2, True)
    assert error_lines(run) == 1


@pytest.mark.slow
def test_a_usage_error_in_plain_text_is_seen_by_the_exit_code_alone(tmp_path: Path) -> None:
    run = run_dogs(tmp_path, "select 1 as dog_id", DBT_PROFILES_DIR=str(tmp_path / "nowhere"))
    assert "Invalid value for '--profiles-dir'" in run.stderr
    assert (run.code, exit_alarms(run)) == (2, True)
    assert error_lines(run) == 0


def test_a_job_that_finds_no_project_is_seen_by_both(tmp_path: Path) -> None:
    run = run_job({"DBT_PROJECT_DIR": str(tmp_path)})
    assert "has no dbt_project.yml" in run.messages
    assert (run.code, exit_alarms(run), error_lines(run)) == (2, True, 1)


def test_the_log_of_older_dbt_versions_is_not_what_the_filter_reads() -> None:
    pattern = stack().resources()["ErrorLines"]["FilterPattern"]
    assert not line_matches(pattern, '{"levelname": "ERROR", "message": "failed"}')
    assert not line_matches(pattern, '{"info": {"level": "warn", "msg": "level = \\"error\\""}}')
    assert line_matches(pattern, '{"info": {"level": "error", "msg": "failed"}}')
