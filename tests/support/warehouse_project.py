"""The project beside the test servers as a repository with a released `main`, and the dbt host without one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.dbt_client.protocol.values import Invocation, Mark, Owner
from pytest_dbtci.dbt_client.protocol.warehouse_requests import Attach, OpenSchemas
from tests.support.tiny_project import git
from tests.support.validation import Validation, environment, keep_base, validate
from tests.support.warehouses import Warehouse
from tests.support.warehouses.dbt_project import PROFILE, copy_project, run_dbt, write_profiles
from tests.support.warehouses.fixtures import ALL_KINDS, empty_warehouse
from tests.support.warm_start import warm

NEW_VISIT = "15,1,2024-05-01,26000,2024-05-01 09:00:00\n"
"""A row that a pull request adds to seeds/raw_visits.csv."""

TEAM_SCHEMA = "finance"
"""A schema of somebody else, which no run may touch."""


class Kennel:
    """A repository whose `main` was released into the schemas `prod…` of a warehouse.

    `before` is what the warehouse held after the release, apart from pull requests' schemas.
    """

    def __init__(self, directory: Path, warehouse: Warehouse) -> None:
        self.directory = directory
        self.warehouse = warehouse
        self.main = copy_project(directory / "main")
        self._profiles = directory / "profiles"
        self._profiles.mkdir()
        write_profiles(self.main, {"prod": warehouse.output("prod")})
        done = run_dbt(self.main, ["build", "--no-use-colors"])
        assert done.returncode == 0, done.stdout
        for leftover in ("profiles.yml", "target", "logs"):
            path = self.main / leftover
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        # A run has no business with prod's rights: it only asks where prod's relations are.
        outputs = {"ci": warehouse.output("dev"), "prod": warehouse.output("prod", as_reader=True)}
        write_profiles(self._profiles, outputs)
        git(self.main, "init", "--quiet", "--initial-branch=main")
        (self.main / ".gitignore").write_text("target/\nlogs/\n")
        git(self.main, "add", "--all")
        git(self.main, "commit", "--quiet", "--message=Release")
        for strategy in ("append", "merge", "replace"):
            # What no full build gives: a copy of prod's rows is known by it.
            warehouse.query(f"update prod.visits_{strategy} set weight_kg = 99 where visit_id = 10")
        warehouse.query(f"create schema {TEAM_SCHEMA}")
        warehouse.query(f"create table {TEAM_SCHEMA}.wages as select 1 as dog_id, 7 as bones")
        self.before = warehouse.contents()

    def branch(self, name: str, files: dict[str, str]) -> Path:
        """Return a copy of the repository with a branch checked out on which these files are different."""
        directory = self.directory / name
        shutil.copytree(self.main, directory)
        git(directory, "switch", "--quiet", "--create", name)
        self.commit(directory, files)
        return directory

    @staticmethod
    def commit(directory: Path, files: dict[str, str]) -> None:
        """Commit these files."""
        for path, text in files.items():
            (directory / path).parent.mkdir(parents=True, exist_ok=True)
            (directory / path).write_text(text)
        git(directory, "add", "--all")
        git(directory, "commit", "--quiet", "--message=Change")

    def read(self, path: str) -> str:
        """Return the text of a file of the release."""
        return (self.main / path).read_text()

    def validate(self, directory: Path, pr: str, *args: str, defer: bool = True, **environ: str) -> Validation:
        """Run `pytest --dbt-ci` for that pull request, with the parents deferred to prod or not."""
        deferral = ["--dbt-ci-defer-target=prod"] if defer else []
        options = [f"--dbt-ci-pr={pr}", "--dbt-ci-base=main", "--dbt-ci-target=ci", *deferral, *args]
        run = validate(directory, *options, DBT_PROFILES_DIR=str(self._profiles), **environ)
        keep_base(directory, self.main)
        return run

    def others(self) -> dict[str, Any]:
        """Return what the warehouse holds apart from pull requests' schemas: is it still `before`?"""
        found = self.warehouse.contents()
        return {name: rows for name, rows in found.items() if not name.lower().startswith("dbt_build")}

    def built(self, pr: str) -> tuple[str, ...]:
        """Return the schemas that runs of the pull request left."""
        return tuple(s for s in self.warehouse.schemas() if f"{s.lower()}_".startswith(f"dbt_build_{pr}_"))


# The quick tests leave PostgreSQL out: the stand-in for Redshift is the same server behind a stricter door.
_QUICK_KINDS = [pytest.param(kind, marks=pytest.mark.slow) if kind == "postgres" else kind for kind in ALL_KINDS]


@pytest.fixture(scope="session", params=_QUICK_KINDS)
def kennel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kennel]:
    """One released warehouse of each kind for many cases; each case has pull requests of its own."""
    directory = tmp_path_factory.mktemp(request.param)
    with empty_warehouse(request.param, request, directory) as warehouse:
        yield Kennel(directory, warehouse)


@contextmanager
def running_host(folder: Path, **environ: str) -> Iterator[Host]:
    """Run a dbt host of its own in a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    with Host(folder, warm(environment(**environ)), folder / "dbt.log") as host:
        yield host


def attach(host: Host, folder: Path, warehouse: Warehouse, *, as_reader: bool = False, **output: Any) -> None:
    """Let the host log in to the warehouse, without a project."""
    folder.mkdir(parents=True, exist_ok=True)
    profile = {**warehouse.output("dbt_build", as_reader=as_reader), **output}
    if warehouse.kind == "duckdb":
        # Let go of the file between requests, so that the test can look into it.
        profile.setdefault("keep_open", False)
    write_profiles(folder, {"ci": profile})
    invocation = Invocation(
        project_dir=str(folder / "empty"),
        profiles_dir=str(folder),
        target_path=str(folder / "target"),
        log_path=str(folder / "logs"),
        profile=PROFILE,
    )
    host.ask(Attach(invocation=invocation))


def database_of(warehouse: Warehouse) -> str:
    """Return the database's name as dbt knows it."""
    if warehouse.kind == "duckdb":
        return Path(str(warehouse.profile["path"])).stem
    return str(warehouse.profile.get("dbname") or warehouse.profile["database"])


def open_schemas(host: Host, warehouse: Warehouse, *schemas: str, **owner: Any) -> list[str]:
    """Let the host make schemas ready for a run; return those of earlier runs that it dropped.

    `owner` is what `owner_of` takes.
    """
    places = tuple((database_of(warehouse), s) for s in schemas)
    request = OpenSchemas(tree="empty", schemas=places, owner=owner_of(warehouse, *schemas, **owner))
    return list(host.ask(request).dropped)


def owner_of(
    warehouse: Warehouse,
    *schemas: str,
    prefix: str = "",
    pr: str = "7",
    run: str = "r1",
    started: str = "2024-05-01T10:00:00+00:00",
    age: float = 0.0,
    also: tuple[str, ...] = (),
    whose: Mapping[str, str] | None = None,
) -> Owner:
    """Return the owner of a run's schemas: one that began `age` seconds ago where `started` is empty.

    `also` are other beginnings of its pull request's schemas, `whose` the mark's `repository` and `project`.
    """
    mark = Mark(pr=pr, run=run, head="3f2c1aa", started=started, **(whose or {}))
    databases = (database_of(warehouse),)
    return Owner(prefix=prefix or schemas[0], also=also, age=age, mark=mark, databases=databases, keep=False)
