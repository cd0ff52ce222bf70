"""All that crosses the boundary to dbt's process: requests with their answers, events, and the lines they travel in.

A request is asked with `Host.ask`, which gives what its class names as the answer. The dbt host answers it with the
method of `dbt_host.operations` that takes the class. Both sides are of one version: what one of them does not know is
an error, never ignored.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar, get_args

from pytest_dbtci.codec import Words, decode, encode
from pytest_dbtci.differences import Declaration, Differences, FailingRows, OnBase, Pair
from pytest_dbtci.layout import Layout
from pytest_dbtci.manifest import Manifest, Place
from pytest_dbtci.results import Result

Answer = TypeVar("Answer", covariant=True)


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """What every dbt command of one purpose shares.

    `target_path` and `log_path` are folders of our own, so that the user's `target/` and `logs/` stay as they
    are. Empty texts leave the choice to dbt.
    """

    project_dir: str
    profiles_dir: str = ""
    target_path: str = ""
    log_path: str = ""
    profile: str = ""
    target: str = ""
    vars: str = ""
    threads: int | None = None


@dataclass(frozen=True, kw_only=True)
class Mark:
    """What makes a schema ours: the one row of a small table in it, all of it text.

    The format is a contract between versions: a column is read by its name, none is ever renamed, removed or given
    another meaning, further ones are ignored, and what a mark of an earlier version lacks is read as empty. `tool` says
    who made the schema, `pr` the pull request, `run` the run that owns it (hexadecimal digits), `head` its commit,
    `started` when it began (ISO 8601, UTC, by the warehouse's clock). `repository` and `project` tell pull requests of
    one number apart; version 0.1 wrote neither.
    """

    tool: str = "pytest-dbtci"
    pr: str
    run: str
    head: str
    started: str = ""
    repository: str = ""
    project: str = ""

    def is_of(self, other: Mark) -> bool:
        """Whether both are runs of one pull request; a mark that names no repository can be of any."""
        known = bool(self.repository and other.repository)
        mine, theirs = (self.repository, self.project), (other.repository, other.project)
        return self.pr == other.pr and (not known or mine == theirs)

    @property
    def whose(self) -> str:
        """Name the pull request with all that tells it from others."""
        where = f" of project {self.project} in {self.repository}" if self.repository else ""
        return f"pull request {self.pr}{where}"


@dataclass(frozen=True, kw_only=True)
class Owner:
    """Whose a run's schemas are: they begin with `prefix`, lie in `databases` and carry `mark`.

    `also` are the other beginnings that runs of the pull request may have chosen. `age` is how long (seconds) ago the
    run began, for a mark that does not say when. `keep` tells that the schemas stay if the controller vanishes.
    """

    prefix: str
    also: tuple[str, ...] = ()
    age: float = 0.0
    mark: Mark
    databases: tuple[str, ...]
    keep: bool


@dataclass(frozen=True, kw_only=True)
class TableCopy:
    """A table to copy and where to, each as database, schema, identifier."""

    source: tuple[str, str, str]
    target: tuple[str, str, str]


@dataclass(frozen=True, kw_only=True)
class FoundSchema:
    """A schema that a run may have left: its mark (None for none) and size, or the trouble with reading them.

    `age` is in seconds by the warehouse's clock, None where the mark's time can't be read.
    """

    database: str
    schema: str
    mark: Mark | None = None
    age: float | None = None
    relations: int = 0
    size: int | None = None
    trouble: Words = ""


class Request(Generic[Answer]):
    """What the controller can ask. `tree` is the name under which the host keeps a parsed manifest."""


@dataclass(frozen=True, kw_only=True)
class Parse(Request[Manifest]):
    """Parse a tree and keep its manifest.

    With `view`, what is answered is also written to that file, and the parse is kept in the target path to start from.

    `partial_parse` is a `partial_parse.msgpack` to start from, `packages_dir` where packages are installed, relative
    to the project. `write` says whether `manifest.json` is written to the target path. `shared` tells that the target's
    schema stands for that of any pull request: what looks into it is named in the answer.
    """

    tree: str
    invocation: Invocation
    partial_parse: str = ""
    packages_dir: str = ""
    view: str = ""
    write: bool
    shared: bool = False


@dataclass(frozen=True, kw_only=True)
class Resolve(Request[Manifest | None]):
    """Find where a parsed tree's relations lie in the invocation's target: see `target_names.resolve`."""

    tree: str
    invocation: Invocation
    parsed: str
    into: str


@dataclass(frozen=True, kw_only=True)
class Forget(Request[None]):
    """Forget these manifests, so that what is parsed next can have their memory."""

    trees: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Read(Request[Manifest]):
    """Read the manifest.json in that folder."""

    folder: str


@dataclass(frozen=True, kw_only=True)
class LeaveOut(Request[str]):
    """Write a manifest.json that lacks these nodes; the answer is its folder."""

    manifest_file: str
    unique_ids: tuple[str, ...]
    into: str


@dataclass(frozen=True, kw_only=True)
class Slim(Request[str]):
    """Write a manifest.json that has only these nodes, to defer to; the answer is its folder."""

    manifest_file: str
    unique_ids: tuple[str, ...]
    into: str


@dataclass(frozen=True, kw_only=True)
class Select(Request[tuple[str, ...]]):
    """Ask dbt which nodes a selection means: see `manifests.select`. The answer are their unique_ids."""

    tree: str
    invocation: Invocation
    select: str
    exclude: str = ""
    selector: str = ""
    state: str = ""
    indirect: str = ""
    marks: Mapping[str, tuple[str, ...]] | None = None
    own: bool = False


@dataclass(frozen=True, kw_only=True)
class CompareFormatting(Request[tuple[str, ...]]):
    """Ask which of these nodes differ between two trees in their formatting alone: see `dbt_host.formatting`."""

    before: str
    before_invocation: Invocation
    tree: str
    invocation: Invocation
    unique_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ContractChanges(Request[tuple[Words, ...]]):
    """Ask for what dbt warned of, since this was last asked, while it selected by state: broken contracts."""


@dataclass(frozen=True, kw_only=True)
class Narrowing(Request[tuple[str, ...]]):
    """Ask for the variables, each with its value, by which the environment makes dbt build or test less."""


@dataclass(frozen=True, kw_only=True)
class InstallPackages(Request[None]):
    """Install the packages that the project names into its own folder."""

    project_dir: str
    vars: str = ""


@dataclass(frozen=True, kw_only=True)
class FindLayout(Request[Layout]):
    """Find where dbt looks for the project's files, and with `installed` for those of the installed packages."""

    invocation: Invocation
    installed: bool = True


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
class Repoint(Request[Mapping[str, Place]]):
    """Move a tree's relations to another schema; the answer are the new places of those that were moved."""

    tree: str
    placeholder: str
    schema: str


@dataclass(frozen=True, kw_only=True)
class Redirect(Request[None]):
    """Let what these nodes write besides their relations go to the run's own folder: see `outside.redirect`."""

    tree: str
    unique_ids: tuple[str, ...]
    folder: str
    rehearsal: bool = False


@dataclass(frozen=True, kw_only=True)
class TargetSchema(Request[str]):
    """Ask for the target's schema, as the tree was parsed with it."""

    tree: str


@dataclass(frozen=True, kw_only=True)
class KeepApart(Request[Manifest]):
    """Move what lies in other schemas than the tree's own: see `rehearsal.keep_apart`."""

    tree: str
    schema: str


@dataclass(frozen=True, kw_only=True)
class ReserveSchema(Request[str]):
    """Create and mark the first schema unless it exists; the answer is whose it is, if another repository's."""

    tree: str
    schema: tuple[str, str]
    owner: Owner


@dataclass(frozen=True, kw_only=True)
class OpenSchemas(Request[tuple[str, ...]]):
    """Make every schema, (database, schema), of the run ready, empty and marked; the answer is what was done, in words.

    Those that the run `reuse` left are taken as they are, if all are there.
    """

    tree: str
    schemas: tuple[tuple[str, str], ...]
    owner: Owner
    reuse: str = ""


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
class Declared(Request[Mapping[str, Declaration]]):
    """Ask what the project declares of these nodes that matters for their comparison."""

    tree: str
    unique_ids: tuple[str, ...]


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
    """Compare relations, by any name; `Compared` tells of each pair meanwhile."""

    tree: str
    pairs: Mapping[str, Pair]


@dataclass(frozen=True, kw_only=True)
class Keep(Request[None]):
    """Keep a copy of the tree's manifest, as it is before the build, under another name."""

    tree: str
    copy: str


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


@dataclass(frozen=True, kw_only=True)
class NodeStarted:
    """dbt began with the node."""

    unique_id: str


@dataclass(frozen=True, kw_only=True)
class NodeFinished:
    """dbt has a result for a node."""

    result: Result


@dataclass(frozen=True, kw_only=True)
class RowsFetched:
    """Rows of a query: a pickled list of tuples in base64, so that values keep their types."""

    pickled: str


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What differs between the relations of a pair, or in `trouble` why that is not known."""

    name: str
    differences: Differences | None = None
    trouble: Words = ""
    seconds: float = 0.0


Event = NodeStarted | NodeFinished | RowsFetched | Compared
"""What the host tells while it works on a request."""

Emit = Callable[[Event], None]


@dataclass(frozen=True, kw_only=True)
class Ready:
    """dbt is imported: the host begins to answer."""


@dataclass(frozen=True, kw_only=True)
class Done:
    """The answer to a request."""

    answer: Any


@dataclass(frozen=True, kw_only=True)
class Failed:
    """Why there is no answer: the user's input (`usage`), other trouble, or it was cancelled.

    `trouble` names the kind of the warehouse's trouble, where it was that.
    """

    text: Words
    kind: Literal["usage", "trouble", "cancelled"]
    trouble: str = ""


@dataclass(frozen=True, kw_only=True)
class Settle:
    """Where the host works from now on, and what its environment holds besides."""

    cwd: str
    environ: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Cancel:
    """Cancel the request of the line's number, at once."""


@dataclass(frozen=True, kw_only=True)
class Quit:
    """End; nothing is open."""


REQUESTS: Mapping[str, type[Request[Any]]] = {kind.__name__: kind for kind in Request.__subclasses__()}
TO_HOST: Mapping[str, type[Any]] = {**REQUESTS, **{kind.__name__: kind for kind in (Settle, Cancel, Quit)}}
FROM_HOST: Mapping[str, type[Any]] = {k.__name__: k for k in (*get_args(Event), Ready, Done, Failed)}


@dataclass(frozen=True, kw_only=True)
class Line:
    """A message on its way: the name of its class, its fields, and the number of the request that it belongs to."""

    number: int | None = None
    kind: str
    fields: Any

    def read(self, kinds: Mapping[str, type[Any]], words: Callable[[str], str] = str) -> Any:
        """Return the message, its words passed through `words`; ValueError or TypeError for none of `kinds`."""
        if self.kind not in kinds:
            raise ValueError(f"{self.kind} is no message of this protocol")
        return decode(kinds[self.kind], self.fields, words)


def write_line(message: object, number: int | None = None) -> str:
    """Return the line that carries the message; ASCII without line breaks."""
    return json.dumps({"number": number, "kind": type(message).__name__, "fields": encode(message)}, default=str)


def read_line(text: str) -> Line:
    """Return what the line holds; ValueError where it is none."""
    return decode(Line, json.loads(text))


def answer_type(request: type[Request[Any]]) -> Any:
    """Return the type of the request's answer."""
    return get_args(request.__orig_bases__[0])[0]  # type: ignore[attr-defined]
