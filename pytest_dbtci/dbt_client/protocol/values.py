"""What requests and their answers are made of besides the plan's own values."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from pytest_dbtci.codec import Words


@dataclass(frozen=True, kw_only=True)
class Invocation:
    """What every dbt command of one purpose shares.

    `target_path` and `log_path` are folders of our own, so that the user's `target/` and `logs/` stay as they
    are. Empty texts leave the choice to dbt. `any_version` is for the base, which need not be made for the dbt that the
    branch asks for (`require-dbt-version`).
    """

    project_dir: str
    profiles_dir: str = ""
    target_path: str = ""
    log_path: str = ""
    profile: str = ""
    target: str = ""
    vars: str = ""
    threads: int | None = None
    any_version: bool = False


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
class Opened:
    """What was found where a run's schemas were opened.

    `reused` tells that all of them hold what the run to be reused left, `dropped` are those of earlier runs that went.
    """

    reused: bool = False
    dropped: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class BuiltNode:
    """What a run noted of a node that passed: its `fingerprint`, which `run` built it, and when that began.

    `started` is ISO 8601, UTC, `age` the seconds since then, both by the warehouse's clock.
    """

    fingerprint: str
    run: str = ""
    started: str = ""
    age: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Built:
    """What stands in the schemas that an earlier `run` of the pull request left; empty where nothing is known.

    `nodes` are by `node_key`; `relations` are those that are there and nobody has replaced, as far as the warehouse can
    tell, as (database, schema, identifier) in lower case.
    """

    run: str = ""
    nodes: Mapping[str, BuiltNode] = field(default_factory=dict)
    relations: tuple[tuple[str, str, str], ...] = ()


def node_key(unique_id: str) -> str:
    """Return a key of fixed length for a unique_id, which can have any."""
    return hashlib.sha256(unique_id.encode()).hexdigest()[:32]


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
