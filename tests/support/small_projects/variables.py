"""Variables, and names that are computed or only mentioned."""

from __future__ import annotations

from tests.support.small_projects.project import SKELETON, Change, Small

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

_VALUES = (
    str(SKELETON["dbt_project.yml"])
    + "vars:\n  n: 1\n  m: {x: 1, y: 2}\n  gone: null\n  up: true\n  path: {dogs: data/dogs}\n  kind: cats\n"
)

_META = "models:\n  - {name: meta, config: {meta: {x: 1, y: 2}, extra: {x: 1, y: 2}}}\n"

VALUES = Small(
    name="values as Jinja sees them",
    files={
        "dbt_project.yml": _VALUES,
        "models/a.sql": "select {{ var('n') }} as id\n",
        "models/b.sql": "select {{ var('m') | join }} as id\n",
        "models/gone.sql": "select '{{ var('gone', 1) }}' as id\n",
        "models/up.sql": "{{ config(enabled=var('up')) }}select 1 as id\n",
        "models/meta.sql": "select {{ config.get('meta') | join }} as id\n",
        "models/models.yml": _META,
        "models/told.sql": "select '{{ model.columns }}' as id\n",
        "models/told.yml": "models:\n  - {name: told, columns: [{name: x}, {name: y}]}\n",
        "data/dogs": "id\n1\n",
        "data/cats/1": "id\n1\n",
        "data/hens": "id\n1\n",
        "models/dogs.sql": 'select * from read_csv(\'{{ var("path")["dogs"] }}\')\n',
        "models/cats.sql": "select * from read_csv(['data/horses', 'data/{{ var(\"kind\") }}/*'])\n",
        "models/hens.sql": "{% set place = 'data/hens' %}select * from read_csv('{{ place }}')\n",
    },
    changes=(
        Change(
            name="otherwise",
            files={
                "dbt_project.yml": _VALUES.replace("n: 1", "n: 1.0")
                .replace("{x: 1, y: 2}", "{y: 2, x: 1}")
                .replace("  gone: null\n", "")
                .replace("up: true", "up: false"),
                "models/models.yml": _META.replace("{x: 1, y: 2}, extra", "{y: 2, x: 1}, extra"),
                "models/told.yml": "models:\n  - {name: told, columns: [{name: y}, {name: x}]}\n",
            },
            roots={
                "a": "affected: variable n",
                "b": "affected: variable m",
                "gone": "affected: variable gone",
                "meta": "affected: rendered configuration",
                "told": "affected: reads its own description, columns or tags",
            },
            effects={"dbt_project.yml": "selected: removed: up (disabled)"},
        ),
        Change(
            name="files that Jinja names",
            files=dict.fromkeys(("data/dogs", "data/cats/1", "data/hens"), "id\n2\n"),
            roots={
                "dogs": "affected: dogs, which variable path names",
                "cats": "affected: reads 1",
                "hens": "affected: reads hens",
            },
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
        "macros/got.sql": "{% macro got(x) %}{% set f = depot.get('cents') %}{{ f(x) }}{% endmacro %}\n",
        "macros/joined.sql": "{% macro joined(x) %}{% set f = depot['ce' ~ 'nts'] %}{{ f(x) }}{% endmacro %}\n",
        "macros/chosen.sql": "{% macro chosen(n, x) %}{% set f = depot[n] %}{{ f(x) }}{% endmacro %}\n",
        "macros/found.sql": "{% macro found(n, x) %}{% set f = depot.get(n) %}{{ f(x) }}{% endmacro %}\n",
        "macros/walked.sql": "{% macro walked(n, x) %}{% for k, f in depot.items() if k == n %}{{ f(x) }}{% endfor %}"
        "{% endmacro %}\n",
        "macros/handed.sql": "{% macro handed(n, x) %}{% set d = depot %}{% set f = d[n] %}{{ f(x) }}{% endmacro %}\n",
        "macros/within.sql": "{% macro within(n, x) %}{% set c = context %}{% set f = c[n] %}{{ f(x) }}{% endmacro %}",
        # What merely looks like one of these.
        "macros/listed.sql": "{% macro listed(depot, n) %}{% set f = depot[n] %}{{ f }}{% endmacro %}\n",
        "macros/asked.sql": "{% macro asked(n) %}{{ 3 if n in depot else 4 }}{% endmacro %}\n",
        "models/got.sql": "select {{ got(2) }} as a, {{ joined(2) }} as b\n",
        "models/chosen.sql": "select {{ chosen('cents', 2) }} as id\n",
        "models/found.sql": "select {{ found('cents', 2) }} as id\n",
        "models/walked.sql": "select {{ walked('cents', 2) }} as id\n",
        "models/handed.sql": "select {{ handed('cents', 2) }} as id\n",
        "models/within.sql": "select {{ within('cents', 2) }} as id\n",
        "models/listed.sql": "select {{ listed([1, 2], 0) }} as id, {{ asked('cents') }} as n\n",
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
                **dict.fromkeys(("passed", "set", "subscript", "got"), "affected: macro cents"),
                "dispatched": "affected: macro default__one",
                **dict.fromkeys(
                    ("b", "chosen", "found", "walked", "handed", "within"),
                    "affected: macro cents, as it calls macros by computed names",
                ),
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
