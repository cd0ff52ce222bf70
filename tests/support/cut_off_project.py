"""A project in which almost everything reads one model, and edits of it: refactorings, real changes, and traps.

Many of them can be joined in one, so that a run of it proves as much as a run of each.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence

from tests.support.random_edits import formatted
from tests.support.warehouses.dbt_project import PROFILE

Project = dict[str, str | None]

STAYS = "select s.id, s.dog, cast(s.price as decimal(9,2)) as price from {{ source('raw', 'stays') }} s"
_TABLE = "{{ config(materialized='table') }}\n"
_READS = "from {{ ref('stays') }}"

FILES: Project = {
    "dbt_project.yml": f"name: hotel\nprofile: {PROFILE}\nvars: {{added: 1}}\n"
    "flags: {send_anonymous_usage_stats: false}\n",
    ".gitignore": "target/\nlogs/\n.pytest_cache/\n.user.yml\nprofiles.yml\n",
    "pytest.ini": "[pytest]\n",
    "macros/cents.sql": "{% macro cents(column) %}cast(100 * {{ column }} as integer){% endmacro %}\n",
    "seeds/breeds.csv": "dog,breed\ndog 1,collie\ndog 2,poodle\nDog 2,boxer\n",
    "models/models.yml": """\
sources:
- name: raw
  schema: raw
  tables: [{name: stays}]
- name: book
  schema: raw
  tables: [{name: visits}]
models:
- name: stays
  columns: [{name: id, data_tests: [not_null]}]
- name: dogs
  columns: [{name: dog, data_tests: [not_null, {relationships: {arguments: {to: ref('stays'), field: dog}}}]}]
- name: narrow
  columns: [{name: dog, data_tests: [unique]}]
unit_tests:
- name: counts_stays
  model: dogs
  given:
  - input: ref('stays')
    rows: [{id: 1, dog: a, price: 2}, {id: 2, dog: a, price: 3}]
  expect: {rows: [{dog: a, stays: 2}]}
""",
    "models/stays.sql": _TABLE + STAYS + "\n",
    "models/meals.sql": "select id, id * 2 as meals from {{ source('raw', 'stays') }}\n",
    "models/dogs.sql": f"{_TABLE}select dog, count(*) as stays, sum(price) as paid {_READS} group by dog\n",
    "models/every.sql": f"select * {_READS}\n",
    "models/narrow.sql": "select distinct dog from {{ ref('every') }}\n",
    "models/whole.sql": f"{_TABLE}select distinct * {_READS}\n",
    "models/counted.sql": "select count(*) as n from {{ ref('whole') }}\n",
    "models/united.sql": f"select dog {_READS} union select dog from {{{{ ref('breeds') }}}}\n",
    "models/least.sql": f"{_TABLE}select min(dog) as dog, count(distinct dog) as dogs {_READS}\n",
    "models/some.sql": f"{_TABLE}select * {_READS} limit 5\n",
    "models/ordinal.sql": f"{_TABLE}select * {_READS} order by 2, 1 limit 5\n",
    "models/numbered.sql": f"{_TABLE}select id, row_number() over (order by dog) as n {_READS}\n",
    "models/inner_one.sql": "{{ config(materialized='ephemeral') }}\nselect dog, paid from {{ ref('dogs') }}\n",
    "models/rich.sql": "select dog from {{ ref('inner_one') }} where paid > 300\n",
    "models/fed.sql": f"select s.id, m.meals {_READS} s join {{{{ ref('meals') }}}} m on m.id = s.id\n",
    "models/coined.sql": f"select id, {{{{ cents('price') }}}} as cents {_READS}\n",
    "models/shifted.sql": f"select id + {{{{ var('added') }}}} as id {_READS}\n",
    "models/visited.sql": f"select s.id {_READS} s join {{{{ source('book', 'visits') }}}} v on v.id = s.id\n",
    "models/bred.sql": f"select s.id, b.breed {_READS} s join {{{{ ref('breeds') }}}} b on b.dog = s.dog\n",
    "models/grown.sql": "{{ config(materialized='incremental', unique_key='id') }}\n"
    f"select id, dog {_READS}\n"
    "{% if is_incremental() %} where id > (select max(id) from {{ this }}) {% endif %}\n",
    "models/old.sql": f"{_TABLE}select count(*) as n from {{{{ ref('grown') }}}}\n",
    "models/hooked.sql": "{{ config(materialized='table', post_hook='delete from {{ this }} where id > 90') }}\n"
    f"select id {_READS}\n",
    "models/after.sql": "select count(*) as n from {{ ref('hooked') }}\n",
    "snapshots/aged.sql": "{% snapshot aged %}\n{{ config(strategy='check', unique_key='dog', check_cols='all') }}\n"
    "select dog, paid from {{ ref('dogs') }}\n{% endsnapshot %}\n",
    "models/latest.sql": f"{_TABLE}select dog, paid from {{{{ ref('aged') }}}} where dbt_valid_to is null\n",
    "models/stacked.sql": f"select * {_READS} union all select 0, 'none', 0\n",
    "models/grouped.sql": f"{_TABLE}select e.*, count(*) as n from {{{{ ref('every') }}}} e group by 1, 2, 3\n",
    "models/asked.sql": "{% set found = run_query('select 7') %}\n" + f"select id, 7 as seven {_READS}\n",
    "tests/no_dear_dog.sql": "select * from {{ ref('rich') }} where dog = 'dog 9'\n",
    "tests/few_dear_dogs.sql": "{{ config(severity='warn') }}\n"
    "select dog from {{ ref('dogs') }} where paid > 500 order by paid limit 2\n",
}
"""The project; one of its tests warns in the base, so that its result can differ."""

SOURCE = (
    "create table raw.stays (id integer, dog varchar(20), price decimal(9,2))",
    "create table raw.visits (id integer)",
    "create table raw.others (id integer)",
    "insert into raw.visits values (1), (2), (3)",
    "insert into raw.others values (1), (2), (4)",
)


def edit(rng: random.Random, project: Project, kind: str) -> str:
    """Make one edit, half of the time of the model that all read; give its name."""
    chosen = rng.choices(_EDITS, weights=[weight for _, weight in _EDITS])[0][0]
    chosen(rng, project, kind)
    return chosen.__name__.strip("_")


def _model(rng: random.Random, project: Project) -> str:
    names = ["stays"] * 8 + ["meals", "dogs", "every", "whole", "grown", "rich", "inner_one", "hooked"]
    return rng.choice([path for path in (f"models/{name}.sql" for name in names) if path in project])


def _wrapped(rng: random.Random, project: Project, around: str) -> None:
    """Put a query around the whole of one, behind its configuration."""
    path = _model(rng, project)
    text = project[path] or ""
    config, end, query = text.partition("\n") if text.startswith("{{ config") else ("", "", text)
    if text and "{%" not in text:
        project[path] = f"{config}{end}{around.format(query.strip())}\n"


def _refactored(rng: random.Random, project: Project, kind: str) -> None:
    around = ["with w as ({}) select * from w", "select * from ({}) as w where 1 = 1", "select w.* from ({}) as w"]
    around += ["select * from ({0}) as w union all select * from ({0}) as v where 1 = 0"]
    _wrapped(rng, project, rng.choice(around))


def _ordered(rng: random.Random, project: Project, kind: str) -> None:
    _wrapped(rng, project, f"select * from ({{}}) as w order by 1 {rng.choice(['asc', 'desc'])}")


def _cut(rng: random.Random, project: Project, kind: str) -> None:
    _wrapped(rng, project, f"select * from ({{}}) as w order by 1 limit {rng.choice([3, 1000])}")


def _widened(rng: random.Random, project: Project, kind: str) -> None:
    _wrapped(
        rng, project, f"select w.*, {rng.choice(['1', 'row_number() over (order by 1)'])} as extra from ({{}}) as w"
    )


def _distinct(rng: random.Random, project: Project, kind: str) -> None:
    _wrapped(rng, project, "select distinct * from ({}) as w")


def _doubled(rng: random.Random, project: Project, kind: str) -> None:
    _wrapped(rng, project, "select * from ({0}) as w union all select * from ({0}) as v")


_OF_STAYS = (
    ("select s.id, s.dog,", "select s.dog, s.id,"),
    ("s.id, s.dog", "cast(s.id as bigint) as id, s.dog"),
    ("s.dog,", "cast(s.dog as varchar(30)) as dog,"),
    ("s.dog,", "s.dog collate {} as dog,"),
    ("s.dog,", "upper(s.dog) as dog,"),
    ("s.dog,", "replace(s.dog, 'no', 'yes') as dog,"),
    ("s.price as", "s.price + 0 as"),
    ("s.price as", "s.price + 0.01 as"),
    ("s.price as", "s.price + case when s.id = 7 then 5 else 0 end as"),
    ("decimal(9,2)", "decimal(10,2)"),
    ("decimal(9,2)", "float"),
    ("{{ config(materialized='table') }}", "{{ config(materialized='view') }}"),
    ("{{ config(materialized='table') }}", "{{ config(materialized='table', post_hook='select 1') }}"),
)


def _stays(rng: random.Random, project: Project, kind: str) -> None:
    old, new = rng.choice(_OF_STAYS)
    while "collate" in new and kind == "duckdb" and rng.random() < 0.9:
        old, new = rng.choice(_OF_STAYS)  # one collation keeps all of the database from being compared
    new = new.format("nocase" if kind == "duckdb" else '"C"') if "collate" in new else new
    project["models/stays.sql"] = (project["models/stays.sql"] or "").replace(old, new, 1)


_OTHERS = (
    ("macros/cents.sql", "100 *", "1 * 100 *"),
    ("macros/cents.sql", "100 *", "101 *"),
    ("dbt_project.yml", "added: 1", "added: 2"),
    ("seeds/breeds.csv", "dog 2,poodle\nDog 2,boxer\n", "Dog 2,boxer\ndog 2,poodle\n"),
    ("seeds/breeds.csv", "boxer", "pug"),
    ("models/models.yml", "tables: [{name: visits}]", "tables: [{name: visits, identifier: others}]"),
    ("models/models.yml", "name: book\n  schema: raw\n", "name: book\n  schema: raw\n  description: Who came.\n"),
    ("models/meals.sql", "id * 2", "id + id"),
    ("models/meals.sql", "id * 2", "id * 3"),
    ("models/rich.sql", "300", "200 + 100"),
    ("models/grown.sql", "select id, dog", "select id, lower(dog) as dog"),
    ("models/dogs.sql", "sum(price)", "sum(price * 1)"),
    ("tests/few_dear_dogs.sql", "500", "50"),
)


def _other(rng: random.Random, project: Project, kind: str) -> None:
    path, old, new = rng.choice([change for change in _OTHERS if change[0] in project])
    project[path] = (project[path] or "").replace(old, new, 1)


def _formatted(rng: random.Random, project: Project, kind: str) -> None:
    path = _model(rng, project)
    project[path] = formatted(rng, project[path] or "")


_EDITS: tuple[tuple[Callable[[random.Random, Project, str], None], int], ...] = (
    *((_refactored, 6), (_ordered, 2), (_cut, 2), (_widened, 2), (_distinct, 2), (_doubled, 1)),
    *((_stays, 6), (_other, 4), (_formatted, 6)),
)

_SHARED = ("dbt_project.yml", ".gitignore", "pytest.ini")
_ALWAYS = ("stays", "dogs", "every", "narrow")
_REF = re.compile(r"ref\('(\w+)'\)")
_NAMES = re.compile(r"(ref\('|source\('|var\('|% snapshot |\bmodel: |^- name: |(?=\bcents\())", re.MULTILINE)


GROWING = ("old", "latest")
"""Models that read an incremental one, or a snapshot: while such is to be built, nothing is reused."""


def wing(rng: random.Random, *others: str) -> Project:
    """Return some twelve of the models, these `others` with them, all that they read, and the tests of these."""
    models = {path.split("/")[1].removesuffix(".sql"): path for path in FILES if path.endswith(".sql")}
    models = {name: path for name, path in models.items() if not path.startswith(("macros/", "tests/"))}
    optional = sorted(models.keys() - {*_ALWAYS, *GROWING, "grown", "aged"})
    wanted = [*_ALWAYS, *rng.sample(optional, 7), *others]
    names = set[str]()
    while wanted:
        name = wanted.pop()
        names.add(name)
        wanted += [n for n in _REF.findall(FILES[models[name]] or "") if n in models and n not in names]
    left = {path for name, path in models.items() if name not in names}
    left |= {p for p in FILES if p.startswith("tests/") and not {*_REF.findall(FILES[p] or "")} <= names}
    return {path: text for path, text in FILES.items() if path not in left}


def joined(wings: Sequence[Project]) -> Project:
    """Return one project of several that know nothing of each other: the names of each begin with its number."""
    files: Project = {path: FILES[path] for path in _SHARED}
    added = [re.findall(r"added: (\d+)", wing["dbt_project.yml"] or "")[0] for wing in wings]
    variables = ", ".join(f"w{number}_added: {value}" for number, value in enumerate(added))
    files["dbt_project.yml"] = (FILES["dbt_project.yml"] or "").replace("added: 1", variables)
    for number, wing in enumerate(wings):
        for path, text in wing.items():
            if path not in _SHARED:
                folder, _, name = path.rpartition("/")
                files[f"{folder}/w{number}_{name}"] = _NAMES.sub(rf"\1w{number}_", text or "")
    return files
