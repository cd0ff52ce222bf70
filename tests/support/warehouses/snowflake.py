"""The Snowflake stand-in: fakesnow's server, which dbt-snowflake reaches with Snowflake's own driver."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from tests.support.warehouses import Row, Warehouse

ROOT = Path(__file__).resolve().parents[3]
MISSING = "" if find_spec("fakesnow") else "fakesnow is not installed: it needs Python 3.11 and DuckDB 2"
"""Why there is no stand-in here; empty where there is one."""


@dataclass(frozen=True, kw_only=True)
class Snowflake(Warehouse):
    """An empty database of the stand-in; names are given in lower case, as dbt's unquoted ones are written."""

    folder: Path = field(repr=False)

    def fail(self, pattern: str, number: str, state: str, message: str) -> None:
        """Let statements that match have an error of this number, SQLSTATE and text, until `recover`."""
        self._ask_for([{"pattern": pattern, "number": number, "state": state, "message": message}])

    def hold(self, pattern: str) -> None:
        """Let statements that match wait until `recover`."""
        self._ask_for([{"pattern": pattern}])

    def holds(self) -> bool:
        """Whether a statement waits."""
        return (self.folder / "held").exists()

    def recover(self) -> None:
        """Forget the fault."""
        self._ask_for([])
        (self.folder / "held").unlink(missing_ok=True)

    def _ask_for(self, faults: list[dict[str, str]]) -> None:
        new = self.folder / "faults.new"
        new.write_text(json.dumps(faults))
        new.replace(self.folder / "faults.json")

    def schemas(self) -> tuple[str, ...]:
        """Return the schemas that the user made, sorted."""
        rows = self.query(f"show terse schemas in database {self.profile['database']}")
        return tuple(sorted(str(row[1]).lower() for row in rows if str(row[1]).lower() != "information_schema"))

    def contents(self, schema_prefix: str = "") -> dict[str, list[Row]]:
        """Return the rows of every table and view in the schemas with a prefix, by `schema.name`, sorted."""
        information = f"{self.profile['database']}.information_schema"
        # Snowflake's `tables` has the views, too; fakesnow's has not.
        found = self.query(
            f"select table_schema, table_name from {information}.tables "
            f"union select table_schema, table_name from {information}.views"
        )
        names = sorted(f"{schema}.{name}".lower() for schema, name in found)
        read = {name: self.query(f"select * from {name}") for name in names if name.startswith(schema_prefix)}
        return {name: sorted(rows, key=repr) for name, rows in read.items()}

    def statements(self, pattern: str) -> list[str]:
        """Return the statements that match, oldest first, in the client's own words; those of other databases, too."""
        texts = (json.loads(line) for line in (self.folder / "statements").read_text().splitlines())
        return [text for text in texts if re.search(pattern, text, re.IGNORECASE)]


@dataclass(frozen=True, kw_only=True)
class SnowflakeServer:
    """A running stand-in."""

    port: int
    folder: Path

    @contextmanager
    def database(self) -> Iterator[Snowflake]:
        """Yield an empty database."""
        name = f"db_{secrets.token_hex(4)}"
        login: Mapping[str, object] = {
            "account": "fakesnow",
            "user": "dbt",
            "password": "snow",
            "host": "127.0.0.1",
            "port": self.port,
            "protocol": "http",
            "database": name,
        }

        def connect() -> Any:
            import snowflake.connector

            return snowflake.connector.connect(
                **login, session_parameters={"CLIENT_OUT_OF_BAND_TELEMETRY_ENABLED": False}
            )

        profile = {"type": "snowflake", **login, "warehouse": "wh", "role": "dbt", "threads": 4}
        made = Snowflake(kind="snowflake", connect=connect, profile=profile, folder=self.folder)
        made.recover()
        yield made
        made.recover()


@contextmanager
def run_snowflake() -> Iterator[SnowflakeServer]:
    """Run the stand-in in a process of its own, because fakesnow keeps one state for a process."""
    with tempfile.TemporaryDirectory(prefix="snowflake-") as folder:
        Path(folder, "statements").touch()
        Path(folder, "faults.json").write_text("[]")
        command = [sys.executable, "-m", "tests.support.warehouses.snowflake_server", folder]
        with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                yield SnowflakeServer(port=int(process.stdout.readline()), folder=Path(folder))
            finally:
                process.kill()
