"""The warehouses to measure on, each with production released once for each size of project."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

import duckdb

from tests.support.warehouses.postgres import SUPERUSER, Postgres, run_postgres

LEFT_BEHIND = "select schema_name from information_schema.schemata where schema_name like 'dbt_build%'"


class Warehouse(Protocol):
    """Give one run after the other the same released production."""

    profile: str

    def released(self, project: Path, dbt: str) -> AbstractContextManager[Mapping[str, str]]:
        """Give the environment of one run. Production is there, and nothing else.

        The first time for a project (a folder with the checkout `repository`), `dbt` builds production.
        """

    def left_behind(self, environ: Mapping[str, str]) -> tuple[str, ...]:
        """Name the schemas of pull requests that a run has not dropped."""


class DuckDb:
    """Give each run a copy of a file that is kept next to the project."""

    profile = "duckdb"

    @contextmanager
    def released(self, project: Path, dbt: str) -> Iterator[Mapping[str, str]]:
        """See Warehouse."""
        file = project / "released" / "warehouse.duckdb"
        if not file.exists():
            # Built under another folder: the file's name is the database's name, which the models know.
            building = project / "releasing" / file.name
            shutil.rmtree(building.parent, ignore_errors=True)
            building.parent.mkdir()
            release(project / "repository", dbt, self.profile, {"BENCH_DUCKDB": str(building)})
            building.parent.rename(file.parent)
        copy = project / "run" / file.name
        copy.parent.mkdir(exist_ok=True)
        shutil.copyfile(file, copy)
        try:
            yield {"BENCH_DUCKDB": str(copy)}
        finally:
            shutil.rmtree(copy.parent)

    def left_behind(self, environ: Mapping[str, str]) -> tuple[str, ...]:
        """See Warehouse."""
        with duckdb.connect(environ["BENCH_DUCKDB"], read_only=True) as connection:
            return tuple(str(name) for (name,) in connection.execute(LEFT_BEHIND).fetchall())


class PostgreSql:
    """Give all runs of a project the same database of a local server, as every run drops what it created."""

    profile = "postgres"

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._databases: dict[Path, str] = {}

    @contextmanager
    def released(self, project: Path, dbt: str) -> Iterator[Mapping[str, str]]:
        """See Warehouse."""
        known = project in self._databases
        database = self._databases.setdefault(project, f"bench_{len(self._databases)}")
        environ = {
            "BENCH_PGHOST": "127.0.0.1",
            "BENCH_PGPORT": str(self._server.port),
            "BENCH_PGUSER": SUPERUSER,
            "BENCH_PGPASSWORD": self._server.password,
            "BENCH_PGDATABASE": database,
        }
        if not known:
            self._server.create_database(database, owner=SUPERUSER)
            release(project / "repository", dbt, self.profile, environ)
        yield environ

    def left_behind(self, environ: Mapping[str, str]) -> tuple[str, ...]:
        """See Warehouse."""
        rows = self._server.sql(LEFT_BEHIND, database=environ["BENCH_PGDATABASE"])
        return tuple(str(name) for (name,) in rows)


@contextmanager
def open_warehouse(name: str) -> Iterator[Warehouse]:
    """Yield the warehouse of that name, `duckdb` or `postgres`."""
    if name == DuckDb.profile:
        yield DuckDb()
    else:
        with run_postgres() as server:
            yield PostgreSql(server)


def release(repository: Path, dbt: str, profile: str, environ: Mapping[str, str]) -> None:
    """Build production from the repository's work tree, without its tests; raise CalledProcessError."""
    command = [dbt, "--quiet", "build", "--exclude-resource-type", "test", "--target", "prod", "--profile", profile]
    command += ["--profiles-dir", str(repository), "--project-dir", str(repository)]
    subprocess.run(command, env={**os.environ, **environ}, check=True)
