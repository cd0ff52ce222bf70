"""A small project whose every relation can be built, and edits that keep it so."""

from __future__ import annotations

import random
import re
from collections.abc import Callable

Project = dict[str, str | bytes | None]
"""The files of the project, by path; edits change it in place, None deletes."""

WIDE = "".join(f"{n % 89},{n % 7},{'-' * 1000}\n" for n in range(1_100))
"""Over 1 MiB in few rows, which load fast."""

FILES: Project = {
    "README.md": "0\n",
    "data/walks.csv": "dog_id,metres\n1,900\n2,1200\n",
    "shared/dbt_project.yml": "name: toolbox\nversion: '1.0.0'\nconfig-version: 2\n",
    "shared/macros/scaled.sql": """\
{% macro scaled(column) %}{{ return(adapter.dispatch('scaled', 'toolbox')(column)) }}{% endmacro %}
{% macro default__scaled(column) %}({{ column }} * 2){% endmacro %}
""",
    "dbt/.gitignore": "target/\nlogs/\ndbt_packages/\n.user.yml\n*.duckdb*\npackage-lock.yml\n",
    "dbt/packages.yml": "packages:\n  - local: ../shared\n",
    "dbt/profiles.yml": """\
kennel:
  target: ci
  outputs:
    ci: {type: duckdb, path: "{{ env_var('KENNEL_WAREHOUSE') }}", schema: analytics, threads: 1}
""",
    "dbt/dbt_project.yml": """\
name: kennel
profile: kennel
config-version: 2
flags: {send_anonymous_usage_stats: false}
on-run-start: "create or replace macro main.bonus() as 1"
vars:
  in_sql: 1
  in_macro: 1
  in_config: table
  unread: 1
models:
  kennel:
    +materialized: view
    marts:
      +materialized: table
""",
    "dbt/macros/outer.sql": "{% macro outer(column) %}({{ inner(column) }} + 1){% endmacro %}\n",
    "dbt/macros/inner.sql": "{% macro inner(column) %}({{ column }} + 1){% endmacro %}\n",
    "dbt/macros/by_var.sql": "{% macro by_var() %}{{ var('in_macro') }}{% endmacro %}\n",
    "dbt/macros/touched.sql": "{% macro touched() %}update {{ this }} set n = n + 1{% endmacro %}\n",
    "dbt/seeds/dogs.csv": "dog_id,n\n1,3\n2,5\n3,7\n",
    "dbt/seeds/steps.csv": f"dog_id,n,pad\n{WIDE}",
    "dbt/models/staging/dogs_now.sql": "select dog_id, n + 1 as n from {{ ref('dogs') }}\n",
    "dbt/models/staging/inline.sql": """\
{{ config(materialized='ephemeral') }}
select dog_id, {{ outer('n') }} as n from {{ ref('dogs_now') }}
""",
    "dbt/models/staging/daily.sql": "select dog_id, sum(n) as n from {{ ref('steps') }} group by 1\n",
    "dbt/models/staging/field.sql": "select dog_id, metres + 1 as n from read_csv('../data/walks.csv')\n",
    "dbt/models/staging/paid.sql": "select dog_id, n + main.bonus() as n from {{ ref('dogs') }}\n",
    "dbt/models/marts/best.sql": "select dog_id, {{ toolbox.scaled('n') }} as n from {{ ref('inline') }}\n",
    "dbt/models/marts/total.sql": "select sum(n) + {{ var('in_sql') }} as n from {{ ref('daily') }}\n",
    "dbt/models/marts/hooked.sql": """\
{{ config(materialized='table', post_hook="{{ touched() }}") }}
select dog_id, n + {{ by_var() }} as n from {{ ref('paid') }}
""",
    "dbt/models/marts/switched.sql": """\
{{ config(materialized=var('in_config')) }}
select dog_id, n + 1 as n from {{ ref('field') }}
""",
    "dbt/macros/prepared.sql": "{% macro prepared() %}create or replace macro main.share() as (0 + 1){% endmacro %}\n",
    "dbt/models/marts/shared.sql": """\
{{ config(materialized='table', pre_hook="{{ prepared() }}") }}
select dog_id, n + main.share() as n from {{ ref('dogs_now') }}
""",
    "dbt/models/marts/grown.sql": """\
{{ config(materialized='incremental', unique_key='dog_id') }}
select dog_id, n + 1 as n from {{ ref('dogs_now') }}
{% if is_incremental() %}where n + 1 > 0{% endif %}
""",
    "dbt/models/marts/appended.sql": """\
{{ config(materialized='incremental', incremental_strategy='append') }}
select dog_id, n + 1 as n from {{ ref('shared') }}
{% if is_incremental() %}where dog_id not in (select dog_id from {{ this }}){% endif %}
""",
    "dbt/snapshots/kept.yml": """\
snapshots:
  - name: kept
    relation: ref('dogs_now')
    config: {strategy: check, unique_key: dog_id, check_cols: all, hard_deletes: ignore}
""",
    "dbt/snapshots/history.sql": """\
{% snapshot history %}
{{ config(strategy='check', unique_key='dog_id', check_cols=['n']) }}
select dog_id, n + 1 as n from {{ ref('grown') }}
{% endsnapshot %}
""",
    "dbt/models/marts/aged.sql": "select dog_id, n + 1 as n from {{ ref('history') }} where dbt_valid_to is null\n",
    "dbt/models/marts/marts.yml": """\
models:
  - name: best
    description: The best.
    columns:
      - name: dog_id
        data_tests: [not_null]
""",
}


PROSE: Project = {
    **FILES,
    "dbt/models/staging/named.sql": """\
-- every dog's name
with names(dog_id, Name) as (values (1, 'a b'), (2, 'A  b'), (3, 'it''s -- one'), (4, 'x'/* 'y' */))
select distinct dog_id, Name /* a 'name' */, "dog_id" + 1 as Next_Id, Name || ' /* no comment */' as said -- 'all'
from names
""",
    "dbt/models/marts/union.sql": """\
select dog_id, Name as name, {{ toolbox.scaled('dog_id') }} as n from {{ ref('named') }} where dog_id>=1
union  -- without what is twice
select dog_id, 'a b' as name, case when n > 1 then 1 - -1 else 2*-1 end as n from {{ ref('inline') }}
{#- no 'union all' #}
""",
    "dbt/models/marts/measured.sql": "select '{{ model.raw_code | length }}' as n -- what it is  made of\n",
    "dbt/models/marts/quoted.sql": """\
{% set said %}'a   b'{% endset %}
select name, {{ said }} as said
from {{ ref('union') }}
""",
}
"""A project with literals, comments and names of which some change with their case, to be formatted anew."""

_FORMATTED = re.compile(
    r"""\{[{%#](?:"[^"]*"|'[^']*'|.)*?[}%#]\}|'(?:[^']|'')*'|--[^\n]*|/\*.*?\*/|\s+|\w+|.""", re.DOTALL
)


def format_anew(rng: random.Random, project: Project) -> str:
    """Format one model anew, at times so that it is another one."""
    added = sorted(p for p in PROSE.keys() - FILES.keys() if project.get(p))
    path = rng.choice(added if added and rng.random() < 0.5 else _models(project))
    project[path] = formatted(rng, _text(project, path))
    return f"format {path.rpartition('/')[2]}"


def formatted(rng: random.Random, text: str) -> str:
    """Return the text formatted anew, at times so that it means something else."""
    changes = rng.choice(["nothing", "nothing", "spaces", "case", "names"])
    return "".join(_formatted(rng, part, changes) for part in _FORMATTED.findall(text))


def _formatted(rng: random.Random, part: str, changes: str) -> str:
    if part.isspace():
        return rng.choice(
            [part, part, f"{part}\n", f"\n{part}  ", f" /* {rng.randint(1, 9)} 'x' */{part}", f" -- it's\n{part}"]
        )
    if part.startswith(("--", "/*", "{#")):
        return rng.choice([part, part, "--\n" if part.startswith("--") else ""])
    if part.startswith("'") and "{" not in part:
        return {"spaces": part.replace(" ", "  "), "case": part.upper()}.get(changes, part)
    if part.startswith("{"):
        return part.replace("'n'", "'N'") if changes == "names" else part
    if part.isidentifier():
        return (
            rng.choice([part, part.upper()])
            if changes == "names" or part in ("select", "from", "with", "as", "case")
            else part
        )
    return rng.choice([part, part, f" {part} "]) if part in ("(", ")", ",", "+", "||") else part


def edit(rng: random.Random, project: Project) -> str:
    """Make one edit; give its name."""
    kinds: tuple[Callable[[random.Random, Project], None], ...] = (
        *(_number, _number, _number, _number_of_macro, _cell, _variable, _setting, _hook, _override),
        *(_row, _snapshot, _snapshot_body, _hook_of_a_model, _to_incremental),
        *(_blank, _comment, _new_model, _delete, _rename, _move, _describe, _data, _read_me, _naming),
    )
    chosen = rng.choice(kinds)
    chosen(rng, project)
    return chosen.__name__.strip("_")


def _models(project: Project) -> list[str]:
    return sorted(p for p, text in project.items() if p.startswith("dbt/models/") and p.endswith(".sql") and text)


def _text(project: Project, path: str) -> str:
    text = project[path]
    assert isinstance(text, str)
    return text


def _bump(rng: random.Random, project: Project, path: str, pattern: str) -> None:
    text = _text(project, path)
    found = list(re.finditer(pattern, text))
    if found:
        match = rng.choice(found)
        project[path] = f"{text[: match.start(1)]}{rng.randint(2, 99)}{text[match.end(1) :]}"


def _number(rng: random.Random, project: Project) -> None:
    _bump(rng, project, rng.choice(_models(project)), r"\+ (\d+)")


def _number_of_macro(rng: random.Random, project: Project) -> None:
    paths = ["dbt/macros/outer.sql", "dbt/macros/inner.sql", "dbt/macros/touched.sql", "shared/macros/scaled.sql"]
    _bump(rng, project, rng.choice(paths), r"[+*] (\d+)")


def _cell(rng: random.Random, project: Project) -> None:
    path = rng.choice(["dbt/seeds/dogs.csv", "dbt/seeds/steps.csv"])
    lines = _text(project, path).split("\n")
    row = rng.randrange(1, len(lines) - 1)
    number, _, *rest = lines[row].split(",")
    lines[row] = ",".join((number, str(rng.randint(0, 9)), *rest))
    project[path] = "\n".join(lines)


def _row(rng: random.Random, project: Project) -> None:
    """Add a dog, or let the last one go."""
    path = "dbt/seeds/dogs.csv"
    lines = _text(project, path).rstrip("\n").split("\n")
    lines = lines[:-1] if len(lines) > 3 and rng.random() < 0.5 else [*lines, f"{len(lines) + 10},{rng.randint(0, 9)}"]
    project[path] = "\n".join(lines) + "\n"


def _snapshot(rng: random.Random, project: Project) -> None:
    path = "dbt/snapshots/kept.yml"
    old, new = rng.choice([("check_cols: all", "check_cols: [n]"), ("ignore", "invalidate"), ("invalidate", "ignore")])
    project[path] = _text(project, path).replace(old, new)


def _snapshot_body(rng: random.Random, project: Project) -> None:
    _bump(rng, project, "dbt/snapshots/history.sql", r"\+ (\d+)")


def _hook_of_a_model(rng: random.Random, project: Project) -> None:
    _bump(rng, project, "dbt/macros/prepared.sql", r"\+ (\d+)")


def _to_incremental(rng: random.Random, project: Project) -> None:
    """Let a table go on from what it holds, which a table that is built anew does not."""
    path = "dbt/models/marts/shared.sql"
    if text := project.get(path):
        assert isinstance(text, str)
        project[path] = text.replace("materialized='table'", "materialized='incremental', unique_key='dog_id'")


def _variable(rng: random.Random, project: Project) -> None:
    name = rng.choice(["in_sql", "in_macro", "unread"])
    _bump(rng, project, "dbt/dbt_project.yml", rf"{name}: (\d+)")


def _setting(rng: random.Random, project: Project) -> None:
    text = _text(project, "dbt/dbt_project.yml")
    old = rng.choice(["in_config: table", "in_config: view", "staging:\n      +materialized: table\n"])
    swapped = {"in_config: table": "in_config: view", "in_config: view": "in_config: table"}
    if old in swapped:
        project["dbt/dbt_project.yml"] = text.replace(old, swapped[old])
    elif "staging:" not in text:
        project["dbt/dbt_project.yml"] = text.replace("    marts:", f"    {old}    marts:")


def _hook(rng: random.Random, project: Project) -> None:
    _bump(rng, project, "dbt/dbt_project.yml", r"bonus\(\) as (\d+)")


def _override(rng: random.Random, project: Project) -> None:
    name = rng.choice(["duckdb__scaled", "inner", "by_var"])
    if name == "duckdb__scaled":
        number = rng.randint(2, 9)
        project["shared/macros/fast.sql"] = (
            f"{{% macro {name}(column) %}}({{{{ column }}}} * {number}){{% endmacro %}}\n"
        )
    else:
        text = _text(project, f"dbt/macros/{name}.sql")
        project[f"dbt/macros/{name}.sql"] = "{# seen #}\n" + text


def _blank(rng: random.Random, project: Project) -> None:
    path = rng.choice(_models(project))
    project[path] = _text(project, path) + "\n"


def _comment(rng: random.Random, project: Project) -> None:
    path = rng.choice(_models(project))
    project[path] = f"-- {rng.randint(0, 9)}\n{_text(project, path)}"


def _new_model(rng: random.Random, project: Project) -> None:
    name, parent = f"new_{rng.randint(0, 999)}", rng.choice(["best", "daily", "paid"])
    if any(project.get(f"dbt/models/{folder}/{parent}.sql") for folder in ("marts", "staging")):
        project[f"dbt/models/marts/{name}.sql"] = f"select dog_id, n + 1 as n from {{{{ ref('{parent}') }}}}\n"


def _leaves(project: Project) -> list[str]:
    snapshots = [p for p, text in project.items() if p.startswith("dbt/snapshots/") and text]
    texts = "".join(_text(project, p) for p in (*_models(project), *snapshots))
    described = _text(project, "dbt/models/marts/marts.yml")
    names = {p: p.rsplit("/", 1)[-1].removesuffix(".sql") for p in _models(project)}
    return [p for p, name in names.items() if f"ref('{name}')" not in texts and f"name: {name}\n" not in described]


def _delete(rng: random.Random, project: Project) -> None:
    if leaves := _leaves(project):
        project[rng.choice(leaves)] = None


def _rename(rng: random.Random, project: Project) -> None:
    if leaves := _leaves(project):
        old = rng.choice(leaves)
        project[f"dbt/models/marts/renamed_{rng.randint(0, 999)}.sql"], project[old] = project[old], None


def _move(rng: random.Random, project: Project) -> None:
    old = rng.choice(_models(project))
    folder = "staging" if "/marts/" in old else "marts"
    project[f"dbt/models/{folder}/{old.rsplit('/', 1)[-1]}"], project[old] = project[old], None


def _describe(rng: random.Random, project: Project) -> None:
    text = _text(project, "dbt/models/marts/marts.yml")
    project["dbt/models/marts/marts.yml"] = re.sub(r"The best\d*", f"The best{rng.randint(0, 99)}", text)


def _data(rng: random.Random, project: Project) -> None:
    _bump(rng, project, "data/walks.csv", r",(\d+)")


def _read_me(rng: random.Random, project: Project) -> None:
    project["README.md"] = f"{rng.randint(0, 99)}\n"


def _naming(rng: random.Random, project: Project) -> None:
    # Rare, as it selects everything and so proves little.
    if rng.random() < 0.3:
        project["dbt/macros/naming.sql"] = (
            "{% macro generate_alias_name(custom_alias_name=none, node=none) %}"
            f"{{{{ node.name }}}}_{rng.randint(0, 9)}{{% endmacro %}}\n"
        )
