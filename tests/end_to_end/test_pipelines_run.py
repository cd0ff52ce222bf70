"""The pipelines' own commands, run on the example in their provider's environment."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from examples import demo
from tests.end_to_end.test_pipelines import scripts
from tests.support import ci_environments as ci
from tests.support.validation import read_junit

PULL_REQUEST = {
    "azure-pipelines.yml": ci.AZURE_PR,
    "github-actions.yml": {**ci.GITHUB_PULL_REQUEST, "GITHUB_BASE_REF": "master"},
    "gitlab-ci.yml": {**ci.GITLAB_MR, "CI_MERGE_REQUEST_TARGET_BRANCH_NAME": "master"},
    "bitbucket-pipelines.yml": {
        **ci.BITBUCKET,
        "BITBUCKET_BRANCH": demo.BRANCH,
        "BITBUCKET_PR_ID": "1066",
        "BITBUCKET_PR_DESTINATION_BRANCH": "master",
    },
}
DEFAULT_BRANCH = {
    "azure-pipelines.yml": {**ci.AZURE, "BUILD_SOURCEBRANCH": "refs/heads/master"},
    "github-actions.yml": {**ci.GITHUB, "GITHUB_EVENT_NAME": "push", "GITHUB_REF": "refs/heads/master"},
    "gitlab-ci.yml": {**ci.GITLAB, "CI_DEFAULT_BRANCH": "master", "CI_COMMIT_BRANCH": "master"},
    "bitbucket-pipelines.yml": {**ci.BITBUCKET, "BITBUCKET_BRANCH": "master"},
}
# Where the provider's own variables lead to, below the folder for one test.
PLACES = {
    "$(Agent.TempDirectory)": "temp",
    "$(Pipeline.Workspace)": "workspace",
    "$RUNNER_TEMP": "temp",
    "$CI_PROJECT_DIR": "dogs",
}
RESULTS = {
    "azure-pipelines.yml": "temp/TEST-dbt-ci.xml",
    "github-actions.yml": "temp/TEST-dbt-ci.xml",
    "gitlab-ci.yml": "dogs/test-results/dbt-ci.xml",
    "bitbucket-pipelines.yml": "dogs/test-results/dbt-ci.xml",
}

AHEAD = "--dbt-ci-base=HEAD"
"""What only the step has that parses the default branch for pull requests to come."""


@dataclass(frozen=True, kw_only=True)
class Ran:
    output: str
    exit_code: int
    passed: int
    skipped: int
    red: int


def run(name: str, project: Path, environ: dict[str, str], step: str = "--junitxml") -> Ran:
    """Run the step that validates, as the provider's shell would, and count what it put where it is published."""
    [script] = {script for script in scripts(name) if step in script}
    for variable, place in PLACES.items():
        script = script.replace(variable, str(project.parent / place))
    (project.parent / "temp").mkdir(exist_ok=True)
    shared = {
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "HOME": os.environ["HOME"],
        "AGENT_TEMPDIRECTORY": str(project.parent / "temp"),
        "DBT_PROFILES_DIR": str(project),
    }
    done = subprocess.run(
        ["bash", "-c", script], cwd=project, env={**environ, **shared}, capture_output=True, text=True, check=False
    )
    found = Counter(case.outcome for case in read_junit(project.parent / RESULTS[name]).values())
    return Ran(
        output=done.stdout + done.stderr,
        exit_code=done.returncode,
        passed=found["passed"],
        skipped=found["skipped"],
        red=found["failed"] + found["error"],
    )


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("agent") / "dogs"
    demo.make_repository(directory)
    demo.release(directory)
    demo.open_pull_request(directory)
    return directory


@pytest.fixture
def project(opened: Path, tmp_path: Path) -> Path:
    demo.copy_repository(opened, tmp_path / "dogs")
    return tmp_path / "dogs"


@pytest.mark.slow
@pytest.mark.parametrize("name", PULL_REQUEST)
def test_validates_a_pull_request_and_leaves_nothing(name: str, project: Path) -> None:
    before = demo.schemas(project)
    if any(AHEAD in script for script in scripts(name)):
        demo.git(project, "switch", "--quiet", "--detach", "master")
        ahead = run(name, project, DEFAULT_BRANCH[name], AHEAD)
        assert ahead.exit_code == 0, ahead.output
        demo.git(project, "switch", "--quiet", demo.BRANCH)
    tip = demo.git(project, "rev-parse", "HEAD").strip()
    environ = {key: tip if value == ci.HEAD else value for key, value in PULL_REQUEST[name].items()}
    ran = run(name, project, environ)
    assert (ran.exit_code, ran.red, ran.skipped) == (0, 0, 0), ran.output
    assert ran.passed > 20
    assert ("base: cached" in ran.output) == any(AHEAD in script for script in scripts(name))
    assert demo.schemas(project) == before


@pytest.mark.slow
@pytest.mark.parametrize("name", DEFAULT_BRANCH)
def test_succeeds_on_the_default_branch_without_running_dbt(name: str, project: Path) -> None:
    demo.git(project, "switch", "--quiet", "master")
    ran = run(name, project, DEFAULT_BRANCH[name])
    assert (ran.exit_code, ran.passed, ran.red) == (0, 0, 0), ran.output
    assert ran.skipped
    assert "default branch" in ran.output
