"""Small projects, each with what one kind of change needs, and the changes of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

from tests.support.change_project import LARGE_SEED
from tests.support.repositories import Files

_DBT = tuple(map(int, version("dbt-core").split(".")[:2]))

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
        "models/b.sql": "select cast(2 as {{ dbt.type_string() }}) as id\n",
        "models/d.sql": "select cast(2 as {{ type_string() }}) as id\n",
    },
    changes=(
        Change(
            name="of a package",
            files={
                "lib/macros/names.sql": "{% macro type_string() %}varchar{% endmacro %}\n",
                "lib/macros/more.sql": "{% macro current_timestamp() %}now(){% endmacro %}\n"
                "{% macro default__last_day(date, datepart) %}x{% endmacro %}\n",
            },
            roots={"inside": "modified: macro type_string"},
            effects={
                "lib/macros/more.sql": "none: nothing calls macro current_timestamp; "
                "nothing calls macro default__last_day"
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
            | {"inside": "affected: macro create_view_as"},
        ),
    ),
)

EXTERNAL = Small(
    name="files that sources read",
    files={
        "data/north.csv": "id\n1\n",
        "data/south.csv": "id\n2\n",
        "old/north.csv": "id\n0\n",
        "data/lost.csv": "id\n2\n",
        "models/s.yml": """\
sources:
  - name: posts
    config: {meta: {external_location: "data/{name}.csv"}}
    tables:
      - {name: north}
      - {name: south}
      - {name: east, config: {meta: {external_location: "data/{identifier}.csv"}}, identifier: lost}
""",
        "models/n.sql": "select * from {{ source('posts', 'north') }}\n",
        "data/parts/one": "id\n1\n",
        "data/note.md": "one\n",
        "data/weights.yml": "dogs: 1\n",
        "models/parts.sql": "select * from read_csv('data/parts/*')\n",
        "models/noted.sql": "select content from read_text('data/note.md')\n",
        "models/weighed.py": "def model(dbt, session):\n    open('data/weights.yml')\n    return dbt.ref('a')\n",
        "models/s.sql": "select * from {{ source('posts', 'south') }}\n",
    },
    changes=(
        Change(
            name="file of one source",
            files={"data/north.csv": "id\n7\n"},
            downstream={"n": "downstream of posts.north, affected: reads north.csv (data/north.csv)"},
        ),
        Change(
            name="file of the same name elsewhere",
            files={"old/north.csv": "id\n7\n", "models/b.sql": "select 9 as id\n"},
            roots={"b": "modified: body"},
            effects={"old/north.csv": "none: dbt builds nothing from it"},
        ),
        Change(
            name="file of a source that nothing reads",
            files={"data/lost.csv": "id\n7\n", "data/worn/one": "id\n7\n"},
            effects={
                "data/lost.csv": "none: the selection leaves out east",
                "data/worn/one": "none: dbt builds nothing from it",
            },
        ),
        Change(
            name="files of any ending that models read",
            files={"data/parts/one": "id\n7\n", "data/note.md": "two\n", "data/weights.yml": "dogs: 2\n"},
            roots={
                "parts": "affected: reads one",
                "noted": "affected: reads note.md",
                "weighed": "affected: reads weights.yml",
            },
        ),
    ),
)

_VARS = (
    str(SKELETON["dbt_project.yml"]) + "vars:\n  limits: {low: 1, high: 2}\n  low: 5\n  depot: {own: 1}\n  idle: 1\n"
    "  named: one\n  told: 1\n"
)

VARIABLES = Small(
    name="variables",
    files={
        "dbt_project.yml": _VARS,
        "macros/computed.sql": "{% macro computed(name) %}{{ var(name ~ '_own', 1) }}{% endmacro %}\n",
        # A package of models alone.
        "packages.yml": "packages:\n  - local: kit\n",
        "kit/dbt_project.yml": "name: kit\nvars: {day: 1}\n",
        "kit/models/days.sql": "select {{ var('day') }} as day\n",
        "models/a.sql": "select {{ var('low') }} as id\n",
        "models/b.sql": "select {{ var('limits')['low'] }} as id\n",
        "models/c.sql": "select {{ var('own') }} as id\n",
        "models/s.yml": """\
sources:
  - name: posts
    description: "{{ var('told') }}"
    tables: [{name: load, identifier: "{{ var('named') }}"}]
""",
        "models/s.sql": "select * from {{ source('posts', 'load') }}\n",
    },
    changes=(
        Change(
            name="nested key",
            files={"dbt_project.yml": _VARS.replace("low: 1", "low: 3")},
            roots={"b": "affected: variable limits"},
        ),
        Change(
            name="one that YAML reads",
            files={"dbt_project.yml": _VARS.replace("named: one", "named: two")},
            downstream={"s": "downstream of posts.load, modified: relation (dbt_project.yml)"},
        ),
        Change(
            name="one that a description reads",
            files={"dbt_project.yml": _VARS.replace("told: 1", "told: 2")},
            effects={"dbt_project.yml": "none: no node that is built differs by it"},
        ),
        Change(
            name="package's scope",
            files={"dbt_project.yml": _VARS.replace("own: 1}", "own: 3}\n  kit: {day: 2}")},
            roots={"c": "affected: variable own", "days": "affected: variable day"},
        ),
        Change(
            name="one that is read and one that is not",
            files={"dbt_project.yml": _VARS.replace("low: 5", "low: 6").replace("idle: 1", "idle: 2")},
            roots={"a": "affected: variable low"},
            effects={"dbt_project.yml": "selected: nothing reads variable idle"},
        ),
        Change(
            name="one that is not read, and a configuration",
            files={
                "dbt_project.yml": _VARS.replace("idle: 1", "idle: 2")
                + "models: {depot: {a: {+materialized: table}}}\n"
            },
            roots={"a": "modified: config"},
            effects={"dbt_project.yml": "selected: nothing reads variable idle"},
        ),
    ),
)

COMPUTED = Small(
    name="computed names",
    files={
        "dbt_project.yml": _VARS,
        "macros/computed.sql": "{% macro computed(name) %}{{ var(name ~ '_own', 1) }}{% endmacro %}\n",
        "macros/called.sql": "{% macro called(name) %}{{ context[name]() }}{% endmacro %}\n",
        "macros/one.sql": "{% macro one() %}1{% endmacro %}\n",
        "models/b.sql": "select {{ computed('x') }} as id\n",
        "models/c.sql": "select {{ called('one') }} as id\n",
    },
    changes=(
        Change(
            name="of a macro",
            files={"macros/one.sql": "{% macro one() %}2{% endmacro %}\n"},
            roots={"c": "affected: macro one, as it calls macros by computed names"},
        ),
        Change(
            name="of a variable",
            files={"dbt_project.yml": _VARS.replace("idle: 1", "idle: 2")},
            roots={"b": "affected: variable idle, by macro computed, which reads variables by computed names"},
        ),
    ),
)

_CENT = "{% macro cents(x) %}({{ x }} / 100){% endmacro %}\n"
_PREFIXED = str(SKELETON["dbt_project.yml"]) + "vars: {min_dogs: 1, max_dogs: 1}\n"

MENTIONED = Small(
    name="mentioned without a call",
    files={
        "dbt_project.yml": _PREFIXED,
        "macros/cents.sql": _CENT,
        "macros/apply.sql": "{% macro apply(f, x) %}{{ f(x) }}{% endmacro %}\n",
        "macros/renamed.sql": "{% macro renamed(x) %}{% set f = cents %}{{ f(x) }}{% endmacro %}\n",
        "macros/picked.sql": "{% macro picked(x) %}{{ depot['cents'](x) }}{% endmacro %}\n",
        "macros/computed.sql": "{% macro computed(name) %}{{ depot[name]() }}{% endmacro %}\n",
        "macros/sent.sql": "{% macro sent() %}{% set d = adapter.dispatch %}{{ d('one')() }}{% endmacro %}\n",
        "macros/one.sql": "{% macro default__one() %}1{% endmacro %}\n",
        "models/b.sql": "select {{ computed('default__one') }} as id\n",
        "models/dispatched.sql": "select {{ sent() }} as id\n",
        "macros/own.sql": "{% macro own(cents) %}{{ cents }}{% endmacro %}\n",
        "models/a.sql": "select {{ own(1) }} as id\n",
        "models/passed.sql": "select {{ apply(cents, 2) }} as id\n",
        "models/set.sql": "select {{ renamed(2) }} as id\n",
        "models/subscript.sql": "select {{ picked(2) }} as id\n",
        "models/prefixed.sql": "{% set kind = 'dogs' %}select {{ var('min_' ~ kind) }} as id\n",
        "models/aliased.sql": "{% set v = var %}select {{ v('max_dogs') }} as id\n",
    },
    changes=(
        Change(
            name="macro",
            files={
                "macros/cents.sql": _CENT.replace("100", "1000"),
                "macros/one.sql": "{% macro default__one() %}2{% endmacro %}\n",
            },
            roots={
                **dict.fromkeys(("passed", "set", "subscript"), "affected: macro cents"),
                "dispatched": "affected: macro default__one",
                "b": "affected: macro cents, as it calls macros by computed names",
            },
        ),
        Change(
            name="variable",
            files={"dbt_project.yml": _PREFIXED.replace("min_dogs: 1", "min_dogs: 2")},
            roots=dict.fromkeys(
                ("prefixed", "aliased"), "affected: variable min_dogs, as it reads variables by computed names"
            ),
        ),
    ),
)

_TAGGED = str(SKELETON["dbt_project.yml"]) + "models: {depot: {tagged: {+tags: [x]}}}\n"
_TOLD = """\
models:
  - {name: a, description: One}
  - {name: told, description: One}
  - {name: masked, columns: [{name: id, meta: {mask: '1'}}]}
  - name: ordered
    config: {contract: {enforced: true}}
    columns:
      - {name: id, data_type: int}
      - {name: n, data_type: int}
  - name: quoted
    config: {persist_docs: {columns: true}}
    columns:
      - {name: id, description: Dog.}
"""

PROPERTIES = Small(
    name="properties that are read",
    files={
        "dbt_project.yml": _TAGGED,
        "macros/mask.sql": "{% macro mask() %}select '{{ model.columns }}'{% endmacro %}\n",
        "macros/count.sql": "{% macro count(g) %}{{ g.nodes | length if execute }}{% endmacro %}\n",
        "models/told.sql": "select '{{ model.description }}' as id\n",
        "models/masked.sql": "{{ config(post_hook='{{ mask() }}') }}select 2 as id\n",
        "models/tagged.sql": "select '{{ config.get(\"tags\") | join }}' as id\n",
        "models/counted.sql": "{{ config(tags=['y']) }}select '{{ count(graph) }}' as id\n",
        "models/ordered.sql": "select 1 as id, 2 as n\n",
        "models/quoted.sql": "select 1 as id\n",
        "models/models.yml": _TOLD,
    },
    changes=(
        Change(
            name="otherwise",
            files={
                "dbt_project.yml": _TAGGED.replace("[x]", "[y]"),
                "models/models.yml": _TOLD.replace("One", "Two")
                .replace("'1'", "'2'")
                .replace("      - {name: id, data_type: int}\n", "")
                .replace("name: n, data_type: int}", "name: n, data_type: int}\n      - {name: id, data_type: int}")
                .replace("Dog.", "Dog., quote: true"),
            },
            roots={
                "told": "affected: reads its own description, columns or tags",
                "masked": "affected: reads its own description, columns or tags, by macro mask",
                "tagged": "affected: reads its own description, columns or tags",
                "counted": "affected: reads the graph of nodes",
                "ordered": "affected: columns",
                "quoted": "affected: columns",
            },
        ),
    ),
)

VARIABLE_FILE = Small(
    name="file of variables",
    files={
        "dbt_project.yml": str(SKELETON["dbt_project.yml"]) + "vars: {low: 1, high: 1}\n",
        "packages.yml": "packages:\n  - local: kit\n",
        "kit/dbt_project.yml": "name: kit\n",
        "kit/vars.yml": "vars: {day: 1}\n",
        "kit/models/days.sql": "select {{ var('day', 0) }} as day\n",
        "models/a.sql": "select {{ var('low') }} as id\n",
        "models/b.sql": "select {{ var('high') }} as id\n",
    },
    changes=(
        Change(
            name="that takes over from the project's settings",
            files={
                "dbt_project.yml": SKELETON["dbt_project.yml"],
                "vars.yml": "vars: {low: 1, high: 2}\n",
                "kit/vars.yml": "vars: {day: 2}\n",
            },
            roots={"b": "affected: variable high"},
            # dbt reads no package's.
            effects={"kit/vars.yml": "none: dbt builds nothing from it"},
        ),
    ),
)

CHECKED = """\
models:
  - name: a
    data_tests:
      - unique: {name: one, column_name: id}
  - name: gone
    data_tests:
      - unique: {name: two, column_name: id}
"""

_SETTINGS = str(SKELETON["dbt_project.yml"]) + "on-run-start: ['select 1']\nquery-comment: \"{{ signed(node) }}\"\n"

_SIGNED = "macro signed changed: dbt itself calls it for every node"
_CONNECTED = "profile (what dbt connects with) changed"

_SOURCE = "sources:\n  - {name: posts, schema: north, tables: [{name: load}]}\n"

SETTINGS = Small(
    name="settings without an effect",
    files={
        "dbt_project.yml": _SETTINGS,
        "profiles.yml": str(SKELETON["profiles.yml"]) + str(SKELETON["profiles.yml"]).replace("depot:", "yard:"),
        "macros/signed.sql": "{% macro signed(node) %}depot{% endmacro %}\n",
        "models/s.yml": _SOURCE,
        "models/s.sql": "select * from {{ source('posts', 'load') }}\n",
    },
    changes=(
        Change(
            name="written otherwise",
            files={
                "dbt_project.yml": _SETTINGS.replace("['select 1']", "select 1").replace("{", "{use_colors: false, ", 1)
                + "config-version: 2\n"
            },
            effects={
                "dbt_project.yml": "none: config-version, flags, on-run-start changed, "
                "and no node that is built differs"
            },
        ),
        Change(
            name="of another resource type",
            files={
                "dbt_project.yml": _SETTINGS + "seeds: {+quote_columns: true}\n",
                "models/s.yml": _SOURCE.replace("north", "south"),
            },
            downstream={"s": "downstream of posts.load, modified: relation (models/s.yml)"},
            effects={"dbt_project.yml": "none: seeds changed, and no node that is built differs"},
        ),
        Change(
            name="of a new model",
            files={
                "dbt_project.yml": _SETTINGS + "models: {depot: {d: {+materialized: table}}}\n",
                "models/d.sql": "select 4 as id\n",
            },
            roots={"d": "new"},
            effects={"dbt_project.yml": "none: models changed, and no node that the base has differs"},
        ),
        Change(
            name="with one that has an effect",
            files={"dbt_project.yml": _SETTINGS.replace("{", "{use_colors: false, warn_error: true, ", 1)},
            roots=dict.fromkeys("abcs", "can be affected: flags (how dbt itself behaves) changed"),
            effects={"dbt_project.yml": "everything: flags (how dbt itself behaves) changed"},
            notes=("every node can be affected: flags (how dbt itself behaves) changed (dbt_project.yml)",),
        ),
        Change(
            name="the profile, and a macro of the query comment",
            files={
                "dbt_project.yml": _SETTINGS.replace("profile: depot", "profile: yard"),
                "macros/signed.sql": "{% macro signed(node) %}yard{% endmacro %}\n",
            },
            roots=dict.fromkeys("abcs", f"can be affected: {_SIGNED}; {_CONNECTED}"),
            effects={"dbt_project.yml": f"everything: {_CONNECTED}", "macros/signed.sql": f"everything: {_SIGNED}"},
            notes=(f"every node can be affected: {_SIGNED}; {_CONNECTED} (macros/signed.sql, dbt_project.yml)",),
        ),
    ),
)

STATEMENTS = Small(
    name="statements about paths",
    files={
        "macros/one.sql": "{% macro one() %}1{% endmacro %}\n",
        "models/a.sql": "select {{ one() }} as id\n",
        "models/gone.sql": "{{ config(enabled=false) }}\nselect 1 as id\n",
        "models/models.yml": CHECKED,
        "tests/gone_is_fine.sql": "select * from {{ ref('b') }} b {% if false %}{{ ref('gone') }}{% endif %}\n",
        "extra/dbt_project.yml": "name: extra\n",
        "extra/macros/idle.sql": "{% macro idle() %}1{% endmacro %}\n",
    },
    changes=(
        Change(
            name="a model and a macro that it calls",
            files={
                "macros/one.sql": "{% macro one() %}1{% endmacro %}\n{% macro two() %}2{% endmacro %}\n",
                "macros/loud.sql": "{% macro loud() %}3{% endmacro %}\n",
                "models/a.sql": "select {{ loud() }} as id\n",
            },
            roots={"a": "modified: body, macro loud"},
            effects={"macros/one.sql": "none: nothing calls macro two"},
        ),
        Change(
            name="added package that nothing uses",
            files={"packages.yml": "packages:\n  - local: extra\n"},
            effects={"packages.yml": "none: nothing calls macro idle"},
        ),
        Change(
            name="a test's configuration that renders the same",
            files={"models/models.yml": CHECKED.replace("name: one,", "name: one, config: {severity: error},")},
            roots={"one": "modified: config"},
        ),
        Change(
            name="a test's configuration that changes nothing in what it does",
            files={"models/models.yml": CHECKED.replace("name: one,", "name: one, config: {tags: [x]},")},
            effects={"models/models.yml": "none: what is built of a, one is the same"},
        ),
        Change(
            name="YAML of a disabled model",
            files={
                "models/models.yml": CHECKED.replace("  - name: gone\n", "  - name: gone\n    description: Gone.\n"),
                "vars.yml": "vars: {}\n",
            },
            effects={
                "models/models.yml": "none: what is built of a, one is the same",
                "vars.yml": "none: the variables are the same"
                if _DBT >= (1, 12)
                else f"none: dbt-core {version('dbt-core')} reads no such file",
            },
        ),
        Change(
            name="YAML of a model that another file changes",
            files={
                "models/b.sql": "select 9 as id\n",
                "models/models.yml": CHECKED + "  - name: b\n    description: B.\n",
            },
            roots={"b": "modified: body"},
            effects={"models/models.yml": "none: what is built of a, one is the same"},
        ),
    ),
)

SEEDS = Small(
    name="seeds that are renamed",
    files={
        "seeds/steps.csv": LARGE_SEED,
        "seeds/dogs.csv": "dog_id\n1\n",
        "models/d.sql": "select * from {{ ref('steps') }}\n",
    },
    changes=(
        Change(
            name="moved byte for byte",
            files={
                **{"seeds/steps.csv": None, "seeds/dogs.csv": None},
                **{"seeds/raw/steps.csv": LARGE_SEED, "seeds/raw/dogs.csv": "dog_id\n1\n"},
            },
            roots={"steps": "modified: moved", "dogs": "modified: moved"},
        ),
        Change(
            name="moved and changed",
            files={"seeds/steps.csv": None, "seeds/raw/steps.csv": LARGE_SEED.replace("0,0\n", "0,1\n", 1)},
            roots={"steps": "modified: content, moved"},
        ),
    ),
)

_ORDERS = """\
models:
  - name: a
  - name: days
    time_spine: {standard_granularity_column: at}
    columns: [{name: at, granularity: day}]
semantic_models:
  - name: orders
    model: ref('a')
    defaults: {agg_time_dimension: at}
    entities: [{name: id, type: primary}]
    dimensions: [{name: at, type: time, type_params: {time_granularity: day}}]
    measures: [{name: sold, agg: sum, expr: id}]
metrics:
  - {name: sold, label: Sold, type: simple, type_params: {measure: sold}}
saved_queries:
  - name: daily
    query_params: {metrics: [sold]}
    exports: [{name: daily, config: {export_as: table}}]
"""
_SEMANTIC_SAME = "none: what is built of a, daily, days, orders, sold is the same"

SEMANTIC = Small(
    name="semantic layer",
    files={
        "models/a.sql": "select 1 as id, current_date as at\n",
        "models/days.sql": "select current_date as at\n",
        "models/orders.yml": _ORDERS,
    },
    changes=(
        Change(
            name="model beneath",
            files={"models/a.sql": "select 2 as id, current_date as at\n"},
            roots={"a": "modified: body"},
        ),
        Change(
            name="semantic model",
            files={"models/orders.yml": _ORDERS.replace("agg: sum,", "agg: max,")},
            effects={"models/orders.yml": _SEMANTIC_SAME},
        ),
        Change(
            name="metric",
            files={"models/orders.yml": _ORDERS.replace("Sold,", "Sales,")},
            effects={"models/orders.yml": _SEMANTIC_SAME},
        ),
        Change(
            name="saved query",
            files={"models/orders.yml": _ORDERS.replace("as: table", "as: view")},
            effects={"models/orders.yml": _SEMANTIC_SAME},
        ),
    ),
)

_ADD = """\
functions:
  - name: add_one
    arguments: [{name: x, data_type: int}]
    returns: {data_type: int}
"""

FUNCTIONS = Small(
    name="functions",
    files={
        "functions/add_one.sql": "x + 1\n",
        "functions/functions.yml": _ADD,
        "models/b.sql": "select {{ function('add_one') }}(2) as id\n",
    },
    changes=(
        Change(
            name="body",
            files={"functions/add_one.sql": "x + 1 + 0\n"},
            roots={"add_one": "modified: body"},
            downstream={"b": "downstream of add_one"},
        ),
        Change(
            name="arguments",
            files={"functions/functions.yml": _ADD.replace("data_type: int}]", "data_type: bigint}]")},
            roots={"add_one": "modified: arguments or return type"},
            downstream={"b": "downstream of add_one"},
        ),
        Change(
            name="model that calls it",
            files={"models/b.sql": "select {{ function('add_one') }}(3) as id\n"},
            roots={"b": "modified: body"},
        ),
    ),
)

WHITE_SPACE = Small(
    name="white space",
    files={"models/b.sql": "select 'a b' as name -- why\n, 2 as id\n"},
    changes=(
        Change(
            name="in a literal",
            files={"models/b.sql": "select 'a  b' as name -- why\n, 2 as id\n"},
            roots={"b": "modified: body"},
        ),
        Change(
            name="that ends a comment",
            files={"models/b.sql": "select 'a b' as name -- why , 2 as id\n"},
            roots={"b": "modified: body"},
        ),
    ),
)

SMALL_PROJECTS = (
    *(GRAPH, GRAPH_IN_SQL, DISPATCH, SEARCH_ORDER, HIERARCHY, BUILTIN_NAMES, EXTERNAL, VARIABLES, COMPUTED),
    *(SETTINGS, STATEMENTS, SEEDS, SEMANTIC, WHITE_SPACE),
    *(MENTIONED, PROPERTIES),
    # dbt-core 1.10 knows no functions, 1.11 no file of variables.
    *([FUNCTIONS] if _DBT >= (1, 11) else ()),
    *([VARIABLE_FILE] if _DBT >= (1, 12) else ()),
)
