"""What an unchanged file means by a name, and what it calls while it is parsed: dbt's partial parse does not look."""

from __future__ import annotations

from tests.support.change_cases.case import COMPARES_AS_WRITTEN
from tests.support.small_projects.project import Change, Small

_VIEW = "{% macro kind_of_dogs() %}{{ return('view') }}{% endmacro %}\n"
_NAMING = "{% macro default__generate_schema_name(custom, node) %}{{ target.schema }}_one{% endmacro %}\n"
# Since 1.12 dbt calls neither modified, as the node's own file is not.
_CONFIG = "affected: rendered configuration" if COMPARES_AS_WRITTEN else "modified: config"
_MOVED = "affected: relation's name" if COMPARES_AS_WRITTEN else "modified: relation"

_NAMED = "macro default__generate_schema_name changed: dbt itself calls it for every node"

UNCHANGED_FILES = Small(
    name="unchanged files",
    files={
        "packages.yml": "packages:\n  - local: kit\n",
        "kit/dbt_project.yml": "name: kit\n",
        "kit/models/one.sql": "select 1 as id\n",
        "kit/models/two.sql": "select * from {{ ref('one') }}\n",
        "kit/models/loaded.sql": "select * from {{ source('posts', 'load') }}\n",
        "kit/models/docs.md": "{% docs told %}One.{% enddocs %}\n",
        "kit/models/kit.yml": """\
models:
  - {name: one, description: "{{ doc('told') }}", config: {persist_docs: {relation: true}}}
sources:
  - {name: posts, schema: north, tables: [{name: load}]}
""",
        "macros/kinds.sql": _VIEW,
        "macros/pick.sql": "{% macro pick(name) %}{{ return(context['kind_of_' ~ name]()) }}{% endmacro %}\n",
        "macros/apply.sql": "{% macro apply(f=kind_of_dogs) %}{{ return(f()) }}{% endmacro %}\n",
        "macros/naming.sql": _NAMING,
        "models/a.sql": "{{ config(materialized=pick('dogs')) }}select 1 as id\n",
        "models/b.sql": "{{ config(materialized=apply()) }}select 1 as id\n",
        "models/c.sql": "select 1 as id\n",
    },
    changes=(
        Change(
            name="macros that they call by a computed name or as a default, names that others take",
            files={
                "macros/kinds.sql": _VIEW.replace("view", "table"),
                "models/docs.md": "{% docs told %}Two.{% enddocs %}\n",
                "models/one.sql": "{{ config(alias='own') }}select 2 as id\n",
                "models/s.yml": "sources:\n  - {name: posts, overrides: kit, schema: south, tables: [{name: load}]}\n",
            },
            roots={
                "a": _CONFIG,
                "b": _CONFIG,
                "one": "modified: persisted description",
                "two": "affected: parents",
            },
            downstream={"loaded": f"downstream of posts.load, {_MOVED} (models/s.yml)"},
        ),
        Change(
            name="the macro that names their schemas",
            files={"macros/naming.sql": _NAMING.replace("one", "two")},
            roots=dict.fromkeys(("a", "b", "c", "one", "two", "loaded"), "affected: relation's name"),
            effects={"macros/naming.sql": f"everything: {_NAMED}"},
            notes=(f"every node can be affected: {_NAMED} (macros/naming.sql)",),
        ),
    ),
)
