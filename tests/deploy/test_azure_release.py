"""The release pipeline: valid for Azure's schema, and its shell steps run in order, on stand-in tools."""

from __future__ import annotations

import gzip
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_dbtci import __version__
from tests.deploy import DEPLOY, ROOT
from tests.deploy.cloudformation import stack

PIPELINE = DEPLOY / "azure-release.yml"
STAGE = DEPLOY / "azure-release-stage.yml"
# Writes down how it was called; fails when it is told to.
TOOL = """#!/bin/sh
case "$1" in load|login) cat > /dev/null;; esac
echo "$(basename "$0") $*" >> "$CALLS"
case "$(basename "$0") $*" in *"$FAIL_ON"*) exit 1;; esac
"""
GROUP = {"REPOSITORY_URI": "1.dkr.ecr.eu-west-1.amazonaws.com/dbt-prod-datamart", "BUCKET": "docs-bucket"}


def check(path: Path) -> subprocess.CompletedProcess[str]:
    """Validate a pipeline file against the schema of the Azure Pipelines service."""
    options = ["--builtin-schema", "vendor.azure-pipelines", "--data-transform", "azure-pipelines"]
    command = [sys.executable, "-m", "check_jsonschema", *options, "--regex-variant", "nonunicode", str(path)]
    return subprocess.run(command, capture_output=True, text=True)


def steps() -> list[dict[str, Any]]:
    """Return the steps of a stage."""
    (stage,) = yaml.safe_load(STAGE.read_text())["stages"]
    found: list[dict[str, Any]] = stage["jobs"][0]["strategy"]["runOnce"]["deploy"]["steps"]
    return found


def variables() -> dict[str, str]:
    """Return the pipeline's variables."""
    return {v["name"]: v["value"] for v in yaml.safe_load(PIPELINE.read_text())["variables"]}


def collected() -> str:
    """Return the script that collects what the artifact `dbt` holds, of which the stages take it."""
    (job,) = next(s for s in yaml.safe_load(PIPELINE.read_text())["stages"] if s.get("stage") == "image")["jobs"]
    published = [step.get("artifact") for step in job["steps"] if "publish" in step]
    taken = [step["artifact"] for step in steps() if "download" in step]
    assert published == taken == ["image", "dbt"]
    return str(next(step["bash"] for step in job["steps"] if step.get("displayName") == "Collect the project"))


@dataclass(frozen=True, kw_only=True)
class Agent:
    """Run a stage's shell steps as the agent does: macros replaced, variables exported, stop at a failure."""

    root: Path

    def run(
        self, *, fail_on: str = "nothing", full_refresh: bool = True, rehearse: bool = False, stage: str = "prod"
    ) -> list[str]:
        """Return the calls of the stand-in tools, in order."""
        calls = self.root / "calls"
        calls.write_text("")
        environment = {
            **GROUP,
            "PATH": f"{self._tools()}:{os.environ['PATH']}",
            "CALLS": str(calls),
            "FAIL_ON": fail_on,
            "PROJECT_DIR": "examples/dogs",
            "DBT_CI_INSTALL": variables()["DBT_CI_INSTALL"],
            "FULL_REFRESH": str(full_refresh),
            "REHEARSE": str(rehearse),
            "RELEASED": "/released",
        }
        for step in steps():
            if "bash" not in step:
                continue
            done = subprocess.run(["bash", "-c", self._expand(step["bash"], stage)], env=environment, cwd=ROOT)
            if done.returncode:
                break
        return calls.read_text().splitlines()

    def _tools(self) -> Path:
        tools = self.root / "tools"
        tools.mkdir(exist_ok=True)
        for name in ("python", "dbt", "docker", "aws"):
            (tools / name).write_text(TOOL)
            (tools / name).chmod(0o755)
        return tools

    def _expand(self, script: str, stage: str) -> str:
        (self.root / "image").mkdir(exist_ok=True)
        (self.root / "image" / "dbt.tar.gz").write_bytes(gzip.compress(b"an image"))
        (self.root / "profile").write_text("secure")
        if not (self.root / "dbt").exists():
            collect = collected().replace("$(Build.ArtifactStagingDirectory)/project", str(self.root / "dbt"))
            subprocess.run(["bash", "-c", collect], cwd=ROOT, check=True)
        macros = {
            "Agent.TempDirectory": str(self.root / "temp"),
            "Pipeline.Workspace": str(self.root),
            "Build.SourceVersion": "3f2c1aa",
            "profiles.secureFilePath": str(self.root / "profile"),
            "STAGE": stage,
        }
        (self.root / "temp").mkdir(exist_ok=True)
        return re.sub(r"\$\(([\w.]+)\)", lambda match: macros[match[1]], script)


@pytest.fixture
def agent(tmp_path: Path) -> Agent:
    """Offer an agent with a temporary directory of its own."""
    return Agent(root=tmp_path)


@pytest.mark.parametrize("path", [PIPELINE, STAGE], ids=lambda path: path.name)
def test_is_valid_for_azure(path: Path) -> None:
    done = check(path)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("PublishTestResults@2", "PublishTestResult@2"),
        ("trigger: manual", "trigger: later"),
        ("strategy:", "strat:"),
    ],
)
def test_the_validation_would_catch_a_slip(tmp_path: Path, right: str, wrong: str) -> None:
    (tmp_path / "slip.yml").write_text(STAGE.read_text().replace(right, wrong))
    assert check(tmp_path / "slip.yml").returncode == 1


def test_releases_stage_after_stage_each_started_by_hand() -> None:
    stages = [stage for stage in yaml.safe_load(PIPELINE.read_text())["stages"] if "template" in stage]
    order = [(stage["parameters"]["stage"], stage["parameters"]["after"]) for stage in stages]
    assert order == [("sandbox", "image"), ("staging", "sandbox"), ("prod", "staging")]
    (template,) = yaml.safe_load(STAGE.read_text())["stages"]
    assert (template["trigger"], template["lockBehavior"]) == ("manual", "sequential")
    assert template["jobs"][0]["environment"] == "dbt-${{ parameters.stage }}"
    assert "eq(variables['Build.SourceBranch'], 'refs/heads/main')" in template["condition"]


def test_a_release_runs_publishes_and_uploads_in_this_order(agent: Agent) -> None:
    temp = agent.root / "temp"
    repository = GROUP["REPOSITORY_URI"]
    assert agent.run() == [
        f"python -m pip install --requirement deploy/requirements.txt pytest-dbtci=={__version__}",
        f"dbt deps --project-dir examples/dogs --log-path {temp}/logs",
        "python -m pytest --dbt-ci-release=prod --dbt-ci-docs=/released --dbt-ci-project-dir=examples/dogs"
        f" --junitxml={temp}/release.xml --dbt-ci-summary={temp}/release.md"
        " --dbt-ci-full-refresh --dbt-ci-release-behind",
        "docker load",
        "aws ecr get-login-password",
        "docker login --username AWS --password-stdin 1.dkr.ecr.eu-west-1.amazonaws.com",
        f"docker tag dbt:3f2c1aa {repository}:3f2c1aa",
        f"docker push {repository}:3f2c1aa",
        f"docker tag dbt:3f2c1aa {repository}:released",
        f"docker push {repository}:released",
        f"dbt deps --project-dir {agent.root}/dbt/examples/dogs --log-path {temp}/logs",
        f"aws s3 cp {temp}/project.tar.gz s3://docs-bucket/projects/project.tar.gz",
        "python deploy/upload_docs.py /released docs-bucket",
    ]
    assert (temp / "profiles" / "profiles.yml").read_text() == "secure"


def test_rehearses_and_keeps_increments_when_told_to(agent: Agent) -> None:
    (call,) = [call for call in agent.run(full_refresh=False, rehearse=True) if "-m pytest" in call]
    assert call.endswith("release.md --dbt-ci-rehearse --dbt-ci-release-behind")


def test_only_the_tip_enters_the_first_stage(agent: Agent) -> None:
    (call,) = [call for call in agent.run(stage="sandbox") if "-m pytest" in call]
    assert call.endswith("release.md --dbt-ci-full-refresh")


@pytest.mark.parametrize("failing", ["-m pip", "dbt deps", "-m pytest"])
def test_publishes_nothing_unless_everything_passed(agent: Agent, failing: str) -> None:
    calls = agent.run(fail_on=failing)
    assert failing in calls[-1]
    assert not [call for call in calls if call.startswith(("docker", "aws")) or "upload_docs" in call]


def test_documents_no_release_whose_image_was_not_pushed(agent: Agent) -> None:
    calls = agent.run(fail_on="docker push")
    assert "docker push" in calls[-1]
    assert not [call for call in calls if call.endswith(":released") or "upload_docs" in call]


def test_only_the_results_are_published_after_a_failure() -> None:
    anyway = [step["displayName"] for step in steps() if "condition" in step]
    assert anyway == ["Upload the summary", "Publish the results"]
    assert not [step for step in steps() if "continueOnError" in step]


def test_no_text_of_the_warehouse_commands_the_agent() -> None:
    (run,) = [step for step in steps() if "-m pytest" in step.get("bash", "")]
    assert run["target"] == {"commands": "restricted", "settableVariables": "none"}


def test_pushes_the_tag_that_the_schedule_runs(agent: Agent) -> None:
    pushed = {call.rpartition(":")[2] for call in agent.run() if call.startswith("docker push")}
    assert stack().parameters["ImageTag"] in pushed


def test_the_archive_holds_the_project_and_not_what_dbt_wrote(agent: Agent) -> None:
    (written := ROOT / "examples/dogs/target").mkdir(exist_ok=True)
    agent.run()
    if not any(written.iterdir()):
        written.rmdir()
    archive = agent.root / "temp" / "project.tar.gz"
    listed = subprocess.run(["tar", "-tzf", archive], capture_output=True, text=True, check=True).stdout.split()
    assert "./dbt_project.yml" in listed
    assert not [name for name in listed if name.startswith(("./target/", "./logs/", "./.git/"))]


def test_the_secret_key_reaches_only_the_steps_that_call_aws() -> None:
    holders = [step["displayName"] for step in steps() if "AWS_SECRET_ACCESS_KEY" in step.get("env", {})]
    assert holders == ["Push the image", "Upload the project", "Upload the documentation"]
