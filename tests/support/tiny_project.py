"""A dbt project of two models in a git repository with a released master and a changed branch: quick to run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

PROJECT = "name: tiny\nversion: '1.0'\nprofile: tiny\n"
PROFILES = """\
tiny:
  target: ci
  outputs:
    ci: {type: duckdb, path: tiny.duckdb, schema: dbt, threads: 2}
    prod: {type: duckdb, path: tiny.duckdb, schema: analytics, threads: 2}
"""


def git(directory: Path, *args: str) -> str:
    """Run git with a fixed identity and without the user's configuration."""
    environ = {
        **{k: v for k, v in os.environ.items() if not k.startswith("GIT_")},
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        **{f"GIT_{who}_{what}": "dev" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
    }
    done = subprocess.run(["git", *args], cwd=directory, env=environ, capture_output=True, text=True, check=True)
    return done.stdout.strip()


def write(directory: Path, files: dict[str, str | None]) -> None:
    """Write files (None removes one), making the folders they need."""
    for name, text in files.items():
        path = directory / name
        if text is None:
            path.unlink()
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


def commit(directory: Path, message: str, **files: str | None) -> str:
    """Commit everything; give the commit's sha."""
    git(directory, "add", "--all")
    git(directory, "commit", "--quiet", "--allow-empty", "--message", message)
    return git(directory, "rev-parse", "HEAD")


def make_tiny(directory: Path, inside: str = ".") -> Path:
    """Make the repository, `inside` being the project's folder in it; a branch that changes one model is out.

    Gives the project's folder. The branch's change is committed, the base is `master`.
    """
    project = directory / inside
    project.mkdir(parents=True)
    write(
        project,
        {
            "dbt_project.yml": PROJECT,
            "profiles.yml": PROFILES,
            "models/one.sql": "select 1 as a\n",
            "models/two.sql": "select * from {{ ref('one') }}\n",
            ".gitignore": "target/\nlogs/\n*.duckdb*\n.pytest_cache/\n.user.yml\n",
        },
    )
    (directory / "pytest.ini").write_text("[pytest]\n")
    git(directory, "init", "--quiet", "--initial-branch=master")
    commit(directory, "release")
    git(directory, "switch", "--quiet", "--create", "feature")
    write(project, {"models/one.sql": "select 2 as a\n"})
    commit(directory, "change")
    return project
