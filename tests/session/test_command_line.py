"""Options as people write them: in pytest's own TOML tables, with -h, and with those of pytest that only look."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.tiny_project import make_tiny, write
from tests.support.validation import environment, validate


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_tiny(tmp_path / "repo")


@pytest.mark.skipif(pytest.version_tuple < (9,), reason="pytest reads [tool.pytest] since 9.0")
def test_reads_native_types_from_pytests_own_toml_table(project: Path) -> None:
    (project / "pytest.ini").unlink()
    options = {
        "dbt_ci_show_rows": "3",
        "dbt_ci_batch_tests": "true",
        "dbt_ci_select": "['state:modified', 'two']",
        "dbt_ci_vars": "{answer = 42}",
    }
    write(project, {"pyproject.toml": "[tool.pytest]\n" + "\n".join(f"{k} = {v}" for k, v in options.items())})
    write(project, {"models/two.sql": "select {{ var('answer') }} as a, '{{ var('answer') + 0 }}' as b\n"})
    run = validate(project, "--dbt-ci-pr=7")
    assert run.code == 0, run.output
    assert sorted(run.by_unique_id()) == ["model.tiny.one", "model.tiny.two"]


def test_reads_a_selection_of_several_lines_from_an_ini_file(project: Path) -> None:
    (project / "pytest.ini").write_text("[pytest]\ndbt_ci_select =\n    state:modified\n    two\n")
    run = validate(project, "--dbt-ci-pr=7", "--collect-only", "-q")
    assert run.code == 0, run.output
    assert "models/two.sql::two" in run.output


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--setup-plan", "--fixtures-per-test", "--fixtures", "--collect-only"])
def test_what_only_looks_touches_no_warehouse(project: Path, option: str) -> None:
    write(project, {"test_two.py": "def test_two(dbt_query):\n    assert dbt_query('select 1').scalar == 1\n"})
    run = validate(project, "--dbt-ci-pr=7", option)
    assert run.code in (0, 5), run.output
    assert "dropped" not in run.output
    assert not (project / "tiny.duckdb").exists()


def test_help_shows_the_values_that_an_option_takes(project: Path) -> None:
    shown = subprocess.run(
        [sys.executable, "-m", "pytest", "--help"], cwd=project, env=environment(), capture_output=True, text=True
    )
    assert "--dbt-ci-keep-schema=never|failed|always" in shown.stdout
