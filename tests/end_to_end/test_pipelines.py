"""The pipelines to copy: valid by their provider's schema, and doing what the documentation says they do."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_dbtci import __version__
from pytest_dbtci.options import OPTIONS

PIPELINES = Path(__file__).parents[2] / "examples" / "pipelines"
SCHEMAS = {
    # The schema's patterns escape what ECMAScript's unicode mode forbids to escape.
    "azure-pipelines.yml": (
        "vendor.azure-pipelines",
        "--data-transform=azure-pipelines",
        "--regex-variant=nonunicode",
    ),
    "github-actions.yml": ("vendor.github-workflows",),
    "gitlab-ci.yml": ("vendor.gitlab-ci", "--data-transform=gitlab-ci"),
    "bitbucket-pipelines.yml": ("vendor.bitbucket-pipelines",),
}
FULL_HISTORY = {
    "azure-pipelines.yml": ("fetchDepth", "0"),
    "github-actions.yml": ("fetch-depth", 0),
    "gitlab-ci.yml": ("GIT_DEPTH", "0"),
    "bitbucket-pipelines.yml": ("depth", "full"),
}


def validate(path: Path, name: str) -> subprocess.CompletedProcess[str]:
    schema, *options = SCHEMAS[name]
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, *options, str(path)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def pairs(value: Any) -> Iterator[tuple[Any, Any]]:
    """Walk all keys and their values, at any depth."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield key, inner
            yield from pairs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from pairs(inner)


def load(name: str) -> Any:
    return yaml.safe_load((PIPELINES / name).read_text("utf-8"))


def scripts(name: str) -> list[str]:
    """Return every shell script of a pipeline."""
    found = []
    for key, value in pairs(load(name)):
        if key in ("bash", "script", "run", "before_script"):
            found += value if isinstance(value, list) else [value]
    return found


def azure_steps() -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = load("azure-pipelines.yml")["jobs"][0]["steps"]
    return steps


def test_every_pipeline_is_validated() -> None:
    assert {path.name for path in PIPELINES.glob("*.yml")} == set(SCHEMAS)


@pytest.mark.parametrize("name", SCHEMAS)
def test_is_valid_by_its_providers_schema(name: str) -> None:
    checked = validate(PIPELINES / name, name)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(
    ("name", "right", "wrong"),
    [
        ("azure-pipelines.yml", "testResultsFormat:", "testResultFormat:"),
        ("azure-pipelines.yml", "fetchDepth:", "fetch-depth:"),
        ("azure-pipelines.yml", "PublishTestResults@2", "PublishTestResult@2"),
        ("github-actions.yml", "timeout-minutes:", "timeoutMinutes:"),
        ("gitlab-ci.yml", "junit: test-results", "junits: test-results"),
        ("bitbucket-pipelines.yml", "depth: full", "depth: all"),
    ],
)
def test_the_schema_catches_a_slip(name: str, right: str, wrong: str, tmp_path: Path) -> None:
    text = (PIPELINES / name).read_text("utf-8")
    assert right in text
    (tmp_path / name).write_text(text.replace(right, wrong), "utf-8")
    assert validate(tmp_path / name, name).returncode == 1


@pytest.mark.parametrize("name", SCHEMAS)
def test_names_only_options_that_exist(name: str) -> None:
    named = {flag for script in scripts(name) for flag in re.findall(r"--dbt-ci[a-z-]*", script)}
    assert named >= {"--dbt-ci", "--dbt-ci-target", "--dbt-ci-defer-target", "--dbt-ci-sweep"}
    assert named <= {"--dbt-ci", *(option.flag for option in OPTIONS)}


@pytest.mark.parametrize("name", SCHEMAS)
def test_says_in_one_place_which_version_is_installed(name: str) -> None:
    text = (PIPELINES / name).read_text("utf-8")
    what = r"pytest-dbtci==(\S+) dbt-core==[\d.]+ dbt-redshift==[\d.]+"
    assert re.findall(rf'(?m)^ *DBT_CI_INSTALL(?:: |="){what}"?$', text) == [__version__]
    installs = re.findall(r"pip install (.+)", text)
    assert installs
    assert set(installs) == {"$DBT_CI_INSTALL"}


def test_names_actions_by_commit_with_the_tag_beside_it() -> None:
    used = re.findall(r"uses: (.+)", (PIPELINES / "github-actions.yml").read_text("utf-8"))
    assert len(used) == 7
    for action in used:
        assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


@pytest.mark.parametrize("name", SCHEMAS)
def test_fetches_the_whole_history(name: str) -> None:
    assert FULL_HISTORY[name] in list(pairs(load(name)))


@pytest.mark.parametrize("name", SCHEMAS)
def test_keeps_the_profile_out_of_the_home_folder(name: str) -> None:
    installs = [line for script in scripts(name) for line in script.splitlines() if line.startswith("install ")]
    assert installs
    for line in installs:
        assert "--mode=600" in line
        assert "~" not in line
        assert "$HOME" not in line


@pytest.mark.parametrize("name", SCHEMAS)
def test_its_scripts_are_bash(name: str) -> None:
    for script in scripts(name):
        checked = subprocess.run(["bash", "-n"], input=script, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, f"{script}\n{checked.stderr}"


@pytest.mark.parametrize("name", SCHEMAS)
def test_publishes_only_what_is_committed(name: str) -> None:
    assert any("git archive" in script and "HEAD" in script for script in scripts(name))


def test_no_text_of_the_warehouse_commands_the_azure_agent() -> None:
    runs = [step for step in azure_steps() if "-m pytest" in step.get("bash", "")]
    assert len(runs) == 3
    for step in runs:
        assert step["target"] == {"commands": "restricted", "settableVariables": "none"}


def test_azure_uploads_the_summary_where_commands_are_not_restricted() -> None:
    [step] = [step for step in azure_steps() if "uploadsummary" in step.get("bash", "")]
    assert "target" not in step
    [path] = re.findall(r"uploadsummary\](\S+)\"", step["bash"])
    [run] = [step for step in azure_steps() if "--dbt-ci-summary" in step.get("bash", "")]
    assert f'--dbt-ci-summary="{path}"' in run["bash"]


def test_azure_publishes_the_results_that_the_run_writes() -> None:
    [publish] = [step for step in azure_steps() if step.get("task") == "PublishTestResults@2"]
    [run] = [step for step in azure_steps() if "--junitxml" in step.get("bash", "")]
    assert f'--junitxml="{publish["inputs"]["testResultsFiles"]}"' in run["bash"]
    assert publish["condition"].startswith("and(succeededOrFailed()")


def test_azure_releases_the_default_branch_by_its_whole_ref() -> None:
    steps = azure_steps()[-2:]
    assert "git archive" in steps[0]["bash"]
    assert "publish" in steps[1]
    for step in steps:
        assert "eq(variables['Build.SourceBranch'], 'refs/heads/main')" in step["condition"]
        assert "SourceBranchName" not in step["condition"]


def test_github_sweeps_from_the_default_branch_not_from_the_closed_ones_code() -> None:
    [checkout, *_] = load("github-actions.yml")["jobs"]["sweep"]["steps"]
    assert checkout["with"] == {"ref": "${{ github.event.repository.default_branch }}"}


@pytest.mark.parametrize("name", SCHEMAS)
def test_no_expression_is_pasted_into_a_script(name: str) -> None:
    # What a pull request can set, a branch's name say, would run as shell code: it goes by the environment.
    assert not [script for script in scripts(name) if "${{" in script]
