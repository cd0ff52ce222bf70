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
import logging, os, pytest

@pytest.fixture
def broken():
    raise RuntimeError(os.environ["GITHUB_TOKEN"])

def test_setup(broken):
    pass

def test_it():
    print(os.environ["SOME_TOKEN"])
    assert os.environ["PROD_KEY"] == os.environ["GITHUB_TOKEN"]

@pytest.mark.parametrize("token", [os.environ["SOME_TOKEN"]])
def test_parameter(token, record_property, record_testsuite_property):
    logging.getLogger("any").warning("it is %s, not %s", token, "literal-key-in-the-profile")
    print("literal-key-in-the-profile")
    record_property("token", token)
    record_testsuite_property("token", token)
    assert token is None

@pytest.fixture(params=[1], ids=lambda _: os.environ["SOME_TOKEN"])
def given(request):
    return request.param

@pytest.mark.parametrize("n", [pytest.param(1, id="literal-key-in-the-profile"), 2])
@pytest.mark.parametrize("m", [1], ids=(id for id in [os.environ["GITHUB_TOKEN"]]))
@pytest.mark.parametrize(["k", "b"], [(1, os.environ["PROD_KEY"].encode())])
def test_ids(given, n, m, k, b, tmp_path):
    assert n == str(tmp_path)
"""


TELLS = """\
import os

def pytest_dbtci_summary():
    return ["a plugin tells " + os.environ["SOME_TOKEN"]]
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
    write(project, {"tests/test_python.py": PYTHON, "conftest.py": TELLS})
    commit(project, "change")
    (project / "logs").mkdir()
    files = ("--log-file=logs/python.log", "--debug=logs/debug.log", "--dbt-ci-report=logs/report.html")
    pages = ("--dbt-ci-summary=logs/summary.md", f"--dbt-ci-vars={{other: {SECRETS['SOME_TOKEN']}}}")
    options = (*files, *pages, "--log-cli-level=INFO", "--override-ini=junit_logging=all", "-rA")
    known = (*SECRETS.values(), "literal-key-in-the-profile")
    for workers in ("0", "2"):
        run = validate(project, "--dbt-ci-pr=7", "--dbt-ci-target=ci", f"-n{workers}", *options, **SECRETS)
        assert run.code == 1, run.output
        assert "***" in run.output
        assert "AssertionError: assert '***' == '***'" in run.cases["tests.test_python::test_it"].message
        assert not any(secret in run.junit.read_text() for secret in known)
        # With --debug pytest-xdist prints what workers send, past what guards the terminal.
        assert not [line for line in run.output.splitlines() if any(secret in line for secret in known)]
        assert "tests.test_python::test_parameter[***]" in run.cases
        assert {f"tests.test_python::test_ids[***-1-***-***-{n}]" for n in ("***", "2")} <= run.cases.keys()
    mistaken = validate(project, f"--dbt-ci-threads={SECRETS['SOME_TOKEN']}", **SECRETS)
    assert mistaken.code == 4
    assert "--dbt-ci-threads ***: write a whole number" in mistaken.output
    folders = ("target/dbt_ci", ".pytest_cache", "logs")
    stayed = [p for folder in folders for p in (project / folder).rglob("*") if p.is_file()]
    assert {"manifest.json", "run_results.json", "leaky.sql", "debug.log", "python.log"} <= {p.name for p in stayed}
    assert "a plugin tells \\*\\*\\*" in (project / "logs/summary.md").read_text()
    assert "other: ***" in (project / "logs/summary.md").read_text()
    assert "it is ***, not ***" in (project / "logs/python.log").read_text()
    for path in stayed:
        for secret in known:
            assert secret.encode() not in path.read_bytes(), path
    assert (project / "target/dbt_ci").stat().st_mode & 0o077 == 0


UNCLEAN = """\
import os

def test_it(record_property):
    record_property("\x01", os.environ["GITHUB_TOKEN"])
"""


def test_a_junit_file_that_can_not_be_cleaned_is_removed_and_the_run_is_red(tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "repo")
    write(project, {"tests/test_python.py": UNCLEAN})
    run = validate(project, "--dbt-ci-pr=7", **SECRETS)
    assert run.code == 1, run.output
    assert "dbt_ci_junit" in run.output
    assert f"what pytest wrote to {run.junit} is no XML, so secrets can't be taken out of it" in run.output
    assert "it was removed. Has a test a name for record_property" in run.output
    assert not run.junit.exists()
