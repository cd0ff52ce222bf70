"""Resources that are no plain models, and files that models and sources read."""

from __future__ import annotations

from tests.support.change_project import LARGE_SEED
from tests.support.small_projects.project import SKELETON, Change, Small

_LOADED = (
    "hooked.csv, which a hook of the whole run reads, changed; refs.db, which target ci loads, changed; "
    "dogs.py, which target ci loads, changed"
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
        # dbt-duckdb loads a module and attaches a database.
        "profiles.yml": str(SKELETON["profiles.yml"]).replace(
            "schema: dev", "schema: dev, plugins: [{module: dogs}], attach: [{path: data/refs.db}]"
        ),
        "dbt_project.yml": str(SKELETON["dbt_project.yml"])
        + "on-run-start: [\"create table if not exists h as from read_csv('data/hooked.csv')\"]\n",
        "data/hooked.csv": "id\n1\n",
        "lib/dogs.py": "import shared\n",
        "lib/shared.py": "name = 1\n",
        "data/refs.db": "one",
        "models/walked.py": "from steps import (\n    one,\n)\ndef model(dbt, session):\n    return dbt.ref('a')\n",
        "steps/__init__.py": "",
        "steps/one.py": "from .deep import two\n",
        "steps/deep.py": "two = open('data/legs.yml')\n",
        "data/legs.yml": "legs: 4\n",
        "models/loaded.py": "def model(dbt, session):\n    return importlib.import_module('paws.left')\n",
        "paws/__init__.py": "",
        "tools/report.py": "import steps\n",
    },
    changes=(
        Change(
            name="Python modules that models import, directly or not",
            files={
                "data/legs.yml": "legs: 3\n",
                "steps/deep.py": "two = open('data/legs.yml').read()\n",
                "paws/__init__.py": "paws = 4\n",
                "tools/report.py": "import paws\n",
            },
            roots={"walked": "affected: reads one.py", "loaded": "affected: reads __init__.py"},
            effects={"tools/report.py": "none: dbt builds nothing from it"},
        ),
        Change(
            name="what the target loads, and what a hook of the run reads",
            files={"lib/shared.py": "name = 2\n", "data/refs.db": "two", "data/hooked.csv": "id\n2\n"},
            roots=dict.fromkeys(
                (*"abcns", "parts", "noted", "weighed", "walked", "loaded"), f"can be affected: {_LOADED}"
            ),
            effects={
                "lib/shared.py": "everything: dogs.py, which target ci loads, changed",
                "data/refs.db": "everything: refs.db, which target ci loads, changed",
                "data/hooked.csv": "everything: hooked.csv, which a hook of the whole run reads, changed",
            },
            notes=(f"every node can be affected: {_LOADED} (data/hooked.csv, data/refs.db, lib/shared.py)",),
        ),
        Change(
            name="file of one source",
            files={"data/north.csv": "id\n7\n"},
            downstream={"n": "downstream of posts.north, affected: reads north.csv (data/north.csv)"},
        ),
        Change(
            name="file of the same name elsewhere",
            files={"old/north.csv": "id\n7\n", "models/b.sql": "select 9 as id\n", "NOTES": "Depot\n"},
            roots={"b": "modified: body"},
            effects=dict.fromkeys(("old/north.csv", "NOTES"), "none: dbt builds nothing from it"),
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
