"""Which macro is called, and by what: dispatch, names of dbt's own, the graph."""

from __future__ import annotations

from tests.support.repositories import Files
from tests.support.small_projects.project import SKELETON, Change, Small

_OBSERVED = (
    "hooks of the whole run read the graph of nodes through watch: they observe what is built, so no node is selected "
    "for them"
)

_WATCH: Files = {
    "packages.yml": "packages:\n  - local: vendor/watch\n",
    "vendor/watch/dbt_project.yml": """\
name: watch
on-run-start: "{{ watch.call('any') }}"
on-run-end: "{{ watch.upload() }}"
""",
    "vendor/watch/macros/upload.sql": """\
{% macro upload() %}{% if execute %}{% for k in graph.nodes %}{% do log(k) %}{% endfor %}{% endif %}
{{ watch.call('any') }}{% endmacro %}
""",
    "vendor/watch/macros/call.sql": """\
{% macro call(name) %}{% set found = context.get('watch__' ~ name) %}{% if found %}{{ found() }}{% endif %}
{% set any = context[name] %}{% set all = graph.nodes %}select 1{% endmacro %}
""",
    "vendor/watch/macros/count.sql": "{% macro count_nodes() %}{{ graph.nodes | length }}{% endmacro %}\n",
    "vendor/watch/macros/seen.sql": """\
{% test seen(model) %}select * from {{ model }} where {{ watch.count_nodes() }} < 0{% endtest %}
""",
    "models/b.sql": '{{ config(post_hook="select {{ watch.count_nodes() }}") }}\nselect 2 as id\n',
    "models/models.yml": "models:\n  - name: a\n    data_tests: [watch.seen]\n",
}

GRAPH = Small(
    name="a package that reads the graph",
    files=_WATCH,
    changes=(
        Change(
            name="body", files={"models/a.sql": "select 9 as id\n"}, roots={"a": "modified: body"}, notes=(_OBSERVED,)
        ),
        Change(
            name="macro that nothing calls",
            files={"macros/idle.sql": "{% macro idle() %}1{% endmacro %}\n"},
            effects={"macros/idle.sql": "none: only hooks that observe what is built call macro idle"},
        ),
        Change(
            name="macro of an observing hook",
            files={"vendor/watch/macros/upload.sql": "{% macro upload() %}{{ graph.nodes | length }}{% endmacro %}\n"},
            effects={"vendor/watch/macros/upload.sql": "none: only hooks that observe what is built call macro upload"},
        ),
        Change(
            name="an observing hook itself",
            files={
                "vendor/watch/dbt_project.yml": str(_WATCH["vendor/watch/dbt_project.yml"]).replace("any", "all")
                + "flags: {use_colors: true}\nquery-comment: watched\n"
            },
            effects={
                "vendor/watch/dbt_project.yml": "none: flags, on-run-start, query-comment changed, "
                "and no node that is built differs"
            },
            notes=(_OBSERVED,),
        ),
        Change(
            name="model whose SQL reads the graph",
            files={"models/d.sql": "select {{ watch.count_nodes() }} as n\n"},
            roots={"d": "new"},
            notes=(_OBSERVED,),
        ),
    ),
)

GRAPH_IN_SQL = Small(
    name="a model whose SQL depends on the graph",
    files={**_WATCH, "models/counted.sql": "select {{ watch.count_nodes() }} as n\n"},
    changes=(
        Change(
            name="body",
            files={"models/a.sql": "select 9 as id\n"},
            roots={"a": "modified: body", "counted": "affected: macro count_nodes reads the graph of nodes"},
            notes=(_OBSERVED,),
        ),
        Change(
            name="not of a node",
            files={"README.md": "Depot\n", "data.csv": "a\n"},
            effects={"README.md": "none: dbt reads no such file", "data.csv": "none: dbt reads no such file"},
        ),
    ),
)

_CENTS = """\
{% macro cents(x) %}{{ return(adapter.dispatch('cents')(x)) }}{% endmacro %}
{% macro default__cents(x) %}({{ x }} / 100){% endmacro %}
"""

DISPATCH = Small(
    name="dispatch",
    files={
        "macros/cents.sql": _CENTS,
        "macros/half.sql": """\
{% macro half(x) %}{{ return(adapter.dispatch('half', 'depot')(x)) }}{% endmacro %}
{% macro duckdb__half(x) %}({{ x }} / 2){% endmacro %}
{% macro default__half(x) %}({{ x }} * 0.5){% endmacro %}
{% macro fabric__half(x) %}({{ x }} / 2.0){% endmacro %}
""",
        "models/b.sql": "select {{ half(2) }} as id\n",
        "models/c.sql": "select {{ cents('id') }} as id from {{ ref('a') }}\n",
    },
    changes=(
        Change(
            name="another adapter's variant added",
            files={"macros/cents.sql": _CENTS + "{% macro fabric__cents(x) %}({{ x }} / 100.0){% endmacro %}\n"},
            effects={"macros/cents.sql": "none: nothing calls macro fabric__cents"},
        ),
        Change(
            name="this adapter's variant added",
            files={"macros/own.sql": "{% macro duckdb__cents(x) %}({{ x }} / 100.0){% endmacro %}\n"},
            roots={"c": "modified: macro duckdb__cents"},
        ),
        Change(
            name="default variant behind this adapter's own",
            files={
                "macros/half.sql": """\
{% macro half(x) %}{{ return(adapter.dispatch('half', 'depot')(x)) }}{% endmacro %}
{% macro duckdb__half(x) %}({{ x }} / 2){% endmacro %}
{% macro default__half(x) %}({{ x }} * 0.50){% endmacro %}
{% macro fabric__half(x) %}({{ x }} / 2.00){% endmacro %}
"""
            },
            effects={"macros/half.sql": "none: nothing calls macro default__half; nothing calls macro fabric__half"},
        ),
        Change(
            name="another adapter's materialization",
            files={
                "macros/t.sql": "{% materialization view, adapter='fabric' %}{{ return({}) }}{% endmaterialization %}"
            },
            effects={"macros/t.sql": "none: nothing calls macro materialization_view_fabric"},
        ),
    ),
)

_RATE = "{% macro rate() %}{{ return(adapter.dispatch('rate', 'lib')()) }}{% endmacro %}\n"

_ORDER = str(SKELETON["dbt_project.yml"]) + "dispatch:\n  - {macro_namespace: lib, search_order: [lib, depot]}\n"

SEARCH_ORDER = Small(
    name="search order",
    files={
        "dbt_project.yml": _ORDER,
        "packages.yml": "packages:\n  - local: lib\n",
        "lib/dbt_project.yml": "name: lib\n",
        "lib/macros/rate.sql": _RATE + "{% macro default__rate() %}1{% endmacro %}\n",
        "macros/rate.sql": "{% macro default__rate() %}2{% endmacro %}\n",
        "models/b.sql": "select {{ lib.rate() }} as id\n",
    },
    changes=(
        Change(
            name="variant in a package that is searched later",
            files={"macros/rate.sql": "{% macro default__rate() %}3{% endmacro %}\n"},
            effects={"macros/rate.sql": "none: nothing calls macro default__rate"},
        ),
        Change(
            name="variant in the package that is searched first",
            files={"lib/macros/rate.sql": _RATE + "{% macro default__rate() %}3{% endmacro %}\n"},
            roots={"b": "modified: macro default__rate"},
        ),
        Change(
            name="order turned round",
            files={"dbt_project.yml": _ORDER.replace("[lib, depot]", "[depot, lib]")},
            roots={"b": "affected: dispatch finds another rate"},
        ),
    ),
)

HOOKS = Small(
    name="hooks of all models",
    files={
        "dbt_project.yml": str(SKELETON["dbt_project.yml"])
        + "on-run-start: select 1\nmodels: {+post-hook: '{{ noted() }}'}\nvars: {note: 1}\n",
        "macros/noted.sql": "{% macro noted() %}select {{ var('note') }}{% endmacro %}\n",
        "tests/plain.sql": "select 1 from {{ ref('a') }} where false\n",
    },
    changes=(
        Change(
            name="a macro that they call, beside a hook of the run",
            files={"macros/noted.sql": "{% macro noted() %}select {{ var('note') }} + 1{% endmacro %}\n"},
            roots=dict.fromkeys("abc", "modified: macro noted"),
        ),
    ),
)

_REDSHIFT = """\
depot:
  target: ci
  outputs:
    ci: {type: redshift, host: nowhere, user: u, password: p, port: 1, dbname: d, schema: dev}
"""

HIERARCHY = Small(
    name="adapter that inherits",
    files={
        "profiles.yml": _REDSHIFT,
        "macros/cents.sql": _CENTS + "{% macro postgres__cents(x) %}({{ x }} / 100.0){% endmacro %}\n",
        "macros/half.sql": """\
{% macro half(x) %}{{ return(adapter.dispatch('half')(x)) }}{% endmacro %}
{% macro redshift__half(x) %}({{ x }} / 2){% endmacro %}
""",
        "models/b.sql": "select {{ half(2) }} as id\n",
        "models/c.sql": "select {{ cents('id') }} as id from {{ ref('a') }}\n",
    },
    changes=(
        Change(
            name="the parent's variant",
            files={"macros/cents.sql": _CENTS + "{% macro postgres__cents(x) %}({{ x }} / 100.00){% endmacro %}\n"},
            roots={"c": "modified: macro postgres__cents"},
        ),
        Change(
            name="the parent's variant behind its own",
            files={"macros/more.sql": "{% macro postgres__half(x) %}({{ x }} / 2.0){% endmacro %}\n"},
            effects={"macros/more.sql": "none: nothing calls macro postgres__half"},
        ),
    ),
)

BUILTIN_NAMES = Small(
    name="names of dbt's own macros",
    files={
        "packages.yml": "packages:\n  - local: lib\n",
        "lib/dbt_project.yml": "name: lib\n",
        "lib/macros/names.sql": "{% macro type_string() %}text{% endmacro %}\n",
        "lib/models/inside.sql": "select cast(1 as {{ type_string() }}) as id\n",
        "lib/models/ignored.sql": "select 1 as id\n",
        "models/b.sql": "select cast(2 as {{ dbt.type_string() }}) as id\n",
        "models/d.sql": "select cast(2 as {{ type_string() }}) as id\n",
    },
    changes=(
        Change(
            name="of a package",
            files={
                "lib/macros/names.sql": "{% macro type_string() %}varchar{% endmacro %}\n",
                "lib/macros/more.sql": "{% macro current_timestamp() %}now(){% endmacro %}\n"
                "{% macro default__last_day(date, datepart) %}x{% endmacro %}\n"
                "{% macro format_column(column) %}x{% endmacro %}\n",
                "lib/.dbtignore": "models/ignored.sql\n",
            },
            roots={"inside": "modified: macro type_string"},
            effects={
                "lib/.dbtignore": "removed: removed: ignored",
                "lib/macros/more.sql": "none: nothing calls macro current_timestamp; "
                "nothing calls macro default__last_day; nothing calls macro format_column",
            },
        ),
        Change(
            name="of the project",
            files={"macros/own.sql": "{% macro type_string() %}varchar{% endmacro %}\n"},
            roots={"d": "modified: macro type_string"},
        ),
        Change(
            name="of the project, for all that it builds",
            files={"macros/own.sql": "{% macro create_view_as(relation, sql) %}x{% endmacro %}\n"},
            roots=dict.fromkeys("abcd", "affected: macro create_view_as")
            | dict.fromkeys(("inside", "ignored"), "affected: macro create_view_as"),
        ),
    ),
)
