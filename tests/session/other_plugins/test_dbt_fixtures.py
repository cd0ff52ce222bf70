"""The fixtures of pytest-dbt-core work beside ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.other_plugins import Run

pytestmark = pytest.mark.slow


def test_dbt_cores_fixtures_work_and_find_a_duckdb_file_locked(
    run: Run, dogs: Path, distributed: tuple[str, ...]
) -> None:
    (dogs / "profiles").mkdir()
    (dogs / "profiles/profiles.yml").write_text(
        "dogs:\n  target: own\n  outputs:\n    own: {type: duckdb, path: warehouse.duckdb, schema: own}\n"
    )
    (dogs / "tests/python/test_macros.py").write_text(
        "import pytest\n\n\n"
        '@pytest.mark.parametrize("macro_generator", ["macro.dbt.default__escape_single_quotes"], indirect=True)\n'
        'def test_macro(macro_generator):\n    assert macro_generator("it\'s") == "it\'\'s"\n\n\n'
        "def test_adapter(adapter, dbt_query):\n"
        "    with pytest.raises(Exception, match='Could not set lock'):\n        adapter.execute('select 1')\n"
        "    assert dbt_query(\"select count(*) from {{ ref('fact_dogs') }}\").scalar == 24\n"
    )
    ran = run(dogs, "dbt", "--profiles-dir=profiles", *distributed)
    assert ran.code == 0, ran.stdout
    assert len(ran.cases) == 28
