"""A small project, and the changes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.support.repositories import Files

SKELETON: Files = {
    ".gitignore": "target/\nlogs/\ndbt_packages/\n*.duckdb*\n.user.yml\n",
    "dbt_project.yml": "name: depot\nprofile: depot\nflags: {send_anonymous_usage_stats: false}\n",
    "profiles.yml": "depot:\n  target: ci\n  outputs:\n    ci: {type: duckdb, path: depot.duckdb, schema: dev}\n",
    "models/a.sql": "select 1 as id\n",
    "models/b.sql": "select 2 as id\n",
    "models/c.sql": "select id from {{ ref('a') }}\n",
}


@dataclass(frozen=True, kw_only=True)
class Change:
    """One change of a small project.

    `roots` are the items that are in the plan by themselves, with the reason's text, `downstream` the reasons of
    others that are to be looked at; `effects` what becomes of the paths that are not just `selected`; `notes` all
    that is noted.
    """

    name: str
    files: Files
    roots: Mapping[str, str] = field(default_factory=dict)
    downstream: Mapping[str, str] = field(default_factory=dict)
    effects: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Small:
    """A small project and its changes."""

    name: str
    files: Files
    changes: tuple[Change, ...]
