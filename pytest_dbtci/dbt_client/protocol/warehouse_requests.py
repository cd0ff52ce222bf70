"""Requests that the warehouse answers: schemas, builds, queries, comparisons, what earlier runs left."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_dbtci.codec import Words
from pytest_dbtci.dbt_client.protocol.request import Request
from pytest_dbtci.dbt_client.protocol.values import Built, BuiltNode, FoundSchema, Invocation, Opened, Owner, TableCopy
from pytest_dbtci.differences import Contents, FailingRows, OnBase, Pair
from pytest_dbtci.manifest import Place


@dataclass(frozen=True, kw_only=True)
class Connect(Request[str]):
    """Let all statements log in as this invocation does from now on; the answer is its target's database."""

    tree: str
    invocation: Invocation


@dataclass(frozen=True, kw_only=True)
class Attach(Request[None]):
    """Connect without the user's project, so that schema statements can run.

    `owner` is whose schemas an earlier host may have created, and `external` the folder that it may have made, for
    this one to drop.
    """

    invocation: Invocation
    owner: Owner | None = None
    external: str = ""


@dataclass(frozen=True, kw_only=True)
class Redirect(Request[None]):
    """Let what these nodes write besides their relations go to the run's own folder: see `outside.redirect`."""

    tree: str
    unique_ids: tuple[str, ...]
    folder: str
    rehearsal: bool = False


@dataclass(frozen=True, kw_only=True)
class ReserveSchema(Request[str]):
    """Create and mark the first schema unless it exists; the answer is whose it is, if another repository's."""

    tree: str
    schema: tuple[str, str]
    owner: Owner


@dataclass(frozen=True, kw_only=True)
class OpenSchemas(Request[Opened]):
    """Make every schema, (database, schema), of the run ready, empty and marked.

    Those that the run `reuse` left are taken as they are, if all are there.
    """

    tree: str
    schemas: tuple[tuple[str, str], ...]
    owner: Owner
    reuse: str = ""


@dataclass(frozen=True, kw_only=True)
class ReadBuilt(Request[Built]):
    """Tell what an earlier run of the pull request left in these schemas; the first one holds its notes."""

    tree: str
    schemas: tuple[tuple[str, str], ...]
    owner: Owner


@dataclass(frozen=True, kw_only=True)
class NoteBuilt(Request[None]):
    """Note in the first of the run's schemas, by `node_key`, what stands in them; no `run` means this one."""

    schemas: tuple[tuple[str, str], ...]
    nodes: Mapping[str, BuiltNode]


@dataclass(frozen=True, kw_only=True)
class CopyTables(Request[Mapping[str, Words | None]]):
    """Copy tables; the answer is empty for one that was copied, else why not, and None where there is no table."""

    tree: str
    copies: Mapping[str, TableCopy]


@dataclass(frozen=True, kw_only=True)
class Build(Request[None]):
    """Build these nodes; `NodeStarted` and `NodeFinished` tell of each one meanwhile."""

    tree: str
    invocation: Invocation
    unique_ids: tuple[str, ...]
    defer_state: str = ""
    full_refresh: bool = False
    show_rows: int = 5
    batch_tests: bool = False


@dataclass(frozen=True, kw_only=True)
class BuildTwins(Request[None]):
    """Build the base's version of these nodes; what is not built stands `elsewhere`. Events are those of a build.

    `hooks` tells whether those of the project run.
    """

    tree: str
    invocation: Invocation
    unique_ids: tuple[str, ...]
    elsewhere: Mapping[str, Place]
    full_refresh: bool = False
    hooks: bool = True


@dataclass(frozen=True, kw_only=True)
class SameRows(Request[Mapping[str, OnBase]]):
    """Ask of data tests that failed in both trees whether they failed with the same rows: see `failing_rows.run`."""

    head: str
    base: str
    tests: Mapping[str, FailingRows]


@dataclass(frozen=True, kw_only=True)
class Compare(Request[None]):
    """Compare relations, by any name, for `seconds` each at most; `Compared` tells of each pair meanwhile."""

    tree: str
    pairs: Mapping[str, Pair]
    seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class CompareContents(Request[Mapping[str, Contents]]):
    """Ask of relations, by any name, whether they hold exactly the same: see `contents.run`."""

    tree: str
    pairs: Mapping[str, Pair]


@dataclass(frozen=True, kw_only=True)
class Query(Request[tuple[str, ...]]):
    """Compile the SQL and run it; `RowsFetched` brings the rows, the answer the column names.

    `elsewhere` says where nodes live that this run does not build.
    """

    invocation: Invocation
    sql: str
    elsewhere: Mapping[str, Place]


@dataclass(frozen=True, kw_only=True)
class Document(Request[None]):
    """Write the documentation page into the target path."""

    tree: str
    invocation: Invocation


@dataclass(frozen=True, kw_only=True)
class Ping(Request[None]):
    """Ask the warehouse for a sign of life, if schemas were opened in it."""


@dataclass(frozen=True, kw_only=True)
class DropSchemas(Request[tuple[str, ...]]):
    """Drop the run's schemas unless they are to be kept, and check whose they are; the answer are those dropped."""

    keep: bool = False


@dataclass(frozen=True, kw_only=True)
class Shell(Request[str]):
    """Ask for the command by which a person connects to the target's database; empty where none is known."""


@dataclass(frozen=True, kw_only=True)
class ListLeftovers(Request[tuple[FoundSchema, ...]]):
    """Ask for the schemas of the target's database whose name begins so."""

    beginning: str


@dataclass(frozen=True, kw_only=True)
class Redate(Request[None]):
    """Let the mark of that run's schema, which lies ahead of the warehouse's clock, count from now on."""

    database: str
    schema: str
    run: str


@dataclass(frozen=True, kw_only=True)
class DropLeftover(Request[None]):
    """Drop a marked schema if it still is that run's; what depends on it may lie in the schemas `inside`."""

    database: str
    schema: str
    run: str
    inside: tuple[str, ...]
