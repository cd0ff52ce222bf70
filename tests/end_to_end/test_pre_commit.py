"""A push is checked first: by pre-commit's real pre-push run, and by a plain git hook."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from examples import demo

ROOT = Path(__file__).parents[2]
HOOKS = ".pre-commit-hooks.yaml"
MODEL = "models/staging/fact_dogs.sql"
ARGUMENTS = ["--dbt-ci-target=ci", "--dbt-ci-defer-target=prod"]


def environment(home: Path) -> dict[str, str]:
    """The laptop's: pytest on the PATH, nothing of a CI job, git's own settings from nowhere."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
    return {
        **kept,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), kept["PATH"]]),
        "PRE_COMMIT_HOME": str(home),
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
    }


def run(directory: Path, home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=directory, env=environment(home), capture_output=True, text=True, check=False)


def pushed(project: Path) -> str:
    """Return the commit that the remote has as the pull request's branch."""
    return demo.git(project, "ls-remote", "origin", f"refs/heads/{demo.BRANCH}").split("\t")[0]


def head(project: Path) -> str:
    return demo.git(project, "rev-parse", "HEAD").strip()


def commit(project: Path, path: str, text: str) -> None:
    (project / path).write_text(text, "utf-8")
    demo.git(project, "add", path)
    demo.git(project, "commit", "--quiet", "--no-verify", f"--message=Change {path}")


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("laptop") / "dogs"
    demo.make_repository(directory)
    demo.release(directory)
    demo.open_pull_request(directory)
    return directory


@pytest.fixture
def project(opened: Path, tmp_path: Path) -> Path:
    """The example on its pull request's branch, whose change is a good one."""
    copy = tmp_path / "dogs"
    demo.copy_repository(opened, copy)
    return copy


@pytest.fixture
def hooked(project: Path, tmp_path: Path) -> Path:
    """The example with the hook installed as the documentation says, from a repository of hooks."""
    hooks = tmp_path / "pytest-dbtci"
    hooks.mkdir()
    shutil.copy(ROOT / HOOKS, hooks)
    demo.git(hooks, "init", "--quiet")
    demo.git(hooks, "add", HOOKS)
    demo.git(hooks, "-c", "user.name=A", "-c", "user.email=a@example.com", "commit", "--quiet", "--message=Hooks")
    configuration = {
        "default_install_hook_types": ["pre-push"],
        "repos": [
            {
                "repo": str(hooks),
                "rev": demo.git(hooks, "rev-parse", "HEAD").strip(),
                "hooks": [{"id": "dbt-ci", "args": ARGUMENTS}],
            }
        ],
    }
    commit(project, ".pre-commit-config.yaml", yaml.safe_dump(configuration))
    installed = run(project, tmp_path, "pre-commit", "install")
    assert installed.returncode == 0, installed.stdout + installed.stderr
    return project


def duplicated(project: Path) -> str:
    """Return the model with one stay twice, which its `unique` test fails and its unit tests don't see."""
    text = (project / MODEL).read_text("utf-8").rstrip()
    assert text.endswith("\nfrom stays")
    return f"{text}\ncross join (values (1), (2)) as copies(number)\nwhere number = 1 or stay_id = 1001\n"


def test_the_manifest_is_valid() -> None:
    command = [sys.executable, "-m", "pre_commit", "validate-manifest", str(ROOT / HOOKS)]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_the_hook_runs_in_the_projects_environment_on_every_push() -> None:
    [hook] = yaml.safe_load((ROOT / HOOKS).read_text("utf-8"))
    assert hook["language"] == "unsupported"  # not an environment that pre-commit makes
    assert hook["stages"] == ["pre-push"]
    assert hook["always_run"]
    assert not hook["pass_filenames"]


@pytest.mark.slow
def test_a_good_change_is_pushed(hooked: Path, tmp_path: Path) -> None:
    push = run(hooked, tmp_path, "git", "push")
    assert push.returncode == 0, push.stdout + push.stderr
    assert pushed(hooked) == head(hooked)
    assert "dbt-ci (build and test what the branch changes)" in push.stdout
    assert f"{MODEL} ." in push.stdout
    assert not [name for name in demo.schemas(hooked) if name.startswith("dbt_build")]


@pytest.mark.slow
def test_a_failing_dbt_test_blocks_the_push(hooked: Path, tmp_path: Path) -> None:
    before = pushed(hooked)
    commit(hooked, MODEL, duplicated(hooked))
    push = run(hooked, tmp_path, "git", "push")
    assert push.returncode == 1, push.stdout + push.stderr
    assert pushed(hooked) == before != head(hooked)
    assert "unique_fact_dogs_stay_id" in push.stdout
    assert not [name for name in demo.schemas(hooked) if name.startswith("dbt_build")]


@pytest.mark.slow
def test_what_was_pushed_before_is_compared_too(hooked: Path, tmp_path: Path) -> None:
    commit(hooked, MODEL, duplicated(hooked))
    demo.git(hooked, "push", "--quiet", "--no-verify")
    before = pushed(hooked)
    commit(hooked, "README.md", "Nothing that dbt reads.\n")
    push = run(hooked, tmp_path, "git", "push")
    assert push.returncode == 1, push.stdout + push.stderr
    assert pushed(hooked) == before
    assert "unique_fact_dogs_stay_id" in push.stdout


@pytest.mark.slow
def test_a_plain_git_hook_of_two_lines_blocks_the_push(project: Path, tmp_path: Path) -> None:
    hook = project / ".git" / "hooks" / "pre-push"
    hook.write_text(f"#!/bin/sh\nexec pytest --dbt-ci {' '.join(ARGUMENTS)}\n", "utf-8")
    hook.chmod(0o755)
    before = pushed(project)
    commit(project, MODEL, duplicated(project))
    # From a linked work tree git tells its hooks where the repository is; nothing may be read from there.
    demo.git(project, "switch", "--quiet", "--detach")
    demo.git(project, "worktree", "add", "--quiet", str(tmp_path / "tree"), demo.BRANCH)
    shutil.copy(project / "warehouse.duckdb", tmp_path / "tree")
    push = run(tmp_path / "tree", tmp_path, "git", "push")
    assert push.returncode == 1, push.stdout + push.stderr
    assert pushed(project) == before
    assert "unique_fact_dogs_stay_id" in push.stdout
