"""A small project in front of a warehouse, released; its source has changed since, and a branch can be out."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from tests.support.tiny_project import commit, git, write
from tests.support.validation import Validation, keep_base, validate
from tests.support.warehouses import KINDS, Warehouse
from tests.support.warehouses.dbt_project import PROFILE, run_dbt, write_profiles
from tests.support.warehouses.fixtures import ALL_KINDS, empty_warehouse

ON_THE_QUICK_ONES = pytest.mark.parametrize("shop", KINDS, indirect=True)
"""For what passes on Snowflake's stand-in, too, where each run takes ten seconds: docs/warehouses.md lists it."""

STAYS = "select s.id, s.dog, cast(s.price as decimal(9,2)) as price from {{ source('raw', 'stays') }} s"
FILES: dict[str, str | None] = {
    "dbt_project.yml": f"name: shop\nversion: '1.0'\nprofile: {PROFILE}\n",
    ".gitignore": "target/\nlogs/\n.pytest_cache/\n.user.yml\n",
    "pytest.ini": "[pytest]\n",
    "models/models.yml": """\
sources:
- name: raw
  schema: raw
  tables: [{name: stays}]
models:
- name: stays
  columns: [{name: id, data_tests: [unique, not_null]}]
- name: dogs
  columns: [{name: dog, data_tests: [unique]}]
exposures:
- name: anatomy
  label: Anatomy
  type: dashboard
  url: https://bi.example/7
  owner: {name: Ada, email: ada@example.com}
  depends_on: [ref('paws')]
""",
    "models/stays.sql": "{{ config(materialized='table') }}\n" + STAYS + "\n",
    "models/dogs.sql": "{{ config(materialized='table') }}\n"
    "select dog, count(*) as stays, sum(price) as paid from {{ ref('stays') }} group by dog\n",
    "models/log.sql": "{{ config(materialized='incremental', unique_key='id') }}\n" + STAYS + "\n"
    "{% if is_incremental() %} where s.id > (select max(id) from {{ this }}) {% endif %}\n",
    "models/breeds.sql": "{{ config(materialized='table') }}\nselect 'collie' as breed, 1 as legs\n",
    "models/paws.sql": "{{ config(materialized='table') }}\nselect breed, 4 * legs as paws from {{ ref('breeds') }}\n",
}


class Shop:
    """The released project; `before` is what the warehouse held then, after the source had changed."""

    def __init__(self, directory: Path, warehouse: Warehouse) -> None:
        self.directory = directory
        self.warehouse = warehouse
        self.main = directory / "main"
        self._profiles = directory / "profiles"
        self._profiles.mkdir()
        self.main.mkdir()
        write(self.main, FILES)
        self._source("create schema raw", "create table raw.stays (id integer, dog varchar(20), price decimal(9,2))")
        rows = ", ".join(f"({i}, 'dog {i % 7}', {i}.50)" for i in range(100))
        self._source(f"insert into raw.stays values {rows}")
        write_profiles(self.main, {"prod": warehouse.output("prod")})
        done = run_dbt(self.main, ["build", "--no-use-colors"])
        assert done.returncode == 0, done.stdout
        for leftover in ("profiles.yml", "target", "logs"):
            path = self.main / leftover
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        outputs = {"ci": warehouse.output("dev"), "prod": warehouse.output("prod", as_reader=True)}
        write_profiles(self._profiles, outputs)
        git(self.main, "init", "--quiet", "--initial-branch=main")
        commit(self.main, "release")
        self._source(
            "insert into raw.stays values (100, 'dog 1', 1.00), (101, 'dog 8', 2.00)",
            "update raw.stays set price = price + 1 where id < 3",
            "delete from raw.stays where id = 50",
        )
        self.before = self.others()

    def branch(self, name: str, files: dict[str, str | None], base: dict[str, str | None] | None = None) -> Path:
        """Return a copy of the repository with a branch on which these files are different, those of `base` on main."""
        directory = self.directory / name
        shutil.copytree(self.main, directory)
        if base:
            write(directory, base)
            commit(directory, "not released yet")
        git(directory, "switch", "--quiet", "--create", name)
        write(directory, files)
        commit(directory, "change")
        return directory

    def validate(self, directory: Path, *args: str, defer: bool = True, **environ: str) -> Validation:
        """Run `pytest --dbt-ci` for pull request 7."""
        deferral = ["--dbt-ci-defer-target=prod"] if defer else []
        options = ["--dbt-ci-pr=7", "--dbt-ci-base=main", "--dbt-ci-target=ci", *deferral, *args]
        run = validate(directory, *options, DBT_PROFILES_DIR=str(self._profiles), **environ)
        keep_base(directory, self.main)
        return run

    def stored(self, name: str) -> str:
        """Return a column's name as the warehouse stores it."""
        return name.upper() if self.warehouse.kind == "snowflake" else name

    def others(self) -> dict[str, Any]:
        """Return what the warehouse holds apart from pull requests' schemas."""
        return {n: rows for n, rows in self.warehouse.contents().items() if not n.startswith("dbt_build")}

    def _source(self, *statements: str) -> None:
        with closing(self.warehouse.connect()) as connection:
            cursor = connection.cursor()
            for statement in statements:
                cursor.execute(statement)
            if self.warehouse.kind != "duckdb":
                cursor.execute("grant usage on schema raw to dbt")
                cursor.execute("grant select on all tables in schema raw to dbt")


@pytest.fixture(scope="module", params=ALL_KINDS)
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Return a shop on each kind of warehouse."""
    directory = tmp_path_factory.mktemp(request.param)
    with empty_warehouse(request.param, request, directory) as warehouse:
        yield Shop(directory, warehouse)
