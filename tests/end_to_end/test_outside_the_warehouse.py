"""What nodes write besides their relations: a pull request's run leaves production's files as they were."""

from __future__ import annotations

import subprocess
from pathlib import Path

import duckdb
import pytest

from tests.support.tiny_project import commit, git, make_tiny, write
from tests.support.validation import Validation, environment, validate
from tests.support.warehouses.dbt_project import run_dbt

pytestmark = pytest.mark.slow

OPTIONS = ("--dbt-ci-pr=7", "--dbt-ci-target=ci", "--dbt-ci-defer-target=prod")
PROFILES = """\
tiny:
  target: ci
  outputs:
    ci: &o {type: duckdb, path: tiny.duckdb, schema: dbt, threads: 2, external_root: root}
    prod: {<<: *o, schema: analytics}
"""
EXTERNAL = {
    "literal": "{{ config(materialized='external', location='files/literal.csv') }}",
    "rendered": """{{ config(materialized='external', location="files/{{ this.identifier }}.parquet") }}""",
    "rooted": "{{ config(materialized='external', format='json') }}",
    "parted": "{{ config(materialized='external', location='files/parted', options={'partition_by': 'a'}) }}",
    "settled": "{{ config(materialized='external') }}",
}
SETTLED = "name: tiny\nprofile: tiny\nmodels: {tiny: {settled: {+location: files/settled.parquet}}}\n"


@pytest.fixture
def external(tmp_path: Path) -> Path:
    """A project with every kind of external model, released, and a branch that changes what they read."""
    project = make_tiny(tmp_path / "it's a repo")
    git(project, "switch", "--quiet", "master")
    models = {f"models/{n}.sql": f"{c} select a, a as b from {{{{ ref('one') }}}}\n" for n, c in EXTERNAL.items()}
    reader = " union all ".join(f"select cast(b as int) as b from {{{{ ref('{n}') }}}}" for n in EXTERNAL)
    ignored = (project / ".gitignore").read_text() + "files/\nroot/\n"
    files = {"dbt_project.yml": SETTLED, "profiles.yml": PROFILES, ".gitignore": ignored, "models/two.sql": reader}
    write(project, {**files, **models})
    for folder in ("files", "root"):
        (project / folder).mkdir()
    commit(project, "release files")
    done = run_dbt(project, ["build", "--target=prod"])
    assert done.returncode == 0, done.stdout
    git(project, "switch", "--quiet", "--create", "work")
    write(project, {"models/one.sql": "select 5 as a\n"})
    commit(project, "change")
    return project


def files_of(project: Path) -> dict[str, bytes]:
    """Give the contents of production's files."""
    found = (p for f in ("files", "root") for p in sorted((project / f).rglob("*")))
    return {str(p): p.read_bytes() for p in found if p.is_file()}


def rows(project: Path, sql: str) -> list[tuple[object, ...]]:
    with duckdb.connect(str(project / "tiny.duckdb")) as connection:
        found: list[tuple[object, ...]] = connection.sql(sql).fetchall()
        return found


def test_external_models_write_beside_productions_files(external: Path) -> None:
    before = files_of(external)
    assert len(before) == len(EXTERNAL)
    run = validate(external, *OPTIONS, "--dbt-ci-keep-schema=always")
    assert run.code == 0, run.output
    assert files_of(external) == before
    assert rows(external, "select distinct b from dbt_build_7.two") == [(5,)]
    kept = {p.name for p in (external / "target/dbt_ci/external/dbt_build_7").rglob("*") if p.is_file()}
    assert {"literal.csv", "rendered.parquet", "rooted.json", "settled.parquet"} < kept
    run = validate(external, *OPTIONS)
    assert run.code == 0, run.output
    assert files_of(external) == before
    assert not (external / "target/dbt_ci/external/dbt_build_7").exists(), "the files go with the schemas"


MACROS = """\
{% macro save(relation) %}{% do run_query("copy " ~ relation ~ " to 'out.csv'") %}{% endmacro %}
{% macro save_released(relation) %}{% if target.name == 'prod' %}{{ save(relation) }}{% endif %}{% endmacro %}
{% macro announce() %}{{ return('') }}{% endmacro %}
{% materialization shipped, adapter='duckdb' %}
{% call statement('main') %}select 1{% endcall %}
{{ return({'relations': []}) }}
{% endmaterialization %}
"""
OUTSIDE = {
    "stored": ("{{ config(materialized='external', plugin='excel') }}", "`plugin`"),
    "glued": ("{{ config(materialized='external', glue_register=true) }}", "`glue_register`"),
    "copied": ("""{{ config(post_hook="copy {{ this }} to 'files/copied.csv'") }}""", "copy {{ this }} to 'files"),
    "unloaded": (
        """{{ config(pre_hook="unload ('select 1') to 's3://bucket/x'") }}""",
        "unload ('select 1') to 's3://bucket/x'",
    ),
    "named": ("""{{ config(post_hook="copy {{ this }} to/* here */named.parquet") }}""", "copy {{ this }} to named"),
    "computed": (
        """{{ config(post_hook="begin; copy {{ this }} to getvariable('place')") }}""",
        "copy {{ this }} to getvariable",
    ),
    "cloned": ("""{{ config(post_hook="copy from database tiny to prod") }}""", "copy from database tiny to prod"),
    "staged": ("""{{ config(post_hook="copy into @stage/x from {{ this }}") }}""", "copy into @stage/x"),
    "remembered": (
        """{{ config(pre_hook="create persistent secret s (type s3)") }}""",
        "create persistent secret s",
    ),
    "called": ("""{{ config(post_hook="{{ save(this) }}") }}""", "a hook writes a file"),
    "custom": ("{{ config(materialized='shipped', bucket='s3://bucket/custom') }}", "`bucket`: s3://bucket/custom"),
}
INSIDE = {
    "released_only": """{{ config(post_hook="{{ save_released(this) }}") }}""",
    "own_bucket": "{{ config(materialized='shipped', bucket='s3://bucket/' ~ target.schema) }}",
    "own_place": """{{ config(post_hook="copy {{ this }} to 'own-{{ target.schema }}.csv'") }}""",
    "harmless": """{{ config(post_hook="{{ announce() }}", meta={'docs': 's3://bucket/docs'}) }}""",
    "told": """{{ config(post_hook="select 1 -- copy it to nowhere") }}""",
}


def refused(project: Path, *args: str) -> Validation:
    run = validate(project, *args)
    assert run.code == 4, run.output
    assert "nothing was written" in run.output
    return run


def test_what_cannot_be_redirected_is_refused_by_name_before_a_write(tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "repo")
    models = {n: c for n, (c, _) in OUTSIDE.items()} | INSIDE
    write(project, {"macros/outside.sql": MACROS})
    write(project, {f"models/{name}.sql": f"{config} select 1 as a\n" for name, config in models.items()})
    commit(project, "write elsewhere")
    run = refused(project, "--dbt-ci-pr=7", "--dbt-ci-target=ci")
    for name, (_, why) in OUTSIDE.items():
        assert f"model.tiny.{name} (models/{name}.sql): " in run.output
        assert why in run.output
    assert not any(f"model.tiny.{name}" in run.output for name in INSIDE)
    assert "target.name" in run.output
    assert not (project / "tiny.duckdb").exists()
    write(project, {f"models/{name}.sql": None for name in OUTSIDE})
    run = validate(project, "--dbt-ci-pr=7", "--dbt-ci-target=ci")
    assert run.code == 0, run.output
    assert [p.name for p in project.glob("*.csv")] == ["own-dbt_build_7.csv"]


def test_a_hook_of_the_project_that_writes_a_file_is_refused(tmp_path: Path) -> None:
    project = make_tiny(tmp_path / "repo")
    hook = """on-run-end: ["export database 'everything'"]\n"""
    write(project, {"dbt_project.yml": (project / "dbt_project.yml").read_text() + hook})
    run = refused(project, "--dbt-ci-pr=7", "--dbt-ci-target=ci")
    assert "export database 'everything'" in run.output


def test_a_rehearsal_writes_no_file_of_productions(external: Path, tmp_path: Path) -> None:
    before = files_of(external)
    git(external, "switch", "--quiet", "master")
    write(external, {"models/one.sql": "select 6 as a\n", "models/t.yml": FAILING})
    commit(external, "fails its test")
    subprocess.run(["git", "clone", "--quiet", "--bare", str(external), str(tmp_path / "remote")], check=True)
    git(external, "remote", "add", "origin", str(tmp_path / "remote"))
    run = validate(external, "--dbt-ci-release=prod", "--dbt-ci-rehearse", **environment())
    assert run.code == 1, run.output
    assert "nothing was released" in run.output
    assert files_of(external) == before
    assert not list((external / "target/dbt_ci/external").glob("*"))


FAILING = "models: [{name: two, columns: [{name: b, data_tests: [{accepted_values: {values: [1]}}]}]}]\n"
