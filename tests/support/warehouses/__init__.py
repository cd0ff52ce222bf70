"""Offer real warehouses to the tests: DuckDB, PostgreSQL, and the stand-ins for Redshift and Snowflake.

README.md in this folder says what the stand-ins are and what they can't show. The Snowflake one is in snowflake.py.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import duckdb

from tests.support.warehouses.faults import Faults
from tests.support.warehouses.postgres import Postgres, Row, run_postgres
from tests.support.warehouses.redshift_proxy import Proxy, postgres
from tests.support.warehouses.redshift_sql import translate

__all__ = ["KINDS", "SERVER_KINDS", "Faults", "Kind", "Row", "Server", "Warehouse", "duckdb_warehouse", "run_server"]

Kind = Literal["duckdb", "postgres", "redshift", "snowflake"]
KINDS: tuple[Kind, ...] = ("duckdb", "postgres", "redshift")
SERVER_KINDS: tuple[Kind, ...] = ("postgres", "redshift")

COMPATIBILITY = Path(__file__).with_name("redshift_compat.sql")
REDSHIFT_TEMPLATE = "redshift_template"

Connect = Callable[[], Any]


@dataclass(frozen=True, kw_only=True)
class Warehouse:
    """Stand for one empty database of one kind; dbt reaches it by `output`, the tests by `query`.

    `query`, `schemas` and `contents` go around dbt and, for a server, around the proxy and its faults, with
    all rights. `reader` is the user and password of a login that may create nothing.
    """

    kind: Kind
    connect: Connect = field(repr=False)
    profile: Mapping[str, object] = field(repr=False)
    reader: Mapping[str, object] = field(default_factory=dict, repr=False)
    server: Server | None = field(default=None, repr=False)

    def output(self, schema: str, *, as_reader: bool = False) -> dict[str, object]:
        """Return an output for profiles.yml with the given schema."""
        return {**self.profile, **(self.reader if as_reader else {}), "schema": schema}

    def query(self, sql: str) -> list[Row]:
        """Run one statement, committed at once, over a connection of its own, and return its rows."""
        with closing(self.connect()) as connection, closing(connection.cursor()) as cursor:
            cursor.execute(sql)
            return [tuple(row) for row in cursor.fetchall()] if cursor.description else []

    def schemas(self) -> tuple[str, ...]:
        """Return the schemas that the user made, sorted; the default one only if something is in it."""
        rows = self.query(
            f"""
            select schema_name from information_schema.schemata
            where catalog_name = current_database() and schema_name not like 'pg\\_%' escape '\\'
                and schema_name not in ('information_schema', 'main', 'public')
            union
            select table_schema from information_schema.tables where {_OURS}
            """
        )
        return tuple(sorted(str(name) for (name,) in rows))

    def contents(self, schema_prefix: str = "") -> dict[str, list[Row]]:
        """Return the rows of every table and view in the schemas with a prefix, by `schema.name`, sorted."""
        relations = self.query(f"select table_schema, table_name from information_schema.tables where {_OURS}")
        return {
            f"{schema}.{name}": sorted(self.query(f"select * from {_quote(schema)}.{_quote(name)}"), key=repr)
            for schema, name in sorted((str(schema), str(name)) for schema, name in relations)
            if schema.startswith(schema_prefix)
        }

    @property
    def faults(self) -> Faults:
        """Return the faults that can be put between dbt and the warehouse; a TypeError on DuckDB."""
        if self.server is None:
            raise TypeError(f"nothing stands between dbt and {self.kind}")
        return self.server.proxies[self.kind].faults


_OURS = (
    "table_catalog = current_database() and table_schema not like 'pg\\_%' escape '\\' "
    "and table_schema <> 'information_schema'"
)


def _quote(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def duckdb_warehouse(path: Path) -> Warehouse:
    """Describe the DuckDB database in a file, which is made when something first connects."""
    profile = {"type": "duckdb", "path": str(path), "threads": 4}
    return Warehouse(kind="duckdb", connect=lambda: duckdb.connect(str(path)), profile=profile)


@dataclass(frozen=True, kw_only=True)
class Server:
    """Make databases on one PostgreSQL, each reached through the proxy of its kind."""

    postgres: Postgres
    proxies: Mapping[Kind, Proxy]
    logins: Mapping[str, str] = field(repr=False)

    @contextmanager
    def database(self, kind: Kind) -> Iterator[Warehouse]:
        """Make an empty database and drop it at the end; faults are forgotten before and after."""
        name = f"db_{secrets.token_hex(4)}"
        template = REDSHIFT_TEMPLATE if kind == "redshift" else "template1"
        self.postgres.create_database(name, owner="dbt", template=template)
        faults = self.proxies[kind].faults
        faults.reset()
        try:
            yield self._warehouse(kind, name)
        finally:
            faults.reset()
            self.start()
            self.postgres.drop_database(name)

    def stop(self) -> None:
        """Take the warehouse away as a crash does: sessions are cut off, new connections are refused."""
        for proxy in self.proxies.values():
            proxy.stop()
        if self.postgres.running():
            self.postgres.stop()

    def start(self) -> None:
        """Bring the warehouse back, with what was committed, at the same address."""
        if not self.postgres.running():
            self.postgres.start()
        for proxy in self.proxies.values():
            proxy.start()

    def _warehouse(self, kind: Kind, database: str) -> Warehouse:
        profile = {
            "type": kind,
            "host": "127.0.0.1",
            "port": self.proxies[kind].port,
            **self._login("dbt"),
            "dbname": database,
            "sslmode": "disable",
            "threads": 4,
        }
        return Warehouse(
            kind=kind,
            connect=lambda: self.postgres.connect(database),
            profile=profile,
            reader=self._login("reader"),
            server=self,
        )

    def _login(self, user: str) -> dict[str, object]:
        return {"user": user, "password": self.logins[user]}


@contextmanager
def run_server() -> Iterator[Server]:
    """Run a PostgreSQL with both proxies, the users `dbt` and `reader`, and the template for Redshift."""
    with run_postgres() as database:
        logins = {user: database.create_user(user) for user in ("dbt", "reader")}
        database.create_database(REDSHIFT_TEMPLATE, owner="dbt")
        database.sql(COMPATIBILITY.read_text(), database=REDSHIFT_TEMPLATE)
        proxies: dict[Kind, Proxy] = {
            "postgres": Proxy(server_port=database.port, dialect=postgres),
            "redshift": Proxy(server_port=database.port, dialect=translate),
        }
        server = Server(postgres=database, proxies=proxies, logins=logins)
        server.start()
        try:
            yield server
        finally:
            for proxy in proxies.values():
                proxy.stop()
