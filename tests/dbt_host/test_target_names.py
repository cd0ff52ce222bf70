"""The names of another target, taken from one parse, are those that a parse for that target gives."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.dbt_client.protocol.tree_requests import Parse, Resolve
from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.manifest import Manifest, Place
from tests.support.tiny_project import PROFILES, PROJECT, write
from tests.support.validation import environment
from tests.support.warm_start import warm

pytestmark = pytest.mark.slow

BASE = {
    "dbt_project.yml": PROJECT,
    "profiles.yml": PROFILES,
    "models/one.sql": "select 1 as a\n",
    "models/two.sql": "{{ config(schema='marts', alias='zwei') }} select * from {{ ref('one') }}\n",
    "seeds/raw.csv": "a\n1\n",
    "snapshots/s.yml": "snapshots:\n  - {name: s, relation: ref('one'), config: {unique_key: a, strategy: check, "
    "check_cols: all}}\n",
}
SCHEMA_NAME = "{{% macro generate_schema_name(custom, node) %}}{}{{% endmacro %}}\n"

SOUND: dict[str, dict[str, str]] = {
    "plain": {},
    "schemas of folders": {"dbt_project.yml": PROJECT + "models: {tiny: {+schema: staging}}\nseeds: {+schema: raw}\n"},
    "no prefix in prod": {
        "macros/g.sql": SCHEMA_NAME.format(
            "{% if target.name == 'prod' %}{{ custom or target.schema }}"
            "{% else %}{{ target.schema }}{{ '_' ~ custom if custom }}{% endif %}"
        )
    },
    "names made of the node": {
        "macros/g.sql": SCHEMA_NAME.format("{{ target.name }}_{{ node.fqn[0] }}_{{ node.resource_type }}"),
        "macros/a.sql": "{% macro generate_alias_name(custom=none, node=none) %}{{ node.name }}_{{ target.name }}"
        "{{ '_v' ~ node.version if node.version }}{% endmacro %}\n",
    },
    "versions, ephemeral, disabled": {
        "models/v_v1.sql": "select 1 as a\n",
        "models/v_v2.sql": "select 1 as a\n",
        "models/e.sql": "{{ config(materialized='ephemeral') }} select 1 as a\n",
        "models/off.sql": "{{ config(enabled=false) }} select 1 as a\n",
        "models/v.yml": "models:\n  - {name: v, latest_version: 2, "
        "versions: [{v: 1}, {v: 2, config: {alias: v_now}}]}\n",
    },
    "quoting": {"dbt_project.yml": PROJECT + "quoting: {schema: false, identifier: false, database: false}\n"},
    "Jinja in a source": {
        "models/s.yml": 'sources:\n  - {name: s, schema: "{{ target.name }}", tables: [{name: t}]}\n'
    },
    "Jinja in other settings": {
        "models/hook.sql": "{{ config(schema='x', pre_hook=\"select '{{ target.name }}'\") }} select 1 as a\n",
        "models/mat.sql": "{{ config(materialized='table' if target.name == 'prod' else 'view') }} select 1 as a\n",
    },
}
UNSOUND: dict[str, dict[str, str]] = {
    "schema with Jinja in the project": {
        "dbt_project.yml": PROJECT + "models: {tiny: {+schema: \"{{ 'p' if target.name == 'prod' else 'c' }}\"}}\n"
    },
    "enabled by target in the project": {
        "dbt_project.yml": PROJECT + "models: {tiny: {two: {+enabled: \"{{ target.name != 'prod' }}\"}}}\n"
    },
    "schema by target in the model": {"models/x.sql": "{{ config(schema=target.name) }} select 1 as a\n"},
    "alias by an expression": {"models/x.sql": "{{ config(alias='x_' ~ target.name) }} select 1 as a\n"},
    "config in an if": {
        "models/x.sql": "{% if target.name == 'prod' %}{{ config(schema='p') }}{% endif %} select 1 as a\n"
    },
    "config from a dictionary": {"models/x.sql": "{{ config(**dict(schema=target.name)) }} select 1 as a\n"},
    "schema with Jinja in properties": {
        "models/x.yml": 'models:\n  - {name: one, config: {schema: "{{ target.name }}"}}\n'
    },
    "snapshot with a schema of its own": {
        "snapshots/t.sql": "{% snapshot t %}{{ config(target_schema='snaps', unique_key='a', strategy='check', "
        "check_cols='all') }} select * from {{ ref('one') }}{% endsnapshot %}\n"
    },
    "a macro that asks the node": {
        "macros/g.sql": SCHEMA_NAME.format("{{ target.schema }}{{ '_eph' if node.is_ephemeral }}")
    },
}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Host]:
    folder = tmp_path_factory.mktemp("host")
    with Host(folder, warm(environment()), folder / "dbt.log") as host:
        yield host


def names_of(view: Manifest) -> dict[str, Place]:
    return {
        unique_id: node.place
        for unique_id, node in view.nodes.items()
        if node.resource_type in ("model", "seed", "snapshot") and node.relation
    }


def resolved(host: Host, project: Path) -> tuple[Manifest | None, Manifest, Path]:
    """Parse for ci and take prod's names from it; give them, what a parse for prod gives, and the folder."""

    def invocation(target: str) -> Invocation:
        return Invocation(
            project_dir=str(project),
            profiles_dir=str(project),
            target_path=str(project.parent / target),
            log_path=str(project.parent / "logs"),
            target=target,
        )

    into = project.parent / "resolved"
    into.mkdir()
    view = str(project.parent / "ci" / "view.json")
    (project.parent / "ci").mkdir()
    host.ask(Parse(tree="ci", invocation=invocation("ci"), view=view, write=True))
    parsed = str(project.parent / "ci")
    found = host.ask(Resolve(tree="ci", invocation=invocation("prod"), parsed=parsed, into=str(into)))
    return found, host.ask(Parse(tree="prod", invocation=invocation("prod"), write=True)), into


@pytest.mark.parametrize("case", SOUND)
def test_names_are_those_of_a_parse_for_the_target(case: str, host: Host, tmp_path: Path) -> None:
    write(tmp_path / "project", {**BASE, **SOUND[case]})
    found, parsed, into = resolved(host, tmp_path / "project")
    assert found is not None
    assert names_of(found) == names_of(parsed)
    written = json.loads((into / "manifest.json").read_text())["nodes"]
    assert {u: n["relation_name"] for u, n in written.items()} == {
        u: place.relation for u, place in names_of(parsed).items()
    }


@pytest.mark.parametrize("case", UNSOUND)
def test_leaves_it_to_a_whole_parse_where_a_name_can_depend_otherwise(case: str, host: Host, tmp_path: Path) -> None:
    write(tmp_path / "project", {**BASE, **UNSOUND[case]})
    found, _, _ = resolved(host, tmp_path / "project")
    assert found is None
