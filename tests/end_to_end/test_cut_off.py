"""What reads only contents that the base holds, too, is not built, and says so with the evidence."""

from __future__ import annotations

import pytest

from tests.support.compare_project import ON_THE_QUICK_ONES, STAYS, Shop, shop
from tests.support.validation import Validation

__all__ = ["shop"]

pytestmark = pytest.mark.slow

OPTIONS = ("--dbt-ci-compare=auto", "--dbt-ci-build-less=contents")
TABLE = "{{ config(materialized='table') }}\n"
REFACTORED = f"{TABLE}with s as ({STAYS}) select id, dog, price from s\n"
DEARER = TABLE + STAYS.replace("s.price as", "s.price + case when s.id < 2 then 7000.01 else 0 end as")
ONLY_DUCKDB = pytest.mark.parametrize("shop", ["duckdb"], indirect=True)


def outcomes(run: Validation) -> dict[str, str]:
    return {n.split(".sql::")[-1]: c.outcome for n, c in run.cases.items() if "::compare" not in n}


def test_a_refactoring_builds_what_it_changed_and_nothing_that_reads_it(shop: Shop) -> None:
    directory = shop.branch("refactor", {"models/stays.sql": REFACTORED})
    run = shop.validate(directory, *OPTIONS, "-v", "-rs")
    assert run.code == 0, run.output
    assert outcomes(run) == {
        **dict.fromkeys(("stays", "unique_stays_id", "not_null_stays_id"), "passed"),
        **dict.fromkeys(("dogs", "unique_dogs_dog"), "skipped"),
    }
    dogs = next(c for n, c in run.cases.items() if n.endswith("::dogs"))
    assert dogs.message.startswith("inputs identical to the base's: stays (101 rows, 3 columns, ")
    assert dogs.properties["dbt_left_out"] == "contents"
    compared = next(c for n, c in run.cases.items() if n.endswith("dogs::compare"))
    assert (compared.outcome, compared.message) == ("skipped", dogs.message)
    assert "dropped dbt_build_7, dbt_build_7__base" in run.output
    assert shop.others() == shop.before


@ON_THE_QUICK_ONES
def test_what_reads_other_contents_is_built(shop: Shop) -> None:
    for name, text in (("dearer", DEARER), ("moved", REFACTORED.replace("id, dog, price", "dog, id, price"))):
        directory = shop.branch(name, {"models/stays.sql": text})
        run = shop.validate(directory, *OPTIONS)
        assert run.code == 0, run.output
        assert set(outcomes(run).values()) == {"passed"}
        assert len(outcomes(run)) == 5
    assert shop.others() == shop.before


@ONLY_DUCKDB
def test_what_a_python_test_needs_is_built(shop: Shop) -> None:
    needs = "import pytest\n\n@pytest.mark.dbt_needs('dogs')\ndef test_dogs(dbt_relation):\n    dbt_relation('dogs')\n"
    asks = "def test_dogs(dbt_query):\n    assert len(dbt_query(\"select * from {{ ref('dogs') }}\")) == 8\n"
    for name, text in (("needs", needs), ("asks", asks)):
        directory = shop.branch(name, {"models/stays.sql": REFACTORED, "tests/test_dogs.py": text})
        run = shop.validate(directory, *OPTIONS, *(("-n2",) if name == "needs" else ()))
        assert run.code == 0, run.output
        found = outcomes(run)
        assert found.pop("unique_dogs_dog") == ("skipped" if name == "needs" else "passed")
        assert set(found.values()) == {"passed"}, run.output


@ONLY_DUCKDB
def test_what_follows_a_failure_is_skipped_as_dbt_skips_it(shop: Shop) -> None:
    twice = f"{TABLE}{STAYS} union all {STAYS} where s.id = 7\n"
    directory = shop.branch("twice", {"models/stays.sql": twice})
    run = shop.validate(directory, *OPTIONS)
    assert run.code == 1, run.output
    found = outcomes(run)
    assert (found["unique_stays_id"], found["dogs"], found["unique_dogs_dog"]) == ("failed", "skipped", "skipped")
    dogs = next(c for n, c in run.cases.items() if n.endswith("::dogs"))
    assert dogs.message == "test unique_stays_id failed upstream"


@ONLY_DUCKDB
def test_what_does_not_follow_from_the_rows_alone_is_built(shop: Shop) -> None:
    reads = "from {{ ref('stays') }}"
    files: dict[str, str | None] = {
        "models/first.sql": f"{TABLE}select * {reads} limit 3\n",
        "models/numbered.sql": f"{TABLE}select id, row_number() over (order by dog) as n {reads}\n",
        "models/seen.sql": f"{TABLE}select id, current_date as seen {reads}\n",
        "models/asked.sql": TABLE + "{% set n = run_query('select 1') %}select id " + reads + "\n",
        "models/said.sql": TABLE + "select id, {{ var('as_of', 'current_date') }} as seen " + reads + "\n",
        "models/elsewhere.sql": TABLE + "select id, '{{ target.schema }}' as place " + reads + "\n",
        "models/here.sql": TABLE + "select id, '{{ schema }}' as place " + reads + "\n",
        "models/called.sql": f"{TABLE}select hash(id) as h {reads}\n",
        "models/tested.yml": """\
models:
- name: plain
  columns: [{name: id, data_tests: [not_null: {config: {where: "now() > date '2000-01-01'"}}]}]
""",
        "models/off.sql": "{{ config(enabled=false) }} select 1 as one\n",
        "models/hooked.sql": "{{ config(post_hook='select 1') }}select id " + reads + "\n",
        "models/plain.sql": f"select id {reads}\n",
        "models/further.sql": "select count(*) as n from {{ ref('plain') }}\n",
        "models/both.sql": "select a.id from {{ ref('plain') }} a join {{ ref('first') }} b on a.id = b.id\n",
    }
    directory = shop.branch("traps", {"models/stays.sql": REFACTORED}, base=files)
    run = shop.validate(directory, *OPTIONS)
    assert run.code == 0, run.output
    left = {n for n, o in outcomes(run).items() if o == "skipped"}
    # `plain` is left out by itself, but what is built reads it.
    assert left == {"dogs", "unique_dogs_dog", "further"}


@ONLY_DUCKDB
def test_what_reads_anything_else_that_changed_is_built(shop: Shop) -> None:
    reads = "from {{ ref('stays') }}"
    books = "sources:\n- name: book\n  schema: raw\n  tables: [{name: visits, identifier: stays}]\n"
    hooked, asking = TABLE.replace(")", ", post_hook='select 1')"), "{% set n = run_query('select 1') %}"
    read = ("stays", "typed", "hooked", "asking", "inner", "kept", "zeros")
    files: dict[str, str | None] = {
        "models/book.yml": books,
        "models/typed.sql": f"{TABLE}select id {reads}\n",
        "models/hooked.sql": f"{TABLE}select id {reads}\n",
        "models/asking.sql": f"{TABLE}{asking}select id {reads}\n",
        "models/inner.sql": "{{ config(materialized='ephemeral') }}\nselect id from {{ source('raw', 'stays') }}\n",
        "models/zeros.sql": f"{TABLE}select id, cast(case when id < 9 then '-0' else '0' end as double) as zero "
        "from {{ source('raw', 'stays') }}\n",
        "models/kept.sql": "{{ config(materialized='ephemeral') }}\n" + f"select id {reads}\n",
        "models/booked.sql": f"select s.id {reads} s join {{{{ source('book', 'visits') }}}} v on v.id = s.id\n",
        **{f"models/of_{name}.sql": f"select id from {{{{ ref('{name}') }}}}\n" for name in read},
        "models/both.sql": f"select s.id {reads} s join {{{{ ref('inner') }}}} i on i.id = s.id\n",
    }
    changed: dict[str, str | None] = {
        "models/stays.sql": REFACTORED,
        "models/book.yml": books.replace("schema: raw", "schema: prod"),
        "models/typed.sql": f"{TABLE}select cast(id as bigint) as id {reads}\n",
        "models/hooked.sql": f"{hooked}select id {reads}\n",
        "models/asking.sql": f"{TABLE}{asking}select id {reads} where 1 = 1\n",
        "models/inner.sql": f"{files['models/inner.sql']} where id > 7\n",
        # 0 and -0 are equal: which of them `distinct` takes does not follow from the rows.
        "models/zeros.sql": f"{files['models/zeros.sql']} where 1 = 1\n",
    }
    directory = shop.branch("besides", changed, base=files)
    run = shop.validate(directory, *OPTIONS, "--dbt-ci-exclude=inner")
    assert run.code == 0, run.output
    left = {n for n, o in outcomes(run).items() if o == "skipped"}
    assert left == {"dogs", "unique_dogs_dog", "of_stays", "of_kept"}
    # Without rows everything is the same.
    empty = shop.validate(directory, *OPTIONS, DBT_EMPTY="true")
    assert empty.code == 0, empty.output
    assert set(outcomes(empty).values()) == {"passed"}


@ONLY_DUCKDB
def test_the_rule_needs_the_bases_version(shop: Shop) -> None:
    directory = shop.branch("alone", {"models/stays.sql": REFACTORED})
    run = shop.validate(directory, "--dbt-ci-build-less=contents")
    assert run.code == 4, run.output
    assert "it goes with --dbt-ci-compare" in " ".join(run.output.split())
    both = shop.validate(directory, "--dbt-ci-build-less=contents,all", "--dbt-ci-compare=auto")
    assert both.code == 4, both.output
    assert "choose" in both.output
