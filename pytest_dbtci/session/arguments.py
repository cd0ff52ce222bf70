"""The paths on pytest's command line: without any, all planned files are collected; else some are named in vain."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from pytest_dbtci.plan import Node
from pytest_dbtci.planning.planned import Planned
from pytest_dbtci.session.participant import Participant


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """What pytest's arguments and settings leave out of the plan.

    `ignored` are planned nodes under paths that pytest ignores. `unselected` maps a file that is named to the names
    in it that the plan has not, each with the reason. `added` are planned files that pytest would not come by.
    """

    added: tuple[str, ...] = ()
    ignored: tuple[Node, ...] = ()
    unselected: Mapping[str, dict[str, str]] = field(default_factory=dict)


def take_arguments(config: pytest.Config, participant: Participant, planned: Planned) -> Arguments:
    """Add every planned file to pytest's arguments unless paths are given; return what stays out."""
    files, status_path = participant.files, participant.status_path
    given = [(_absolute(config, path), name) for path, _, name in (a.partition("::") for a in config.args)]
    if config.args_source is not pytest.Config.ArgsSource.ARGS:
        here = files or (status_path,)
        apart = [f for f in here if not any(f.is_relative_to(root) for root, _ in given)]
        added = tuple(str(f) for f in apart if not participant.ignored(f))
        config.args += added
        ignored = tuple(n for f in here if participant.ignored(f) for n in files.get(f, ()))
        return Arguments(added=added, ignored=ignored)
    paths = {path for path, _ in given}
    folders = [path for path in paths if not participant.ignored(path)]
    below = [f for f in files if f not in paths and any(folder in f.parents for folder in folders)]
    unselected: dict[str, dict[str, str]] = {}
    for path, name in given:
        if path != status_path and path.is_file():
            file = Path(os.path.relpath(path, participant.project_dir)).as_posix()
            vain = _named_in_vain(planned, {n.item for n in files.get(path, ())}, file, name)
            if vain:
                unselected.setdefault(str(path), {}).update(vain)
    ignored = tuple(n for f in below if participant.ignored(f) for n in files[f])
    return Arguments(ignored=ignored, unselected=unselected)


def _named_in_vain(planned: Planned, items: set[str], file: str, name: str) -> dict[str, str]:
    """Return the names in a file that the plan has not: the one that is asked for, or all where it has none."""
    status = planned.plan.status
    known = planned.names_in(file)
    if not known and status and Path(file).suffix in (".sql", ".csv", ".yml", ".yaml"):
        known = (name or "dbt_ci",)
    why = status or "dbt knows it, but this pull request does not select it"
    return {n: why for n in known if n not in items and (n == name if name else not items)}


def _absolute(config: pytest.Config, path: str) -> Path:
    return Path(os.path.abspath(config.invocation_params.dir / path))  # noqa: PTH100 - pytest follows no link
