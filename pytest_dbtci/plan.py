"""What a run will do, decided before anything is written: a frozen value, JSON both ways."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from pytest_dbtci.codec import decode, encode
from pytest_dbtci.differences import Counterpart

ReasonKind = Literal[
    "modified", "new", "affected", "downstream", "selected", "ancestor", "hook", "released", "formatting"
]
Mode = Literal["pull_request", "release", "nothing"]


@dataclass(frozen=True, kw_only=True)
class Reason:
    """Why a node is in the plan.

    `kind` is what readers sort by; `text` is the whole sentence (`modified: body`, `downstream of fact_dogs`);
    `files` are the changed paths behind it, POSIX, relative to the repository's root.
    """

    kind: ReasonKind
    text: str
    files: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.text} ({', '.join(self.files)})" if self.files else self.text


@dataclass(frozen=True, kw_only=True)
class Node:
    """One dbt node of the plan.

    `file` is the file a reader opens first (a generic or unit test's is that of what it tests), `defined_in` the
    one that defines it; both POSIX, relative to the dbt project's folder. `parents` holds the unique_ids it
    reads, planned or not. `about` is the unique_id that a test or unit test is about. `relation` is the quoted
    name of what it writes, None where it writes nothing.
    """

    unique_id: str
    resource_type: str
    name: str
    item: str
    file: str
    defined_in: str
    reason: Reason
    parents: tuple[str, ...] = ()
    about: str | None = None
    materialized: str = ""
    database: str = ""
    schema: str = ""
    relation: str | None = None
    severity: str = ""
    column: str | None = None

    @property
    def is_item(self) -> bool:
        """Whether dbt reports a result of its own for it (an ephemeral model has none)."""
        return self.materialized != "ephemeral"

    @property
    def why(self) -> str:
        """Return the reason without the node's own file, which stands beside it wherever this is shown."""
        elsewhere = tuple(f for f in self.reason.files if not f"/{f}".endswith(f"/{self.file}"))
        return str(dataclasses.replace(self.reason, files=elsewhere))

    @property
    def label(self) -> str:
        """Name the node the way a reader finds it: its file, then its name."""
        return f"{self.file}::{self.item}"


@dataclass(frozen=True, kw_only=True)
class PathChange:
    """One changed path and what became of it in the plan.

    `effect` is one of `selected` (it explains nodes of the plan), `everything` (it can affect every node),
    `removed` (what it defined is gone and nothing needs it) or `none` (it affects nothing in dbt).
    """

    path: str
    status: str
    effect: str = "selected"
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Exposure:
    """Something outside of dbt (a dashboard, an application) that reads what the plan builds.

    `label` is its name for people, `owner` who answers for it, `url` where it is; `parents` the unique_ids it reads.
    """

    unique_id: str
    label: str
    owner: str = ""
    url: str = ""
    parents: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Commits:
    """What is validated, and what it is compared with.

    `base` is the merge base of `head` and `base_ref`, found as `how` says. A release has none; its `base_ref` is the
    branch that holds `head`.
    """

    head: str = ""
    base: str = ""
    base_ref: str = ""
    how: str = ""


@dataclass(frozen=True, kw_only=True)
class Destination:
    """Where a run builds: the profile's target, and the schemas there.

    `schema` is where nodes without a custom schema go. `schemas` are all that the run creates, marks and drops, as
    (database, schema): of a release only its rehearsal's, the first of which is `rehearsal`. Parents that are not
    built are read from `defer_target`, None where there are none.
    """

    profile: str = ""
    target: str = ""
    adapter: str = ""
    schema: str = ""
    rehearsal: str = ""
    schemas: tuple[tuple[str, str], ...] = ()
    defer_target: str | None = None

    @property
    def prefix(self) -> str:
        """Return what the names of all schemas of the run begin with."""
        return self.rehearsal or self.schema


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Everything that is decided before the warehouse is touched.

    `nodes` stand in the order in which dbt builds them. `packages_dir` is where the project's packages are installed,
    relative to its folder. `compared` are the nodes whose contents are compared with the base's, `twins` the nodes of
    the base that are built for that. `left_out` are nodes that the change selects and that are not built, as they can't
    differ; their reasons say why. `status` is set, and `nodes` empty, when there is nothing to build: the sentence that
    the one status item shows. `warning` is what the CI provider shows beside a green run.
    """

    mode: Mode
    pr: str = ""
    repository: str = ""
    project: str = ""
    project_dir: str = ""
    packages_dir: str = "dbt_packages"
    provider: str = "local"
    commits: Commits = Commits()
    destination: Destination = Destination()
    nodes: tuple[Node, ...] = ()
    left_out: tuple[Node, ...] = ()
    changes: tuple[PathChange, ...] = ()
    exposures: tuple[Exposure, ...] = ()
    total: int = 0
    compared: tuple[Counterpart, ...] = ()
    twins: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    status: str = ""
    warning: str = ""

    def node(self, unique_id: str) -> Node | None:
        """Return the node of that unique_id, None where the plan has none."""
        return self._by_id.get(unique_id)

    def find(self, name: str) -> tuple[Node, ...]:
        """Return the nodes of that name, item name or unique_id (a name can stand for several)."""
        return tuple(n for n in self.nodes if name in (n.unique_id, n.name, n.item))

    @property
    def items(self) -> tuple[Node, ...]:
        """Return the nodes that dbt reports a result for."""
        return tuple(n for n in self.nodes if n.is_item)

    def needed_by(self, unique_ids: Iterable[str]) -> frozenset[str]:
        """Return these nodes and every planned ancestor of theirs, tests left out unless asked for.

        A unit test brings its model along: dbt runs it only together with the model.
        """
        by_id, found, todo = self._by_id, set[str](), list(unique_ids)
        while todo:
            unique_id = todo.pop()
            if unique_id in found or unique_id not in by_id:
                continue
            found.add(unique_id)
            node = by_id[unique_id]
            todo.extend(node.parents)
            if node.resource_type == "unit_test" and node.about:
                todo.append(node.about)
        return frozenset(found)

    def blockers(self, unique_id: str) -> tuple[str, ...]:
        """Return the planned nodes whose failure makes dbt skip this one: parents, their tests, its unit tests."""
        node = self._by_id.get(unique_id)
        parents = tuple(p for p in node.parents if p in self._by_id) if node else ()
        if node is None or node.resource_type in ("test", "unit_test"):
            return parents
        return (*parents, *self._checks.get(unique_id, ()))

    def to_json(self) -> str:
        """Write the plan as JSON."""
        return json.dumps(encode(self), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read a plan that `to_json` wrote."""
        return decode(cls, json.loads(text))

    @cached_property
    def _by_id(self) -> Mapping[str, Node]:
        return {n.unique_id: n for n in self.nodes}

    @cached_property
    def _checks(self) -> Mapping[str, tuple[str, ...]]:
        """Map a node to what it waits for besides its parents: their data tests, its own unit tests."""
        found: dict[str, list[str]] = {}
        for node in self.nodes:
            if node.resource_type == "test":
                for parent in node.parents:
                    for child in self._children.get(parent, ()):
                        found.setdefault(child, []).append(node.unique_id)
            elif node.resource_type == "unit_test" and node.about:
                found.setdefault(node.about, []).append(node.unique_id)
        return {k: tuple(v) for k, v in found.items()}

    @cached_property
    def _children(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, list[str]] = {}
        for node in self.nodes:
            for parent in node.parents if node.resource_type not in ("test", "unit_test") else ():
                found.setdefault(parent, []).append(node.unique_id)
        return {k: tuple(v) for k, v in found.items()}
