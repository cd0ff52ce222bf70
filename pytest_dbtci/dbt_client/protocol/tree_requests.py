"""Requests about parsed trees: parse, read, select, compare their texts, move them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pytest_dbtci.codec import Words
from pytest_dbtci.dbt_client.protocol.request import Request
from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.differences import Declaration
from pytest_dbtci.layout import Layout
from pytest_dbtci.manifest import Manifest, Place


@dataclass(frozen=True, kw_only=True)
class Parse(Request[Manifest]):
    """Parse a tree and keep its manifest.

    With `view`, what is answered is also written to that file, and the parse is kept in the target path to start from.

    `partial_parse` is a `partial_parse.msgpack` to start from, `packages_dir` where packages are installed, relative
    to the project. `write` says whether `manifest.json` is written to the target path. `shared` tells that the target's
    schema stands for that of any pull request: what looks into it is named in the answer. `known` tells that the asker
    has what was answered for the parse to start from: nodes that are alike in both are only named.
    """

    tree: str
    invocation: Invocation
    partial_parse: str = ""
    packages_dir: str = ""
    view: str = ""
    write: bool
    shared: bool = False
    known: bool = False


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
    """Ask which nodes differ from these texts, by unique_id, in their formatting alone: see `dbt_host.formatting`."""

    tree: str
    invocation: Invocation
    before: Mapping[str, str]


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
class Repoint(Request[Mapping[str, Place]]):
    """Move a tree's relations to another schema; the answer are the new places of those that were moved."""

    tree: str
    placeholder: str
    schema: str


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
class Declared(Request[Mapping[str, Declaration]]):
    """Ask what the project declares of these nodes that matters for their comparison."""

    tree: str
    unique_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Steady(Request[tuple[str, ...]]):
    """Ask which of the nodes hold the same rows whenever what they read does: see `plain_nodes.steady`."""

    tree: str
    invocation: Invocation
    unique_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Confined(Request[tuple[str, ...]]):
    """Ask which of the nodes write nothing but their own relation: see `plain_nodes.confined`."""

    tree: str
    unique_ids: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Keep(Request[None]):
    """Keep a copy of the tree's manifest, as it is before the build, under another name."""

    tree: str
    copy: str
