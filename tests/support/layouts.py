"""Layouts of repositories: where dbt reads what it reads, and a change there."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.support.planning_bench import Bench
from tests.support.repositories import Files, commit, git, repository

PROFILES = "depot: {target: ci, outputs: {ci: {type: duckdb, path: d.duckdb, schema: dev}}}\n"
PROJECT = "name: depot\nprofile: depot\n"
TWICE = "{% macro twice(c) %}({{ c }} * 2){% endmacro %}\n"
IGNORED = "target/\nlogs/\n*.duckdb*\ndbt_packages/\npackage-lock.yml\n.user.yml\ninstalled/\n"
PROFILE_CHANGED = "profile (what dbt connects with) changed"
LARGE = "id\n" + "1234567\n" * 140_000
BASE: Files = {
    ".gitignore": IGNORED,
    "README.md": "# Depot\n",
    "dbt/dbt_project.yml": PROJECT,
    "dbt/profiles.yml": PROFILES,
    "dbt/models/load.sql": "select {{ twice('2') }} as n\n",
    "dbt/models/after.sql": "select n from {{ ref('load') }}\n",
    "dbt/models/other.sql": "select 1 as n\n",
}
KIT: Files = {
    "kit/dbt_project.yml": "name: kit\n",
    "kit/macros/twice.sql": TWICE,
    "kit/models/days.sql": "select 1 as day\n",
    "kit/README.md": "# Kit\n",
    "dbt/models/load.sql": "select {{ kit.twice('2') }} as n\n",
}
PLAIN_KIT = {path.removeprefix("kit/"): text for path, text in KIT.items() if path.startswith("kit/")}
AT_ROOT: Files = {
    **PLAIN_KIT,
    ".gitignore": IGNORED,
    "t/dbt_project.yml": PROJECT,
    "t/profiles.yml": PROFILES,
    "t/packages.yml": "packages:\n  - local: ../\n",
    "t/models/load.sql": "select {{ kit.twice('2') }} as n\n",
    "t/models/other.sql": "select 1 as n\n",
}


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A repository and a change in it.

    `links` are symbolic links that git knows, to their texts, `installed` those that git does not. `edits` are the
    change, `relinked` links with another text. `roots` are the nodes that must be planned by themselves, each with its
    reason's text; `effects` what becomes of the paths, `selected` for those not named.
    """

    name: str
    files: Files
    edits: Files = field(default_factory=dict)
    roots: Mapping[str, str] = field(default_factory=dict)
    effects: Mapping[str, str] = field(default_factory=dict)
    links: Mapping[str, str] = field(default_factory=dict)
    relinked: Mapping[str, str] = field(default_factory=dict)
    installed: Mapping[str, str] = field(default_factory=dict)
    copied: bool = False
    inside: str = "dbt"


def _at_root(name: str, edits: Files, roots: Mapping[str, str], effects: Mapping[str, str] | None = None) -> Layout:
    return Layout(
        name=f"package at the root: {name}",
        files=AT_ROOT,
        inside="t",
        installed={"t/dbt_packages/kit": "../.."},
        edits=edits,
        roots=roots,
        effects=effects or {},
    )


THRICE = TWICE.replace("2", "3")
LOAD = {"load": "modified: macro twice"}
OUTSIDE = {**BASE, "dbt/dbt_project.yml": f"{PROJECT}macro-paths: [macros, ../common]\n", "common/twice.sql": TWICE}
SHARED = {**BASE, "dbt/macros/twice.sql": TWICE, "shared/deep/day.sql": "select 1 as day\n"}
JINJA = (
    f"{PROJECT}packages-install-path: \"{{{{ env_var('INSTALL', 'installed') }}}}\"\n"
    "model-paths: [\"{{ env_var('MODELS', 'models') }}\"]\n"
)
IN_KIT: Files = {**BASE, **KIT, "dbt/packages.yml": "packages:\n  - local: ../kit\n"}
LINKED_KIT = {"dbt/dbt_packages/kit": "../../kit"}

LAYOUTS = (
    _at_root("macro", {"macros/twice.sql": THRICE}, LOAD),
    _at_root("model", {"models/days.sql": "select 2 as day\n"}, {"days": "modified: body"}),
    _at_root(
        "its settings",
        {"dbt_project.yml": "name: kit\nmodels: {kit: {+materialized: table}}\n"},
        {"days": "modified: config"},
    ),
    _at_root(
        "macro that nothing calls, and a comment where packages are named",
        {
            "macros/idle.sql": THRICE.replace("twice", "idle"),
            "models/days.sql": "{{ config(materialized='table') }}\nselect 1 as day\n",
            "t/packages.yml": "# x\npackages:\n  - local: ../\n",
        },
        {"days": "modified: body, config"},
        {
            "macros/idle.sql": "none: nothing calls macro idle",
            "t/packages.yml": "none: but for kit, by its own files, the installed packages give the same nodes and "
            "macros",
        },
    ),
    Layout(name="macros outside", files=OUTSIDE, edits={"common/twice.sql": THRICE}, roots=LOAD),
    Layout(
        name="models outside",
        files={
            **BASE,
            "dbt/macros/twice.sql": TWICE,
            "dbt/dbt_project.yml": f"{PROJECT}model-paths: [models, ../more]\n",
            "more/day.sql": "select 1 as day\n",
        },
        edits={"more/day.sql": "select 2 as day\n"},
        roots={"day": "modified: body"},
    ),
    Layout(
        name="a large seed outside",
        files={
            **BASE,
            "dbt/macros/twice.sql": TWICE,
            "dbt/dbt_project.yml": f"{PROJECT}seed-paths: [../data]\n",
            "data/steps.csv": LARGE,
        },
        edits={"data/steps.csv": f"{LARGE}7\n"},
        roots={"steps": "affected: content"},
    ),
    Layout(
        name="a large seed behind a link",
        files={**BASE, "dbt/macros/twice.sql": TWICE, "data/steps.csv": LARGE},
        links={"dbt/seeds/steps.csv": "../../data/steps.csv"},
        edits={"data/steps.csv": f"{LARGE}7\n"},
        roots={"steps": "affected: content"},
    ),
    Layout(
        name="a model behind a link",
        files=SHARED,
        links={"dbt/models/day.sql": "../../shared/deep/day.sql"},
        edits={"shared/deep/day.sql": "select 2 as day\n"},
        roots={"day": "modified: body"},
    ),
    Layout(
        name="a model behind two links",
        files=SHARED,
        links={"dbt/models/day.sql": "../../way/deep/day.sql", "way": "shared"},
        edits={"shared/deep/day.sql": "select 2 as day\n"},
        roots={"day": "modified: body"},
    ),
    Layout(
        name="a link on the way leads elsewhere",
        files={**SHARED, "new/deep/day.sql": "select 2 as day\n"},
        links={"dbt/models/day.sql": "../../way/deep/day.sql", "way": "shared"},
        relinked={"way": "new"},
        roots={"day": "modified: body"},
    ),
    Layout(
        name="the models' folder is a link",
        files={**SHARED, "dbt/dbt_project.yml": f"{PROJECT}model-paths: [models, shared]\n"},
        links={"dbt/shared": "../shared"},
        edits={"shared/deep/day.sql": "select 2 as day\n"},
        roots={"day": "modified: body"},
    ),
    Layout(
        name="a link is taken away",
        files={**SHARED, "dbt/dbt_project.yml": f"{PROJECT}model-paths: [models, shared]\n"},
        links={"dbt/shared": "../shared"},
        edits={"dbt/shared": None},
        effects={"dbt/shared": "removed: removed: day"},
    ),
    Layout(
        name="the settings are a link",
        files={
            **{path: text for path, text in BASE.items() if path != "dbt/dbt_project.yml"},
            "dbt/macros/twice.sql": "{% macro twice(c) %}({{ c }} * {{ var('factor') }}){% endmacro %}\n",
            "settings/depot.yml": f"{PROJECT}vars: {{factor: 2}}\n",
        },
        links={"dbt/dbt_project.yml": "../settings/depot.yml"},
        edits={"settings/depot.yml": f"{PROJECT}vars: {{factor: 3}}\n"},
        roots={"load": "affected: variable factor, by macro twice"},
    ),
    Layout(
        name="the profile is a link that leads elsewhere",
        files={**BASE, "dbt/macros/twice.sql": TWICE, "one.yml": PROFILES, "two.yml": PROFILES},
        links={"dbt/profiles.yml": "../one.yml"},
        relinked={"dbt/profiles.yml": "../two.yml"},
        roots=dict.fromkeys(("load", "after", "other"), f"can be affected: {PROFILE_CHANGED}"),
        effects={"dbt/profiles.yml": f"everything: {PROFILE_CHANGED}"},
    ),
    Layout(
        name="a local package", files=IN_KIT, installed=LINKED_KIT, edits={"kit/macros/twice.sql": THRICE}, roots=LOAD
    ),
    Layout(
        name="a local package that is installed as a copy",
        files=IN_KIT,
        installed=LINKED_KIT,
        copied=True,
        edits={"kit/macros/twice.sql": THRICE, "kit/tests/test_kit.py": "import kit\n"},
        roots=LOAD,
        effects={"kit/tests/test_kit.py": "none: dbt builds nothing from it"},
    ),
    Layout(
        name="folders and packages named with Jinja",
        files={
            **IN_KIT,
            "dbt/dbt_project.yml": JINJA,
            "dbt/packages.yml": "packages:\n  - local: \"{{ env_var('KIT', '../kit') }}\"\n",
        },
        installed={"dbt/installed/kit": "../../kit"},
        edits={"kit/macros/twice.sql": THRICE, "README.md": "# The depot\n"},
        roots=LOAD,
        effects={"README.md": "none: outside the dbt project"},
    ),
    Layout(
        name="folders and packages named with Jinja, the package a copy",
        files={
            **IN_KIT,
            "dbt/dbt_project.yml": JINJA,
            "dbt/packages.yml": "packages:\n  - local: \"{{ env_var('KIT', '../kit') }}\"\n",
        },
        installed={"dbt/installed/kit": "../../kit"},
        copied=True,
        edits={"kit/models/days.sql": "select 2 as day\n"},
        roots={"days": "modified: body"},
    ),
    Layout(
        name="the packages' folder is another",
        files=IN_KIT,
        installed={**LINKED_KIT, "dbt/installed/kit": "../../kit"},
        edits={"dbt/dbt_project.yml": f"{PROJECT}packages-install-path: installed\n"},
        effects={"dbt/dbt_project.yml": "none: packages-install-path changed, and no node that is built differs"},
    ),
)


def layout_bench(made: Bench, folder: Path, layout: Layout) -> Bench:
    """Return a bench with the layout's repository in `folder`."""
    origin = repository(folder / "origin", layout.files)
    _link(origin, layout.links)
    commit(origin, {})
    return replace(made, folder=folder, origin=origin, inside=layout.inside)


def changed_clone(folder: Path, layout: Layout) -> Path:
    """Return a clone of that repository in which the layout's change is committed."""
    place = folder / "clone"
    git(folder, "clone", "-q", str(folder / "origin"), str(place))
    git(place, "checkout", "-q", "-b", "change")
    _link(place, layout.relinked)
    commit(place, layout.edits)
    for name, target in layout.installed.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        if layout.copied:
            shutil.copytree((place / name).parent / target, place / name)
        else:
            (place / name).symlink_to(target, target_is_directory=True)
    return place


def _link(place: Path, links: Mapping[str, str]) -> None:
    for name, target in links.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        (place / name).unlink(missing_ok=True)
        (place / name).symlink_to(target)
