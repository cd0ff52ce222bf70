"""Whatever a pull request puts into names and files, no line of the log is a command to the CI provider."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.tiny_project import commit, make_tiny, write
from tests.support.validation import validate

pytestmark = pytest.mark.slow

AZURE = {"TF_BUILD": "True", "SYSTEM_PULLREQUEST_PULLREQUESTID": "7", "SYSTEM_PULLREQUEST_TARGETBRANCH": "master"}
GITHUB = {"GITHUB_ACTIONS": "true", "GITHUB_REF": "refs/pull/7/merge", "GITHUB_BASE_REF": "master"}
COMMAND = re.compile(r"##(?:vso)?\[|^\s*::", re.IGNORECASE | re.MULTILINE)
HOSTILE = "##vso[task.setvariable variable=x]\n::add-mask::y"
PYTHON = f"""
import pytest

@pytest.mark.parametrize('a', [1], ids=[{HOSTILE!r}])
def test_it(a):
    print('\\x1b]0;title')
    assert a == {HOSTILE!r}
"""


DATA_TESTS = """
models:
  - name: one
    columns:
      - name: a
        data_tests:
          - not_null: {name: '##vso[task.x]', config: {where: '1 = 1 /* ##vso[a] */', meta: {'##vso[k]': '::error::v'}}}
          - accepted_values: {name: '::error::z', arguments: {values: [99]}, config: {where: 'a > 0 /* ##[group] */'}}
          - accepted_values: {name: '::warning::w##[x]', arguments: {values: [9]}, config: {severity: warn}}
"""


@pytest.mark.parametrize(
    ("environ", "options"), [(AZURE, ("-v", "-rA", "-n2")), (GITHUB, ("-vv",))], ids=["azure", "github"]
)
def test_names_of_files_and_tests_command_nothing(
    tmp_path: Path, environ: dict[str, str], options: tuple[str, ...]
) -> None:
    project = make_tiny(tmp_path / "repo")
    write(project, {f"docs/{HOSTILE}.md": "x", f"models/{HOSTILE.replace('/', '_')}.sql": "select 1 as a"})
    write(project, {"tests/test_python.py": PYTHON, "models/one.yml": DATA_TESTS})
    commit(project, "hostile")
    run = validate(project, *options, **environ)
    assert "add-mask" in run.output
    assert "error::z" in run.output
    assert not commands(run.output)
    assert "\\x1b]0;title" in run.output, "nor do they command a terminal"
    assert "\x1b]" not in run.output
    # A file is no log: there a name stays what pytest and dbt are asked for.
    assert run.cases["models.one.sql::##vso[task.x]"].outcome == "passed"
    again = validate(project, "models/one.sql::##vso[task.x]", "--co", **environ)
    assert "task.x" in again.output
    assert "1 test collected" in again.output
    assert not commands(again.output)
    missing = validate(project, f"no{HOSTILE if environ is GITHUB else '##vso[task.y]'}", **environ)
    assert missing.code == 4
    assert "no# #vso[task." in missing.output
    assert not commands(missing.output)


@pytest.mark.parametrize(
    "files",
    [
        {"models/broken.sql": f"{{{{ exceptions.raise_compiler_error({HOSTILE!r}) }}}}"},
        {"dbt_project.yml": 'name: tiny\nprofile: "##vso[task.complete]\\n::error::"\n'},
        {"models/one.sql": "{{ config(schema='##vso[task.complete]') }} select 3 as a"},
    ],
    ids=["parse", "usage", "schema"],
)
def test_what_a_project_says_commands_nothing(tmp_path: Path, files: dict[str, str | None]) -> None:
    project = make_tiny(tmp_path / "repo")
    write(project, files)
    run = validate(project, **GITHUB)
    assert "# #vso[" in run.output
    assert not commands(run.output)


@pytest.mark.parametrize("environ", [AZURE, GITHUB], ids=["azure", "github"])
def test_what_the_warehouse_says_commands_nothing_in_any_report(tmp_path: Path, environ: dict[str, str]) -> None:
    project = make_tiny(tmp_path / "repo")
    write(project, {"models/one.sql": f"{{{{ config(materialized='table') }}}} select error('{HOSTILE}') as a"})
    run = validate(project, **environ)
    assert run.by_unique_id()["model.tiny.one"].outcome == "failed", run.output
    for text in (run.output, run.junit.read_text()):
        assert "add-mask" in text
        # What begins with colons is a command to GitHub alone.
        assert not [line for line in commands(text) if environ is GITHUB or "##" in line]


def commands(output: str) -> list[str]:
    """Return the lines that the provider would run, but for the annotations that are meant so."""
    meant = ("::error ", "::warning ", "::notice ", "##vso[task.logissue ", "##vso[task.uploadsummary]")
    return [line for line in re.split(r"[\r\n]+", output) if COMMAND.search(line) and not line.startswith(meant)]
