"""Settings and properties, and what is said of paths that have no effect."""

from __future__ import annotations

from importlib.metadata import version

from tests.support.change_cases.case import DBT
from tests.support.small_projects.project import SKELETON, Change, Small

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
        "models/listed.sql": "select '{{ builtins.ref.manifest.nodes | length if execute }}' as id\n",
        "macros/version_of.sql": "{% macro version_of(own) %}{{ return(own.config.version) }}{% endmacro %}\n",
        "macros/version.sql": "{% macro version() %}{{ return(version_of(builtins.ref)) }}{% endmacro %}\n",
        "models/released.sql": "select '{{ version() }}' as id\n",
        "models/named.sql": "select '{{ adapter.config.project_name }}' as id\n",
        "models/ordered.sql": "select 1 as id, 2 as n\n",
        "models/quoted.sql": "{# var(name), graph.nodes #}select graph.id from (select 1 as id) as graph\n",
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
                "listed": "affected: reads the graph of nodes",
                "released": "affected: macro version reads the project's settings",
                "named": "affected: reads the project's settings",
                "ordered": "affected: columns",
                "quoted": "affected: columns",
            },
        ),
        Change(
            name="a key that configures no node",
            files={"dbt_project.yml": _TAGGED + "version: 2.0.0\nvars: {read_by_none: 1}\n"},
            effects={"dbt_project.yml": "selected: nothing reads variable read_by_none"},
            roots={
                "counted": "affected: reads the graph of nodes",
                "listed": "affected: reads the graph of nodes",
                "released": "affected: macro version reads the project's settings",
                "named": "affected: reads the project's settings",
            },
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
                "dbt_project.yml": _SETTINGS.replace("['select 1']", "select 1").replace(
                    "{", "{use_colors: false, validate_macro_args: false, ", 1
                )
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
            files={"dbt_project.yml": _SETTINGS.replace("{", "{use_colors: false, introspect: false, ", 1)},
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
                if DBT >= (1, 12)
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
