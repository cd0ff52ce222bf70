"""A node's fingerprint is another one whenever what it is built from may be another, and the same where it is not."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from pytest_dbtci.planning.fingerprints import fingerprints
from pytest_dbtci.planning.planned import Planned
from pytest_dbtci.settings import Settings
from tests.support.planning_bench import Bench, bench
from tests.support.repositories import Files

pytestmark = pytest.mark.slow

LARGE = "id\n" + "1234567\n" * 140_000
YAML = """\
models:
- {{name: plain, description: {0}, columns: [{{name: a, data_tests: [not_null]}}]}}
- {{name: tells, description: {0}}}
"""
FILES: Files = {
    ".gitignore": "target/\nlogs/\n*.duckdb*\n.user.yml\n",
    "dbt/dbt_project.yml": "name: shop\nprofile: shop\nvars: {size: 1}\n",
    "dbt/profiles.yml": "shop: {target: ci, outputs: {ci: {type: duckdb, path: s.duckdb, schema: dev}}}\n",
    "dbt/macros/late.sql": "{% macro late() %}1{% endmacro %}",
    "dbt/macros/near.sql": "{% macro near() %}{{ far() }}{% endmacro %}",
    "dbt/macros/far.sql": "{% macro far() %}1{% endmacro %}",
    "dbt/macros/by_name.sql": "{% macro by_name() %}1{% endmacro %}",
    "dbt/macros/unused.sql": "{% macro unused() %}1{% endmacro %}",
    "dbt/models/plain.sql": "select 1 as a",
    "dbt/models/calls.sql": "select {{ near() }} as a",
    "dbt/models/executes.sql": "select {% if execute %}{{ late() }}{% else %}0{% endif %} as a",
    "dbt/models/environs.sql": "select {% if execute %}{{ env_var('LATE', '0') }}{% endif %} as a",
    "dbt/models/anything.sql": "select {% if execute %}{{ env_var('LA' ~ 'TE', '0') }}{% endif %} as a",
    "dbt/models/computes.sql": "select {{ context[['by', 'name'] | join('_')]() }} as a",
    "dbt/models/hooked.sql": "{{ config(post_hook='select {{ late() }}') }} select 1 as a",
    "dbt/models/tells.sql": "select '{{ model.description }}' as a",
    "dbt/models/reads.sql": "select * from {{ ref('plain') }}",
    "dbt/models/seeded.sql": "select * from {{ ref('large') }}",
    "dbt/models/looks.sql": "select {{ graph.nodes | length }} as a",
    "dbt/models/files.sql": "select * from 'data/x.csv'",
    "dbt/models/after.sql": "select * from {{ ref('looks') }}",
    "dbt/seeds/large.csv": LARGE,
    "dbt/models/models.yml": YAML.format("first"),
}
NO_FLAGS = {
    "DBT_ENV_SECRET_TOKEN": "s3cr3t",
    "DBT_PASSWORD": "guess",
    "DBT_ENV_CUSTOM_ENV_BUILD": "77",
    "DBT_PROFILES_DIR": "/agent/77",
    "DBT_ENGINE_LOG_PATH": "/agent/77/logs",
}
EVERY = {
    *("plain", "tells", "calls", "executes", "environs", "computes", "hooked", "reads", "seeded", "large"),
    "not_null_plain_a",
}
ALL: dict[str, Any] = {"select": "*"}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("shop"), FILES, "dbt") as made:
        yield made


@pytest.fixture(scope="module")
def before(shop: Bench) -> Mapping[str, str]:
    return found(shop, {"README.md": "x\n"})


def found(shop: Bench, edits: Files, **settings: Any) -> Mapping[str, str]:
    place = shop.clone(edits)
    planned = shop.plan(place, **ALL, **settings)
    project = place / "dbt"
    environ = {**shop.environ, **settings.pop("environ", {})}
    given = Settings(rootdir=project, invocation_dir=project, pr="1", target="ci", environ=environ, **settings)
    prints = fingerprints(Planned(plan=planned.plan, head=planned.head), given)
    return {u.split(".")[2]: digest for u, digest in prints.items()}


def test_depends_on_no_place_and_no_commit(shop: Bench, before: Mapping[str, str]) -> None:
    assert before.keys() == EVERY, "what depends on more has none"
    assert found(shop, {"README.md": "y\n"}) == before


@pytest.mark.parametrize(
    ("edits", "others"),
    [
        ({"dbt/models/plain.sql": "select 2 as a"}, {"plain", "reads", "not_null_plain_a"}),
        ({"dbt/macros/far.sql": "{% macro far() %}2{% endmacro %}"}, {"calls", "computes"}),
        ({"dbt/macros/late.sql": "{% macro late() %}2{% endmacro %}"}, {"executes", "hooked", "computes"}),
        ({"dbt/macros/by_name.sql": "{% macro by_name() %}2{% endmacro %}"}, {"computes"}),
        ({"dbt/macros/unused.sql": "{% macro unused() %}2{% endmacro %}"}, {"computes"}),
        ({"dbt/models/models.yml": YAML.format("second")}, {"tells"}),
        ({"dbt/seeds/large.csv": LARGE.replace("7", "8", 1)}, {"large", "seeded"}),
        ({"dbt/dbt_project.yml": "name: shop\nprofile: shop\nvars: {size: 2}\n"}, EVERY),
        ({"dbt/macros/ref.sql": "{% macro ref(name) %}{{ return(builtins.ref(name)) }}{% endmacro %}"}, EVERY),
    ],
    ids=[
        "text",
        "macro",
        "at execution",
        "computed name",
        "uncalled",
        "description",
        "large seed",
        "variable",
        "override",
    ],
)
def test_is_another_one_where_what_it_is_built_from_is(
    shop: Bench, before: Mapping[str, str], edits: Files, others: set[str]
) -> None:
    after = found(shop, edits)
    assert {name for name in EVERY if after.get(name) != before[name]} == others


@pytest.mark.parametrize("settings", [{"vars": "{size: 3}"}, {"full_refresh": True}], ids=["variable", "full refresh"])
def test_is_another_one_under_other_settings(shop: Bench, before: Mapping[str, str], settings: dict[str, Any]) -> None:
    after = found(shop, {"README.md": "x\n"}, **settings)
    assert all(after[name] != before[name] for name in EVERY)


def test_holds_no_secret_no_folder_and_no_number_of_a_build(
    shop: Bench, before: Mapping[str, str], tmp_path: Path
) -> None:
    plan = shop.plan(shop.clone({"README.md": "x\n"}), **ALL)
    planned = Planned(plan=plan.plan, head=plan.head)
    given = [
        Settings(rootdir=tmp_path, invocation_dir=tmp_path, environ={**shop.environ, **extra})
        for extra in (
            {},
            NO_FLAGS,
            {"DBT_FULL_REFRESH": "1"},
            {"LATE": "1"},
            {"LATE": "guess", "DBT_PASSWORD": "guess"},
        )
    ]
    plain, told, refreshed, late, secret = (fingerprints(planned, settings) for settings in given)
    assert plain == told
    assert not plain.items() & refreshed.items()
    assert {u.split(".")[2] for u in plain if plain[u] != late[u]} == {"environs"}
    assert {u.split(".")[2] for u in plain.keys() - secret.keys()} == {"environs"}
