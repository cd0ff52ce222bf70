"""Write a synthetic dbt project of a given size as a git repository with a pull request waiting in it.

Ten models make a domain: four staging models over shared seeds, three intermediate ones, three marts. A project
is as many domains as it takes, each reading one staging model of its neighbour, so that the pull request (five
changed models in the first domain) reaches the same nodes however large the project is.
"""

from __future__ import annotations

import argparse
import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MODELS_PER_DOMAIN = 10
MASTER, PULL_REQUEST, OTHER_PULL_REQUEST = "master", "pr-1", "pr-2"
PROD_SCHEMA = "analytics"

_AREAS = ("sales", "finance", "growth", "supply", "people", "support", "product", "risk")
_SEED_ROWS = 40


@dataclass(frozen=True, kw_only=True)
class Model:
    """Hold one model: its SQL, its two data tests as YAML lines, and the folder that gives its schema."""

    name: str
    layer: str
    sql: str
    column: str
    tests: tuple[str, str]


def generate(folder: Path, models: int) -> None:
    """Write the repository into `folder`, which must not exist yet; the same size gives the same commits.

    Branches: `master`, one commit ahead of the merge base; `pr-1` and `pr-2`, each changing five models on top
    of the merge base. `pr-1` is checked out. Raises ValueError for a size that is not a multiple of ten.
    """
    if models < MODELS_PER_DOMAIN or models % MODELS_PER_DOMAIN:
        raise ValueError(f"a project has a multiple of {MODELS_PER_DOMAIN} models, not {models}")
    domains = models // MODELS_PER_DOMAIN
    folder.mkdir(parents=True)
    _git(folder, "init", "--quiet", "--initial-branch", MASTER)
    _write(folder, dict(_project_files(domains)))
    _commit(folder, "Start the project")
    for branch, domain in ((PULL_REQUEST, 0), (OTHER_PULL_REQUEST, domains - 1)):
        _git(folder, "checkout", "--quiet", "-b", branch, MASTER)
        _write(folder, dict(_changed_files(domain, domains, branch)))
        _commit(folder, "Change five models")
    _git(folder, "checkout", "--quiet", MASTER)
    _write(folder, {"docs/owners.md": "Every area has an owner.\n"})
    _commit(folder, "Name the owners")
    _git(folder, "checkout", "--quiet", PULL_REQUEST)


def changed_models(domain: int, domains: int) -> tuple[Model, ...]:
    """Return the five models that a pull request changes: two staging, two intermediate, one mart."""
    suffixes = ("__customers", "__products", "__order_payments", "__product_sales", "__revenue")
    return tuple(
        model
        for model in _models(domain, domains)
        if model.name.endswith(suffixes) and not model.name.startswith("dim_")
    )


def _changed_files(domain: int, domains: int, branch: str) -> Iterator[tuple[str, str]]:
    for model in changed_models(domain, domains):
        yield _path(domain, model), model.sql.replace("\nfrom final", f",\n    '{branch}' as changed_by\nfrom final")


def _project_files(domains: int) -> Iterator[tuple[str, str]]:
    yield "dbt_project.yml", _DBT_PROJECT
    yield "profiles.yml", _PROFILES
    yield ".gitignore", "target/\nlogs/\ndbt_packages/\n.pytest_cache/\n"
    for name, header, row in _SEEDS:
        rows = (row.format(i=i, j=i % 7 + 1, k=(i * 37) % 900 + 100) for i in range(1, _SEED_ROWS + 1))
        yield f"seeds/{name}.csv", "\n".join((header, *rows)) + "\n"
    yield "macros/shared.sql", _MACROS
    for domain in range(domains):
        area = _area(domain)
        yield f"macros/{area}.sql", _DOMAIN_MACRO.replace("<area>", area)
        models = _models(domain, domains)
        for model in models:
            yield _path(domain, model), model.sql
        for layer in ("staging", "intermediate", "marts"):
            described = "".join(_properties(m) for m in models if m.layer == layer)
            yield f"models/{layer}/{area}/_{area}__models.yml", f"version: 2\n\nmodels:\n{described}"


def _properties(model: Model) -> str:
    tests = "".join(f"          {line}\n" for test in model.tests for line in test.splitlines())
    return (
        f"  - name: {model.name}\n"
        f"    description: One row for each {model.column.removesuffix('_id')} of {model.name}.\n"
        f"    columns:\n"
        f"      - name: {model.column}\n"
        f"        description: The key of {model.name}.\n"
        f"        data_tests:\n{tests}"
    )


def _models(domain: int, domains: int) -> tuple[Model, ...]:
    area, neighbour = _area(domain), _area((domain - 1) % domains)
    built = []
    for layer, name, column, columns, body in _TEMPLATES:
        sql = f"{{{{ config(materialized='{_MATERIALIZED[layer]}') }}}}\n\nwith {body.strip()}\n\n"
        sql += "select\n    " + ",\n    ".join(columns.split()) + "\nfrom final\n"
        key = _RELATED.get(name)
        second = _RELATIONSHIP.format(model=key[0], field=key[1]) if key else "- not_null"
        first = "- not_null" if key else "- unique"
        name, sql, second = (
            text.replace("<area>", area).replace("<neighbour>", neighbour) for text in (name, sql, second)
        )
        built.append(Model(name=name, layer=layer, sql=sql, column=column, tests=(first, second)))
    return tuple(built)


def _area(domain: int) -> str:
    return f"{_AREAS[domain % len(_AREAS)]}_{domain:03d}"


def _path(domain: int, model: Model) -> str:
    return f"models/{model.layer}/{_area(domain)}/{model.name}.sql"


def _write(folder: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")


def _commit(folder: Path, subject: str) -> None:
    _git(folder, "add", "--all")
    _git(folder, "commit", "--quiet", "--message", subject)


def _git(folder: Path, *arguments: str) -> None:
    who = {"NAME": "Bench", "EMAIL": "bench@example.com", "DATE": "2024-01-01T00:00:00+0000"}
    identity = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()}
    plain = ("-c", "commit.gpgsign=false", "-c", "core.autocrlf=false", "-c", "gc.auto=0")
    subprocess.run(["git", *plain, *arguments], cwd=folder, env={**os.environ, **identity}, check=True)


_MATERIALIZED = {"staging": "view", "intermediate": "view", "marts": "table"}
_RELATIONSHIP = "- relationships:\n    arguments:\n      to: ref('{model}')\n      field: {field}"
_RELATED = {
    "int_<area>__order_payments": ("stg_<area>__orders", "order_id"),
    "int_<area>__product_sales": ("stg_<area>__products", "product_id"),
}
_SEEDS = (
    ("raw_customers", "id,full_name,email,joined_on", "{i},Customer {i},c{i}@example.com,2024-01-1{j}"),
    ("raw_orders", "id,customer_id,product_id,ordered_on,status", "{i},{j},{j},2024-02-1{j},placed"),
    ("raw_payments", "id,order_id,amount_cents,method", "{i},{i},{k},card"),
    ("raw_products", "id,name,price_cents,category", "{i},Product {i},{k},toys"),
)
# (layer, name, key column, columns of the last select, CTEs)
_TEMPLATES = (
    (
        "staging",
        "stg_<area>__customers",
        "customer_id",
        "customer_id full_name email joined_on area",
        """source as (
    select * from {{ ref('raw_customers') }}
),

final as (
    select
        id as customer_id,
        {{ clean_text('full_name') }} as full_name,
        {{ clean_text('email') }} as email,
        cast(joined_on as date) as joined_on,
        {{ <area>_label() }} as area
    from source
)""",
    ),
    (
        "staging",
        "stg_<area>__orders",
        "order_id",
        "order_id customer_id product_id ordered_on status area",
        """source as (
    select * from {{ ref('raw_orders') }}
),

final as (
    select
        id as order_id,
        customer_id,
        product_id,
        cast(ordered_on as date) as ordered_on,
        {{ clean_text('status') }} as status,
        {{ <area>_label() }} as area
    from source
)""",
    ),
    (
        "staging",
        "stg_<area>__payments",
        "payment_id",
        "payment_id order_id amount method",
        """source as (
    select * from {{ ref('raw_payments') }}
),

final as (
    select
        id as payment_id,
        order_id,
        {{ cents_to_dollars('amount_cents') }} as amount,
        {{ clean_text('method') }} as method
    from source
)""",
    ),
    (
        "staging",
        "stg_<area>__products",
        "product_id",
        "product_id name price category",
        """source as (
    select * from {{ ref('raw_products') }}
),

final as (
    select
        id as product_id,
        {{ clean_text('name') }} as name,
        {{ cents_to_dollars('price_cents') }} as price,
        {{ clean_text('category') }} as category
    from source
)""",
    ),
    (
        "intermediate",
        "int_<area>__order_payments",
        "order_id",
        "order_id customer_id product_id ordered_on amount payments",
        """orders as (
    select * from {{ ref('stg_<area>__orders') }}
),

payments as (
    select
        order_id,
        sum(amount) as amount,
        count(*) as payments
    from {{ ref('stg_<area>__payments') }}
    group by order_id
),

final as (
    select
        orders.order_id,
        orders.customer_id,
        orders.product_id,
        orders.ordered_on,
        coalesce(payments.amount, 0) as amount,
        coalesce(payments.payments, 0) as payments
    from orders
    left join payments on orders.order_id = payments.order_id
)""",
    ),
    (
        "intermediate",
        "int_<area>__customer_orders",
        "customer_id",
        "customer_id known_elsewhere first_order last_order orders",
        """customers as (
    select * from {{ ref('stg_<area>__customers') }}
),

elsewhere as (
    select customer_id, email from {{ ref('stg_<neighbour>__customers') }}
),

orders as (
    select
        customer_id,
        min(ordered_on) as first_order,
        max(ordered_on) as last_order,
        count(*) as orders
    from {{ ref('stg_<area>__orders') }}
    group by customer_id
),

final as (
    select
        customers.customer_id,
        elsewhere.email is not null as known_elsewhere,
        orders.first_order,
        orders.last_order,
        coalesce(orders.orders, 0) as orders
    from customers
    left join elsewhere on customers.customer_id = elsewhere.customer_id
    left join orders on customers.customer_id = orders.customer_id
)""",
    ),
    (
        "intermediate",
        "int_<area>__product_sales",
        "product_id",
        "product_id category revenue orders",
        """products as (
    select * from {{ ref('stg_<area>__products') }}
),

orders as (
    select product_id, count(*) as orders
    from {{ ref('stg_<area>__orders') }}
    group by product_id
),

final as (
    select
        products.product_id,
        products.category,
        {{ money('products.price * coalesce(orders.orders, 0)') }} as revenue,
        coalesce(orders.orders, 0) as orders
    from products
    left join orders on products.product_id = orders.product_id
)""",
    ),
    (
        "marts",
        "dim_<area>__customers",
        "customer_id",
        "customer_id first_order last_order orders tier",
        """customer_orders as (
    select * from {{ ref('int_<area>__customer_orders') }}
),

final as (
    select
        customer_id,
        first_order,
        last_order,
        orders,
        case when orders > 5 then 'gold' when orders > 0 then 'silver' else 'none' end as tier
    from customer_orders
)""",
    ),
    (
        "marts",
        "fct_<area>__orders",
        "order_id",
        "order_id customer_id product_id ordered_on amount full_name",
        """order_payments as (
    select * from {{ ref('int_<area>__order_payments') }}
),

customers as (
    select * from {{ ref('stg_<area>__customers') }}
),

final as (
    select
        order_payments.order_id,
        order_payments.customer_id,
        order_payments.product_id,
        order_payments.ordered_on,
        {{ money('order_payments.amount') }} as amount,
        customers.full_name
    from order_payments
    left join customers on order_payments.customer_id = customers.customer_id
)""",
    ),
    (
        "marts",
        "mart_<area>__revenue",
        "product_id",
        "product_id category revenue paid",
        """sales as (
    select * from {{ ref('int_<area>__product_sales') }}
),

paid as (
    select product_id, sum(amount) as paid
    from {{ ref('fct_<area>__orders') }}
    group by product_id
),

final as (
    select
        sales.product_id,
        sales.category,
        sales.revenue,
        coalesce(paid.paid, 0) as paid
    from sales
    left join paid on sales.product_id = paid.product_id
)""",
    ),
)

_DBT_PROJECT = """\
name: bench
version: "1.0"
profile: duckdb
model-paths: [models]
seed-paths: [seeds]
macro-paths: [macros]

flags:
  send_anonymous_usage_stats: false

seeds:
  bench:
    +schema: raw

models:
  bench:
    staging:
      +schema: staging
    intermediate:
      +schema: intermediate
    marts:
      +schema: marts
"""

_PROFILES = f"""\
duckdb:
  target: ci
  outputs:
    ci: &duckdb
      type: duckdb
      path: "{{{{ env_var('BENCH_DUCKDB') }}}}"
      schema: "{{{{ env_var('BENCH_SCHEMA', 'dbt_build_local') }}}}"
      threads: 4
    prod:
      <<: *duckdb
      schema: {PROD_SCHEMA}

postgres:
  target: ci
  outputs:
    ci: &postgres
      type: postgres
      host: "{{{{ env_var('BENCH_PGHOST') }}}}"
      port: "{{{{ env_var('BENCH_PGPORT', '5432') | as_number }}}}"
      user: "{{{{ env_var('BENCH_PGUSER', 'postgres') }}}}"
      password: "{{{{ env_var('BENCH_PGPASSWORD', '') }}}}"
      dbname: "{{{{ env_var('BENCH_PGDATABASE', 'postgres') }}}}"
      schema: "{{{{ env_var('BENCH_SCHEMA', 'dbt_build_local') }}}}"
      threads: 4
    prod:
      <<: *postgres
      schema: {PROD_SCHEMA}
"""

_MACROS = """\
{% macro cents_to_dollars(column) -%}
    {{ money(column ~ ' / 100.0') }}
{%- endmacro %}

{% macro money(expression) -%}
    cast({{ expression }} as numeric(18, 2))
{%- endmacro %}

{% macro clean_text(column) -%}
    nullif(trim(cast({{ column }} as varchar(256))), '')
{%- endmacro %}

{# The schema of a build is its target's, followed by the folder's: what dbt does by default, said out loud. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
    {%- if custom_schema_name is none -%}
        {{ target.schema }}
    {%- else -%}
        {{ target.schema }}_{{ custom_schema_name | trim }}
    {%- endif -%}
{%- endmacro %}

{# What a team calls when a pull request's build is over. #}
{% macro drop_build_schemas(prefix) %}
    {% set found = run_query(
        "select schema_name from information_schema.schemata where catalog_name = '" ~ target.database ~ "'"
    ) %}
    {% for name in found.columns[0].values() if name == prefix or name.startswith(prefix ~ '_') %}
        {% do adapter.drop_schema(api.Relation.create(database=target.database, schema=name)) %}
    {% endfor %}
{% endmacro %}
"""

_DOMAIN_MACRO = """\
{% macro <area>_label() -%}
    '{{ "<area>" | upper }}'
{%- endmacro %}
"""


def main() -> None:
    """Generate one repository from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--models", type=int, default=500)
    arguments = parser.parse_args()
    generate(arguments.folder, arguments.models)


if __name__ == "__main__":
    main()
