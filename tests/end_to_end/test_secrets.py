"""What a run leaves in files: none of the profile's secrets, and none of the environment's."""

from __future__ import annotations

from pathlib import Path

from tests.support.tiny_project import commit, git, make_tiny, write
from tests.support.validation import validate

PROFILES = """\
tiny:
  target: ci
  outputs:
    ci: {type: duckdb, path: tiny.duckdb, schema: dbt}
    prod: {type: redshift, schema: prod, password: "{{ env_var('PROD_KEY') }}"}
    old: {type: redshift, schema: prod, password: literal-key-in-the-profile}
"""
SECRETS = {
    "PROD_KEY": "key-from-the-environment",
    "SOME_TOKEN": "token-of-the-project",
    "GITHUB_TOKEN": "ghs-own-token",
}
PROJECT = "name: tiny\nprofile: tiny\nvars: {token: \"{{ env_var('SOME_TOKEN') }}\"}\n"
LEAKY = """\
{{ config(materialized='table', meta={'key': 'literal-key-in-the-profile'}) }}
select '{{ env_var("SOME_TOKEN") }}' as a, '{{ env_var("PROD_KEY") }}' as b, '{{ env_var("GITHUB_TOKEN") }}' as c
"""


PYTHON = """\
import os, pytest

@pytest.fixture
def broken():
    raise RuntimeError(os.environ["GITHUB_TOKEN"])

def test_setup(broken):
    pass

def test_it():
    print(os.environ["SOME_TOKEN"])
    assert os.environ["PROD_KEY"] == os.environ["GITHUB_TOKEN"]
"""


def test_no_file_that_stays_holds_a_secret(tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "repo")
    git(project, "switch", "--quiet", "master")
    write(project, {"dbt_project.yml": PROJECT, "profiles.yml": PROFILES, "models/leaky.sql": LEAKY})
    commit(project, "leak")
    git(project, "switch", "--quiet", "--create", "work")
    write(
        project, {"models/leaky.sql": LEAKY + "union all select a, a, error('ghs-own-token') from {{ ref('one') }}\n"}
    )
    write(project, {"tests/test_python.py": PYTHON})
    commit(project, "change")
    for _ in range(2):
        run = validate(project, "--dbt-ci-pr=7", "--dbt-ci-target=ci", "--override-ini=junit_logging=all", **SECRETS)
        assert run.code == 1, run.output
        assert "***" in run.output
        assert "AssertionError: assert '***' == '***'" in run.cases["tests.test_python::test_it"].message
        assert not any(secret in run.output or secret in run.junit.read_text() for secret in SECRETS.values())
    stayed = [p for folder in ("target/dbt_ci", ".pytest_cache") for p in (project / folder).rglob("*") if p.is_file()]
    assert {"manifest.json", "run_results.json", "leaky.sql"} <= {p.name for p in stayed}
    for path in stayed:
        for secret in (*SECRETS.values(), "literal-key-in-the-profile"):
            assert secret.encode() not in path.read_bytes(), path
    assert (project / "target/dbt_ci").stat().st_mode & 0o077 == 0
