"""Warehouses without a file of their own: through dbt's adapter interface alone, or with what another package adds.

The adapter is a PostgreSQL's under another name, so that whatever a drop takes along can be seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_dbtci import adapters
from tests.support.fault_stage import SCHEMA, Stage, make_repository, write_profile
from tests.support.warehouses import Server

pytestmark = pytest.mark.slow

ADAPTER = """\
from dataclasses import dataclass, field
from pathlib import Path
from dbt.adapters.base import AdapterPlugin
from dbt.adapters.contracts.relation import Policy
from dbt.adapters.postgres import PostgresAdapter, PostgresConnectionManager, PostgresCredentials, PostgresRelation


class Credentials(PostgresCredentials):
    type = "toydb"


class Connections(PostgresConnectionManager):
    TYPE = "toydb"


@dataclass(frozen=True, eq=False, repr=False)
class Relation(PostgresRelation):
    include_policy: Policy = field(default_factory=lambda: Policy(database=False))


class ToydbAdapter(PostgresAdapter):
    ConnectionManager = Connections
    Relation = Relation

    @classmethod
    def type(cls):
        return "toydb"


include = str(Path(__file__).parent / "include")
Plugin = AdapterPlugin(adapter=ToydbAdapter, credentials=Credentials, include_path=include, dependencies=["postgres"])
"""
WAREHOUSE = """\
from pytest_dbtci.dbt_host.warehouses.postgres import Postgres


class Toy(Postgres):
    locks_view = "the toy box"
"""
WITHOUT_CURSOR = """\

from dbt.adapters.base import BaseConnectionManager


class Jobs(BaseConnectionManager):
    TYPE = "toydb"

    def _send(self, *args, **kwargs):
        raise RuntimeError("something was sent")

    def set_skip_transactions_checker(self, checker):
        pass

    exception_handler = cancel_open = open = begin = commit = execute = _send


ToydbAdapter.ConnectionManager = Jobs
"""
SAID = "nothing but dbt's adapter interface is known of toydb: schemas are dropped without cascade"


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH with the adapter."""
    adapter = tmp_path / "site" / "dbt" / "adapters" / "toydb"
    (adapter / "include" / "macros").mkdir(parents=True)
    (adapter / "__init__.py").write_text(ADAPTER)
    (adapter / "__version__.py").write_text('version = "1.10.0"\n')
    (adapter / "include" / "dbt_project.yml").write_text("name: dbt_toydb\nversion: 1.0\nmacro-paths: [macros]\n")
    (adapter / "include" / "macros" / "toydb.sql").write_text("{% macro toydb__nothing() %}{% endmacro %}\n")
    return tmp_path / "site"


@pytest.fixture
def stage(tmp_path: Path, warehouse_server: Server) -> Iterator[Stage]:
    directory = make_repository(tmp_path / "kennel")
    with warehouse_server.database("postgres") as warehouse:
        made = Stage.make(directory, warehouse)
        write_profile(directory, {**warehouse.output("analytics"), "type": "toydb"})
        yield made
        made.end()


def test_nothing_elsewhere_goes_with_a_drop_of_which_nobody_knows_what_it_takes(stage: Stage, site: Path) -> None:
    run = stage.run("--dbt-ci-keep-schema=always", PYTHONPATH=str(site))
    assert run.code == 0, run.output
    assert SAID in run.output
    stage.warehouse.query(f"create view analytics.report as select * from {SCHEMA}_extra.third")
    run = stage.run(PYTHONPATH=str(site))
    assert run.code == 1, run.output
    assert f"schema {SCHEMA}_extra could not be dropped" in run.output
    assert "view analytics.report depends on" in run.output
    assert stage.warehouse.query("select * from analytics.report") == [(3,)]
    stage.warehouse.query("drop view analytics.report")
    (stage.directory / "models/old.sql").write_text("select 2 as id\n")
    run = stage.run("--dbt-ci-compare=base", PYTHONPATH=str(site))
    assert run.code == 0, run.output
    assert "it is not known how values of this adapter's warehouse are compared" in run.output
    assert f"dropped {SCHEMA}, {SCHEMA}__base, {SCHEMA}_extra" in run.output
    stage.assert_nothing_left()


def test_another_package_adds_one_by_an_entry_point(stage: Stage, site: Path) -> None:
    (site / "toy_warehouse.py").write_text(WAREHOUSE)
    info = site / "toy_warehouse-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-warehouse\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[{adapters.GROUP}]\ntoydb = toy_warehouse:Toy\n")
    run = stage.run("--dbt-ci-keep-schema=always", PYTHONPATH=str(site))
    assert run.code == 0, run.output
    assert SAID not in run.output
    with stage.warehouse.connect() as reader:
        reader.cursor().execute(f"select * from {SCHEMA}.first")
        run = stage.run(PYTHONPATH=str(site), DBT_CI_LOCK_SECONDS="1")
    assert run.code == 1, run.output
    assert "Find that session in the toy box, end it" in run.output


def test_an_adapter_that_uses_no_cursor_is_refused_before_anything_is_sent(stage: Stage, site: Path) -> None:
    adapter = site / "dbt" / "adapters" / "toydb" / "__init__.py"
    adapter.write_text(ADAPTER + WITHOUT_CURSOR)
    run = stage.run(PYTHONPATH=str(site))
    assert run.code == 4, run.output
    assert "adapter toydb does not send its statements through a database cursor" in run.output, run.output
    assert "something was sent" not in run.output
    stage.assert_nothing_left()


def test_every_warehouse_with_a_file_is_known_by_name() -> None:
    from pytest_dbtci.dbt_host.warehouses import WAREHOUSES

    assert set(WAREHOUSES) == set(adapters.OWN)
