"""Changes of single nodes and of what belongs to them: models, seeds, sources, tests."""

from __future__ import annotations

from tests.support.change_cases.case import MARTS, OWN, STAGING, Case, same, swap

_STAGING_SAME = same(
    "ages_known", "dogs", "not_null_dogs_dog_id", "positive_dogs_age", "source_unique_field_walks_walk_id"
)
_MARTS_SAME = same("contracted", "grown", "prices", "screen", "titles")
BILL = "dbt/models/marts/bill.sql"
_BILL_TEXT = "select price from {{ ref('prices') }}\n"

MODELS = (
    swap("model body", BILL, "select price from", "select price, 1 as n from", {"bill": "modified: body"}),
    swap("whitespace", BILL, "select price", "select  price", {"bill": "modified: body"}),
    Case(name="comment in SQL", files={BILL: f"-- why\n{_BILL_TEXT}"}, roots={"bill": "modified: body"}),
    Case(
        name="line endings",
        files={BILL: _BILL_TEXT.replace("\n", "\r\n") + "--\r\n"},
        roots={"bill": "modified: body"},
    ),
    Case(name="blank lines at the end", files={BILL: f"{_BILL_TEXT}\n\n"}, effects={BILL: same("bill")}),
    Case(
        name="moved model",
        files={BILL: None, "dbt/models/staging/bill.sql": _BILL_TEXT},
        roots={"bill": "modified: config, moved"},
    ),
    Case(
        name="renamed model",
        files={BILL: None, "dbt/models/marts/invoice.sql": _BILL_TEXT},
        roots={"invoice": "new"},
        effects={"dbt/models/marts/invoice.sql": "selected: removed: bill"},
    ),
    Case(name="new model", files={"dbt/models/marts/new.sql": "select 1 as n"}, roots={"new": "new"}),
    Case(name="deleted model", files={BILL: None}, effects={BILL: "removed: removed: bill"}),
    swap(
        "disabled model", BILL, "select", "{{ config(enabled=false) }} select", {}, "removed: removed: bill (disabled)"
    ),
    swap("enabled model", "dbt/models/staging/off.sql", "false", "true", {"off": "new"}),
    swap("body of a disabled model", "dbt/models/staging/off.sql", "1 as", "2 as", {}, "none: disabled: off"),
    swap(
        "ephemeral model",
        "dbt/models/staging/names.sql",
        "select dog_id",
        "select  dog_id",
        {"names": "modified: body"},
    ),
    swap(
        "python model",
        "dbt/models/marts/scored.py",
        "import scoring",
        "import scoring  # x",
        {"scored": "modified: body"},
    ),
    swap("python module of a model", "dbt/scoring.py", "2", "3", {"scored": "affected: reads scoring.py"}),
    swap(
        *("config in SQL", "dbt/models/marts/grown.sql", "unique_key='dog_id'", "unique_key='age'"),
        {"grown": "modified: body, config"},
    ),
    swap(
        "config in YAML that SQL overrides",
        MARTS,
        "{group: keepers}",
        "{group: keepers, materialized: view}",
        {},
        _MARTS_SAME,
    ),
    swap("meta", MARTS, "{owner: Ola}\n", "{owner: Eva}\n", {"grown": "modified: config"}),
    swap("tags", MARTS, "{group: keepers}", "{group: keepers, tags: [x]}", {}, _MARTS_SAME),
    swap("alias", MARTS, "{group: keepers}", "{group: keepers, alias: big}", {"grown": "modified: relation"}),
    swap("schema", MARTS, "{group: keepers}", "{group: keepers, schema: big}", {"grown": "modified: relation"}),
    swap("description", STAGING, "Steps of each dog.", "The steps.", {}, _STAGING_SAME),
    swap("persisted description", MARTS, "With title.", "Titled.", {"titles": "modified: persisted description"}),
    swap(
        *("persisted doc block", "dbt/models/docs.md", "Titles.", "The titles."),
        {"titles": "modified: persisted description"},
    ),
    swap("doc block", "dbt/models/docs.md", "Dogs.", "The dogs.", {}, "none: documentation only"),
    swap(
        *("persist_docs turned on", BILL, "select", "{{ config(persist_docs={'relation': true}) }} select"),
        {"bill": "modified: body, config"},
    ),
    swap("contract: type", MARTS, "data_type: integer", "data_type: bigint", {"contracted": "modified: contract"}),
    swap("contract: off", MARTS, "enforced: true", "enforced: false", {"contracted": "modified: config, contract"}),
    swap(
        *("contract: constraint", MARTS, "data_type: integer", "data_type: integer, constraints: [{type: not_null}]"),
        {"contracted": "modified: contract"},
    ),
    swap("contract: description", MARTS, "Number.", "No.", {}, _MARTS_SAME),
    swap("data type without contract", STAGING, "Number.", "Number.\n        data_type: int", {}, _STAGING_SAME),
    swap(
        *("latest version", MARTS, "latest_version: 1", "latest_version: 2"),
        {
            "prices.v1": "modified: latest version, access or deprecation",
            "prices.v2": "modified: latest version, access or deprecation",
            "bill": "affected: parents",
        },
    ),
    Case(
        name="version added",
        swaps=((MARTS, "      - v: 2", "      - v: 2\n      - v: 3"),),
        files={"dbt/models/marts/prices_v3.sql": "select 3 as price"},
        roots={"prices.v3": "new"},
    ),
    swap("access", MARTS, "protected", "public", {"grown": "modified: config, latest version, access or deprecation"}),
    swap(
        "owner of a group",
        MARTS,
        "owner: {name: Ola, email: ola@example.com}\nmodels",
        "owner: {name: Eva}\nmodels",
        {},
        _MARTS_SAME,
    ),
    swap("macro of a model's hook", "dbt/macros/audit.sql", "1", "2", {"titles": "modified: macro audit"}),
    swap("comment in YAML", STAGING, "sources:", "# sources\nsources:", {}, _STAGING_SAME),
    swap("exposure", MARTS, "dashboard", "notebook", {}, _MARTS_SAME),
    swap("analysis", "dbt/analyses/question.sql", "*", "dog_id", {}, same("question")),
)

SEEDS_AND_SOURCES = (
    swap("seed", "dbt/seeds/raw_dogs.csv", "Rex", "Max", {"raw_dogs": "modified: content"}),
    swap("large seed", "dbt/seeds/raw_steps.csv", "0,0\n", "0,1\n", {"raw_steps": "affected: content"}),
    swap(
        "new seed row", "dbt/seeds/raw_dogs.csv", "3,Ola,7\n", "3,Ola,7\n4,Eva,3\n", {"raw_dogs": "modified: content"}
    ),
    Case(name="new seed", files={"dbt/seeds/x.csv": "a\n1\n"}, roots={"x": "new"}),
    swap("column types of a seed", "dbt/seeds/seeds.yml", "integer", "bigint", {"raw_dogs": "modified: config"}),
    swap("description of a seed", "dbt/seeds/seeds.yml", "The register.", "Dogs.", {}, same("raw_dogs")),
    *(
        swap(f"source: {what}", STAGING, old, new, {})
        for what, old, new in (
            ("identifier", "- name: walks\n", "- name: walks\n        identifier: walk\n"),
            ("schema", "schema: field", "schema: fields"),
            ("freshness", "count: 1", "count: 2"),
            ("external location", "{name}.csv", "{name}*.csv"),
            ("quoting", "schema: field", "schema: field\n    quoting: {identifier: true}"),
        )
    ),
    swap("source: description", STAGING, "Walks.", "W.", {}, _STAGING_SAME),
    swap("data file of a source", "data/walks.csv", "900", "901", {}),
    swap(
        "data file that SQL names by a pattern", "data/other.csv", "1", "2", {"other_file": "affected: reads other.csv"}
    ),
    swap("snapshot in YAML", "dbt/snapshots/history.yml", "all", "[age]", {"history": "modified: config"}),
    swap("snapshot in SQL", "dbt/snapshots/ages.sql", "dog_id, age", "age, dog_id", {"ages": "modified: body"}),
)

CHECKS = (
    *("ages_known", "not_null_dogs_dog_id", "positive_dogs_age", "source_unique_field_walks_walk_id"),
    "unique_dogs_dog_id",
)

TESTS = (
    swap("singular test", "dbt/tests/ages_are_sane.sql", "40", "41", {"ages_are_sane": "modified: body"}),
    Case(
        name="arguments of a test",
        swaps=((STAGING, "[3, 5, 7]", "[3, 5, 7, 9]"),),
        roots={"ages_known": "modified: test definition"},
        effects={STAGING: "selected: removed: ages_known"},
    ),
    swap("new test", STAGING, "[unique, not_null]", "[unique, not_null, positive]", {"positive_dogs_dog_id": "new"}),
    swap("removed test", STAGING, "[unique, not_null]", "[unique]", {}, "removed: removed: not_null_dogs_dog_id"),
    Case(
        name="removed singular test",
        files={"dbt/tests/ages_are_sane.sql": None},
        effects={"dbt/tests/ages_are_sane.sql": "removed: removed: ages_are_sane"},
    ),
    *(
        swap(
            *(
                f"{key} of a test",
                STAGING,
                "name: ages_known\n",
                f"name: ages_known\n              config: {{{key}: {value}}}\n",
            ),
            {"ages_known": "modified: config"},
        )
        for key, value in (("severity", "warn"), ("where", "1=1"), ("warn_if", '">1"'), ("store_failures", "true"))
    ),
    swap(
        *("definition of a generic test", "dbt/tests/generic/positive.sql", "<=", "<"),
        {"positive_dogs_age": "modified: macro test_positive"},
    ),
    swap(
        *("macro of a generic test", "dbt/macros/floor_of.sql", "0", "1"),
        {"positive_dogs_age": "modified: macro floor_of"},
    ),
    Case(
        name="one of dbt's tests replaced",
        files={OWN: "{% test not_null(model, column_name) %}select 1 from {{ model }} where false{% endtest %}"},
        roots={"not_null_dogs_dog_id": "modified: macro test_not_null"},
    ),
    Case(
        name="get_where_subquery",
        files={OWN: "{% macro get_where_subquery(relation) %}{{ return(relation) }}{% endmacro %}"},
        # dbt does not record that its own unique and not_null call it.
        roots=dict.fromkeys(CHECKS, "affected: macro get_where_subquery")
        | dict.fromkeys(("ages_known", "positive_dogs_age"), "modified: macro get_where_subquery"),
    ),
    swap(
        "rows of a unit test",
        STAGING,
        "name: Rex, age: 3",
        "name: Rex, age: 4",
        {"young_dogs_stay_out": "modified: unit test"},
    ),
    swap("description of a unit test", STAGING, "    given:", "    description: x\n    given:", {}, _STAGING_SAME),
    swap(
        "CSV fixture", "dbt/tests/fixtures/two_dogs.csv", "Rex", "Max", {"young_dogs_stay_out": "modified: unit test"}
    ),
    swap("SQL fixture", "dbt/tests/fixtures/two_titles.sql", "REX", "MAX", {"titles_are_given": "modified: unit test"}),
    swap("Python test", "dbt/tests/test_python.py", "True", "1", {}, "none: dbt builds nothing from it"),
)
