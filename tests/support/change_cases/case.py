"""One change of the changing project, and what has to become of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

from tests.support.repositories import Files

STAGING = "dbt/models/staging/staging.yml"
MARTS = "dbt/models/marts/marts.yml"
PROJECT = "dbt/dbt_project.yml"
OWN = "dbt/macros/own.sql"

DBT = tuple(map(int, version("dbt-core").split(".")[:2]))
"""The version of dbt that these tests run with."""

COMPARES_AS_WRITTEN = DBT >= (1, 12)
"""Whether dbt compares a configuration that is written in SQL before it is rendered, as it does since 1.12."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One change.

    `swaps` replace a text in a file (path, old, new), `files` write or delete files. `roots` are the items that
    must be in the plan by themselves, with the reason's text; `everything` tells that all nodes are, for this
    reason. `effects` give what becomes of the paths; a path that is not named must be `selected`.
    """

    name: str
    swaps: tuple[tuple[str, str, str], ...] = ()
    files: Files = field(default_factory=dict)
    roots: Mapping[str, str] = field(default_factory=dict)
    everything: str = ""
    effects: Mapping[str, str] = field(default_factory=dict)


def swap(name: str, path: str, old: str, new: str, roots: Mapping[str, str], effect: str = "") -> Case:
    return Case(name=name, swaps=((path, old, new),), roots=roots, effects={path: effect} if effect else {})


def same(*names: str) -> str:
    return f"none: what is built of {', '.join(names)} is the same"
