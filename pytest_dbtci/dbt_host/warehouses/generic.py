"""Create, mark, take over, list and drop schemas through dbt's adapter interface, on any warehouse."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import datetime, timezone
from typing import Any

from pytest_dbtci.dbt_client.protocol.values import Mark
from pytest_dbtci.dbt_host.compare.dialect import Dialect
from pytest_dbtci.dbt_host.mark import BUILT_TABLE, MARK_TABLE, mark_of
from pytest_dbtci.dbt_host.runner import DbtFailed
from pytest_dbtci.dbt_host.statements import Statements

LOCK_SECONDS = 20.0
"""How long a drop waits for a lock that another session holds, unless DBT_CI_LOCK_SECONDS says otherwise."""


class Warehouse(Statements):
    """A warehouse of which no more is known than dbt's adapter says.

    A subclass overrides the public methods and those under "What warehouses differ in".
    """

    locks_view = ""
    """Where a person finds the session that holds a lock."""

    is_shared = True
    """Whether several processes can work in it at a time."""

    rolls_back_schemas = False
    """Whether `create schema` is undone with its transaction."""

    creating = "create schema"
    """The statement that creates a schema, without its name."""

    dialect: Dialect | None = None
    """How values are compared; None where that is not known to work."""

    @property
    def shell(self) -> str:
        """Return the command by which a person connects to the database, without a password; empty if none is known."""
        return ""

    def same(self, schema: str) -> str:
        """Return the text by which two names of schemas are one to the warehouse."""
        return schema.lower()

    def shape(self, place: Sequence[str]) -> Any:
        """Return what tells a relation's columns from others besides their names and types, as dbt shows these.

        DbtFailed where that can't be known.
        """
        return ()

    def clock(self) -> datetime:
        """Return the warehouse's time, UTC: the one clock by which runs on many machines are compared."""
        ((now,),) = self.fetch(f"select {self.render('current_timestamp')}")
        if not isinstance(now, datetime):
            raise DbtFailed(f"the warehouse's clock could not be read: it said {now!r}", usage=False)
        return now.replace(tzinfo=timezone.utc) if now.tzinfo is None else now.astimezone(timezone.utc)

    def own_sessions(self) -> tuple[int, ...]:
        """Return the numbers of this process's sessions, where no name of theirs tells the run."""
        return ()

    def end_sessions(self, run: str, schemas: Sequence[str], sessions: Sequence[int] = ()) -> None:
        """End what a run left at work in its schemas, where its sessions can be known for certain, and `sessions`."""

    def is_at_work(self) -> bool:
        """Whether the warehouse answers and may be working for this process; False only where it is known not to."""
        self.clock()
        return True

    def list_schemas(self, database: str) -> tuple[str, ...]:
        """Return the names of all schemas of the database."""
        with self._connection("list"):
            return tuple(self._adapter.list_schemas(database))

    def read_mark(self, database: str, schema: str) -> Mark | None:
        """Return the schema's mark, None where it has none; DbtFailed where that can't be known."""
        try:
            return self._read_mark(database, schema)
        except DbtFailed as error:
            if self.same(schema) not in map(self.same, self.list_schemas(database)):
                return None  # its run dropped it between two looks
            raise DbtFailed(f"the mark of schema {schema} could not be read: {error}", usage=False) from error

    def size(self, database: str, schema: str) -> tuple[int, int | None]:
        """Return the number of relations, our own tables left out, and their bytes (None where nobody says)."""
        ours = (MARK_TABLE, BUILT_TABLE)
        return sum(name.lower() not in ours for name in self._relations(database, schema)), None

    def create(self, database: str, schema: str, mark: Mark) -> None:
        """Create the schema and put the mark in, both or neither.

        Raises DbtFailed where that can't be done, also where the schema has come to exist meanwhile.
        """
        # The name is quoted as the project says, as dbt will write it. Never `if not exists`: what somebody
        # else has just made must not get our mark.
        quoting = {"quote_policy": self._adapter.config.quoting}
        is_ours = False
        try:
            with self._connection("create"), self._transaction():
                self._execute(f"{self.creating} {self._schema(database, schema, **quoting)}")
                is_ours = not self.rolls_back_schemas
                self._execute(self._marking(database, schema, mark, **quoting))
        except DbtFailed as error:
            if is_ours:
                self._drop(database, schema)
            where = f"schema {schema} could not be created in database {database}"
            raise DbtFailed(f"{where}: {error}{self._advice(str(error), database)}", usage=False) from error

    def mark(self, database: str, schema: str, mark: Mark) -> None:
        """Put the mark in a schema that has none."""
        with self._connection("mark"), self._transaction():
            self._execute(self._marking(database, schema, mark))

    def take_over(self, database: str, schema: str, mark: Mark, earlier: Mark) -> None:
        """Replace the mark if it is `earlier` still; one of a version that knew no repository keeps its columns."""
        new = {c: v for c, v in asdict(mark).items() if earlier.repository or c not in ("repository", "project")}
        # One statement: dbt-redshift repeats a statement on a new connection, where half a change would be lost.
        values = ", ".join(f"{c} = {self._literal(v)}" for c, v in new.items())
        with self._connection("mark"), self._transaction():
            where = f"where run = {self._literal(earlier.run)}"
            self._execute(f"update {self._mark_table(database, schema)} set {values} {where}")

    def drop(self, database: str, schema: str, inside: Sequence[str] = ()) -> None:
        """Drop the schema with all that is in it.

        `inside` are the schemas whose objects may go with it. Raises DbtFailed, and drops nothing, where an object
        elsewhere depends on one in it, or another session holds a lock for longer than the wait.
        """
        try:
            outside = self.dependents(database, schema, {schema, *inside})
            if not outside:
                self._drop(database, schema)
        except DbtFailed as error:
            raise DbtFailed(f"schema {schema} could not be dropped: {self._why(str(error))}", usage=False) from error
        if outside:
            raise DbtFailed(
                f"schema {schema} was not dropped, because objects outside the pull request's schemas depend on it: "
                f"{', '.join(outside)}. Drop them, or let them read something else, and drop the schema again.",
                usage=False,
            )
        if self.same(schema) in map(self.same, self.list_schemas(database)):
            raise DbtFailed(
                f"schema {schema} is still there although it was dropped without an error. Drop it by hand.",
                usage=False,
            )

    def copy_table(self, source: Sequence[str], target: Sequence[str]) -> bool:
        """Copy a table, content and all, to a place where nothing stands; False where the source is no table.

        Both are database, schema and identifier.
        """
        database, schema, identifier = source
        with self._connection("copy"):
            old = self._find(database, schema, identifier)
        if old is None or not old.is_table:
            return False
        new = self._adapter.Relation.create(*target, quote_policy=self._adapter.config.quoting)
        with self._connection("copy"), self._transaction():
            for statement in self._copying(old, new):
                self._execute(statement)
        return True

    def write_texts(
        self, place: Sequence[str], columns: Sequence[str], rows: Sequence[Sequence[str]], size: int = 64
    ) -> None:
        """Make a small table of texts of `size` characters at most, in place of one that is there."""
        table = self._render(*place)
        text = self._adapter.Column.string_type(size)
        with self._connection("note"), self._transaction():
            self._execute(f"drop table if exists {table}")
            self._execute(f"create table {table} ({', '.join(f'{c} {text}' for c in columns)})")
            for first in range(0, len(rows), 500):
                values = (f"({', '.join(map(self._literal, row))})" for row in rows[first : first + 500])
                self._execute(f"insert into {table} values {', '.join(values)}")

    def read_texts(self, place: Sequence[str], columns: Sequence[str]) -> list[tuple[str, ...]]:
        """Return the rows of such a table."""
        return [tuple(map(str, row)) for row in self.fetch(f"select {', '.join(columns)} from {self._render(*place)}")]

    def relations(self, database: str, schema: str) -> Mapping[str, str]:
        """Return the schema's tables and views by name, each with what tells it from another that takes its place.

        That is empty where the warehouse can't tell.
        """
        return dict.fromkeys(self._relations(database, schema), "")

    # What warehouses differ in

    def _relations(self, database: str, schema: str) -> tuple[str, ...]:
        """Return the names of the schema's tables and views."""
        return tuple(r.identifier for r in self._listed(database, schema))

    def _has_own_mark(self, database: str, schema: str) -> bool:
        """Whether there is a table of the mark's name that we, and nobody else, can have made."""
        return any(r.identifier.lower() == MARK_TABLE and r.is_table for r in self._listed(database, schema))

    def dependents(self, database: str, schema: str, inside: set[str]) -> tuple[str, ...]:
        """Return the objects in schemas other than `inside` that a drop of the schema would take along."""
        return ()

    def _drop(self, database: str, schema: str) -> None:
        # Never `cascade`, which may reach into other schemas. The mark goes last: what stays after trouble is ours.
        left = [r for r in self._listed(database, schema) if r.identifier.lower() != MARK_TABLE]
        while left:
            errors = {
                r: error for r in left if (error := self._drop_alone(f"{r.type or 'table'}".replace("_", " "), r))
            }
            if len(errors) == len(left):
                raise next(iter(errors.values()))
            left = list(errors)
        for kind, name in (("table", self._mark_table(database, schema)), ("schema", self._schema(database, schema))):
            if error := self._drop_alone(kind, name):
                raise error
        self._adapter.cache.drop_schema(database, schema)

    def _drop_alone(self, kind: str, name: Any) -> DbtFailed | None:
        """Drop one thing unless something depends on it; return what the warehouse says against it."""
        try:
            with self._connection("drop"), self._transaction():
                self._execute(f"drop {kind} if exists {name}")
        except DbtFailed as error:
            return error
        return None

    def _copying(self, old: Any, new: Any) -> tuple[str, ...]:
        """Return the statements that copy a table: dbt's own clone where that makes a table."""
        if self._adapter.execute_macro("can_clone_table"):
            clone = {"this_relation": new, "defer_relation": old}
            return (str(self._adapter.execute_macro("create_or_replace_clone", kwargs=clone)),)
        return (f"create table {new} as select * from {old}",)

    def _literal(self, text: str) -> str:
        return "'" + text.replace("'", "''") + "'"

    def _schema(self, database: str, schema: str, **how: Any) -> Any:
        return self._adapter.Relation.create(database=database, schema=schema, **how).without_identifier()

    # What they have in common

    def _listed(self, database: str, schema: str) -> list[Any]:
        with self._connection("list"):
            return list(self._adapter.list_relations_without_caching(self._schema(database, schema)))

    def _read_mark(self, database: str, schema: str) -> Mark | None:
        # No schema with a quote in its name was ever made here; dbt could not even address it.
        if '"' in schema or not self._has_own_mark(database, schema):
            return None
        columns, rows = self.read(f"select * from {self._mark_table(database, schema)}", most=2)
        return mark_of(dict(zip(map(str.lower, columns), rows[0], strict=True))) if len(rows) == 1 else None

    @property
    def _lock_seconds(self) -> float:
        return float(os.environ.get("DBT_CI_LOCK_SECONDS") or LOCK_SECONDS)

    def _why(self, text: str) -> str:
        said = text.lower()
        if not any(words in said for words in ("lock timeout", "statement timeout", "on user's request")):
            return text
        where = f" in {self.locks_view}" if self.locks_view else ""
        return (
            f"another session held a lock on something in it for {self._lock_seconds:g} seconds ({text}). "
            f"Find that session{where}, end it, and drop the schema again."
        )

    def _advice(self, text: str, database: str) -> str:
        said = text.lower()
        if "read-only" in said or "read only" in said:
            return "\nThe target can only read: choose one that may write with --dbt-ci-target."
        if any(words in said for words in ("permission denied", "not authorized", "privilege")):
            user = getattr(self._adapter.config.credentials, "user", None) or "the target's user"
            return f"\nThe target's user may not create schemas: grant create on database {database} to {user}."
        if "already exists" in said:
            return "\nAnother run or person made it just now: wait for that, and run again."
        return ""

    def _marking(self, database: str, schema: str, mark: Mark, **how: Any) -> str:
        text = self._adapter.Column.string_type(256)
        values = ", ".join(f"cast({self._literal(v)} as {text}) as {c}" for c, v in asdict(mark).items())
        return f"create table {self._mark_table(database, schema, **how)} as select {values}"

    def _mark_table(self, database: str, schema: str, **how: Any) -> str:
        return self._render(database, schema, MARK_TABLE, **how)

    def _render(self, database: str, schema: str, identifier: str, **how: Any) -> str:
        relation = self._adapter.Relation.create(database=database, schema=schema, identifier=identifier, **how)
        return str(relation.render())
