"""The kinds of change: for each what has to be selected, why, and what becomes of every changed path."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import version

from tests.support.repositories import Files

STAGING = "dbt/models/staging/staging.yml"
MARTS = "dbt/models/marts/marts.yml"
PROJECT = "dbt/dbt_project.yml"
OWN = "dbt/macros/own.sql"


_COMPARES_AS_WRITTEN = tuple(map(int, version("dbt-core").split(".")[:2])) >= (1, 12)
"""Whether dbt compares a configuration that is written in SQL before it is rendered, as it does since 1.12."""


@dataclass(frozen=True, kw_only=True)
class Case:
    """One change.

    `swaps` replace a text in a file (path, old, new), `files` write or delete files. `roots` are the items that
    must be in the plan by themselves, with the reason's text; `everything` tells that all nodes are, for this
    reason. `effects` give what becomes of the paths; a path that is not named must be `selected`.
    """

    name: str
    swaps: tuple[tuple[str, str, str], ...] = ()
    files: Files = field(default_factory=dict)
    roots: Mapping[str, str] = field(default_factory=dict)
    everything: str = ""
    effects: Mapping[str, str] = field(default_factory=dict)


def _swap(name: str, path: str, old: str, new: str, roots: Mapping[str, str], effect: str = "") -> Case:
    return Case(name=name, swaps=((path, old, new),), roots=roots, effects={path: effect} if effect else {})


def _same(*names: str) -> str:
    return f"none: what is built of {', '.join(names)} is the same"


_STAGING_SAME = _same(
    "ages_known", "dogs", "not_null_dogs_dog_id", "positive_dogs_age", "source_unique_field_walks_walk_id"
)
_MARTS_SAME = _same("contracted", "grown", "prices", "screen", "titles")
_BILL = "dbt/models/marts/bill.sql"
_BILL_TEXT = "select price from {{ ref('prices') }}\n"

MODELS = (
    _swap("model body", _BILL, "select price from", "select price, 1 as n from", {"bill": "modified: body"}),
    _swap("whitespace", _BILL, "select price", "select  price", {"bill": "modified: body"}),
    Case(name="comment in SQL", files={_BILL: f"-- why\n{_BILL_TEXT}"}, roots={"bill": "modified: body"}),
    Case(
        name="line endings",
        files={_BILL: _BILL_TEXT.replace("\n", "\r\n") + "--\r\n"},
        roots={"bill": "modified: body"},
    ),
    Case(name="blank lines at the end", files={_BILL: f"{_BILL_TEXT}\n\n"}, effects={_BILL: _same("bill")}),
    Case(
        name="moved model",
        files={_BILL: None, "dbt/models/staging/bill.sql": _BILL_TEXT},
        roots={"bill": "modified: config, moved"},
    ),
    Case(
        name="renamed model",
        files={_BILL: None, "dbt/models/marts/invoice.sql": _BILL_TEXT},
        roots={"invoice": "new"},
        effects={"dbt/models/marts/invoice.sql": "selected: removed: bill"},
    ),
    Case(name="new model", files={"dbt/models/marts/new.sql": "select 1 as n"}, roots={"new": "new"}),
    Case(name="deleted model", files={_BILL: None}, effects={_BILL: "removed: removed: bill"}),
    _swap(
        "disabled model", _BILL, "select", "{{ config(enabled=false) }} select", {}, "removed: removed: bill (disabled)"
    ),
    _swap("enabled model", "dbt/models/staging/off.sql", "false", "true", {"off": "new"}),
    _swap("body of a disabled model", "dbt/models/staging/off.sql", "1 as", "2 as", {}, "none: disabled: off"),
    _swap(
        "ephemeral model",
        "dbt/models/staging/names.sql",
        "select dog_id",
        "select  dog_id",
        {"names": "modified: body"},
    ),
    _swap(
        "python model",
        "dbt/models/marts/scored.py",
        "import scoring",
        "import scoring  # x",
        {"scored": "modified: body"},
    ),
    _swap("python module of a model", "dbt/scoring.py", "2", "3", {"scored": "affected: reads scoring.py"}),
    _swap(
        *("config in SQL", "dbt/models/marts/grown.sql", "unique_key='dog_id'", "unique_key='age'"),
        {"grown": "modified: body, config"},
    ),
    _swap(
        "config in YAML that SQL overrides",
        MARTS,
        "{group: keepers}",
        "{group: keepers, materialized: view}",
        {},
        _MARTS_SAME,
    ),
    _swap("meta", MARTS, "{owner: Ola}\n", "{owner: Eva}\n", {"grown": "modified: config"}),
    _swap("tags", MARTS, "{group: keepers}", "{group: keepers, tags: [x]}", {}, _MARTS_SAME),
    _swap("alias", MARTS, "{group: keepers}", "{group: keepers, alias: big}", {"grown": "modified: relation"}),
    _swap("schema", MARTS, "{group: keepers}", "{group: keepers, schema: big}", {"grown": "modified: relation"}),
    _swap("description", STAGING, "Steps of each dog.", "The steps.", {}, _STAGING_SAME),
    _swap("persisted description", MARTS, "With title.", "Titled.", {"titles": "modified: persisted description"}),
    _swap(
        *("persisted doc block", "dbt/models/docs.md", "Titles.", "The titles."),
        {"titles": "modified: persisted description"},
    ),
    _swap("doc block", "dbt/models/docs.md", "Dogs.", "The dogs.", {}, "none: documentation only"),
    _swap(
        *("persist_docs turned on", _BILL, "select", "{{ config(persist_docs={'relation': true}) }} select"),
        {"bill": "modified: body, config"},
    ),
    _swap("contract: type", MARTS, "data_type: integer", "data_type: bigint", {"contracted": "modified: contract"}),
    _swap("contract: off", MARTS, "enforced: true", "enforced: false", {"contracted": "modified: config, contract"}),
    _swap(
        *("contract: constraint", MARTS, "data_type: integer", "data_type: integer, constraints: [{type: not_null}]"),
        {"contracted": "modified: contract"},
    ),
    _swap("contract: description", MARTS, "Number.", "No.", {}, _MARTS_SAME),
    _swap("data type without contract", STAGING, "Number.", "Number.\n        data_type: int", {}, _STAGING_SAME),
    _swap(
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
    _swap("access", MARTS, "protected", "public", {"grown": "modified: config, latest version, access or deprecation"}),
    _swap(
        "owner of a group",
        MARTS,
        "owner: {name: Ola, email: ola@example.com}\nmodels",
        "owner: {name: Eva}\nmodels",
        {},
        _MARTS_SAME,
    ),
    _swap("macro of a model's hook", "dbt/macros/audit.sql", "1", "2", {"titles": "modified: macro audit"}),
    _swap("comment in YAML", STAGING, "sources:", "# sources\nsources:", {}, _STAGING_SAME),
    _swap("exposure", MARTS, "dashboard", "notebook", {}, _MARTS_SAME),
    _swap("analysis", "dbt/analyses/question.sql", "*", "dog_id", {}, _same("question")),
)

SEEDS_AND_SOURCES = (
    _swap("seed", "dbt/seeds/raw_dogs.csv", "Rex", "Max", {"raw_dogs": "modified: content"}),
    _swap("large seed", "dbt/seeds/raw_steps.csv", "0,0\n", "0,1\n", {"raw_steps": "affected: content"}),
    _swap(
        "new seed row", "dbt/seeds/raw_dogs.csv", "3,Ola,7\n", "3,Ola,7\n4,Eva,3\n", {"raw_dogs": "modified: content"}
    ),
    Case(name="new seed", files={"dbt/seeds/x.csv": "a\n1\n"}, roots={"x": "new"}),
    _swap("column types of a seed", "dbt/seeds/seeds.yml", "integer", "bigint", {"raw_dogs": "modified: config"}),
    _swap("description of a seed", "dbt/seeds/seeds.yml", "The register.", "Dogs.", {}, _same("raw_dogs")),
    *(
        _swap(f"source: {what}", STAGING, old, new, {})
        for what, old, new in (
            ("identifier", "- name: walks\n", "- name: walks\n        identifier: walk\n"),
            ("schema", "schema: field", "schema: fields"),
            ("freshness", "count: 1", "count: 2"),
            ("external location", "{name}.csv", "{name}*.csv"),
            ("quoting", "schema: field", "schema: field\n    quoting: {identifier: true}"),
        )
    ),
    _swap("source: description", STAGING, "Walks.", "W.", {}, _STAGING_SAME),
    _swap("data file of a source", "data/walks.csv", "900", "901", {}),
    _swap(
        "data file that SQL names by a pattern", "data/other.csv", "1", "2", {"other_file": "affected: reads other.csv"}
    ),
    _swap("snapshot in YAML", "dbt/snapshots/history.yml", "all", "[age]", {"history": "modified: config"}),
    _swap("snapshot in SQL", "dbt/snapshots/ages.sql", "dog_id, age", "age, dog_id", {"ages": "modified: body"}),
)

_CHECKS = (
    *("ages_known", "not_null_dogs_dog_id", "positive_dogs_age", "source_unique_field_walks_walk_id"),
    "unique_dogs_dog_id",
)

TESTS = (
    _swap("singular test", "dbt/tests/ages_are_sane.sql", "40", "41", {"ages_are_sane": "modified: body"}),
    Case(
        name="arguments of a test",
        swaps=((STAGING, "[3, 5, 7]", "[3, 5, 7, 9]"),),
        roots={"ages_known": "modified: test definition"},
        effects={STAGING: "selected: removed: ages_known"},
    ),
    _swap("new test", STAGING, "[unique, not_null]", "[unique, not_null, positive]", {"positive_dogs_dog_id": "new"}),
    _swap("removed test", STAGING, "[unique, not_null]", "[unique]", {}, "removed: removed: not_null_dogs_dog_id"),
    Case(
        name="removed singular test",
        files={"dbt/tests/ages_are_sane.sql": None},
        effects={"dbt/tests/ages_are_sane.sql": "removed: removed: ages_are_sane"},
    ),
    *(
        _swap(
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
    _swap(
        *("definition of a generic test", "dbt/tests/generic/positive.sql", "<=", "<"),
        {"positive_dogs_age": "modified: macro test_positive"},
    ),
    _swap(
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
        roots=dict.fromkeys(_CHECKS, "affected: macro get_where_subquery")
        | dict.fromkeys(("ages_known", "positive_dogs_age"), "modified: macro get_where_subquery"),
    ),
    _swap(
        "rows of a unit test",
        STAGING,
        "name: Rex, age: 3",
        "name: Rex, age: 4",
        {"young_dogs_stay_out": "modified: unit test"},
    ),
    _swap("description of a unit test", STAGING, "    given:", "    description: x\n    given:", {}, _STAGING_SAME),
    _swap(
        "CSV fixture", "dbt/tests/fixtures/two_dogs.csv", "Rex", "Max", {"young_dogs_stay_out": "modified: unit test"}
    ),
    _swap(
        "SQL fixture", "dbt/tests/fixtures/two_titles.sql", "REX", "MAX", {"titles_are_given": "modified: unit test"}
    ),
    _swap("Python test", "dbt/tests/test_python.py", "True", "1", {}, "none: dbt builds nothing from it"),
)


def _own(name: str, text: str, everything: str) -> Case:
    return Case(name=name, files={OWN: text}, everything=everything, effects={OWN: f"everything: {everything}"})


_TABLES = ("bill", "contracted", "prices.v1", "prices.v2", "rounded_steps", "scored", "switched", "titles")

MACROS = (
    _swap("macro of a macro", "dbt/macros/shout.sql", "'!'", "'?'", {"names": "modified: macro shout"}),
    _swap(
        "macro that nothing calls", "dbt/macros/idle.sql", "select 1", "select 2", {}, "none: nothing calls macro idle"
    ),
    _swap("comment beside a macro", "dbt/macros/idle.sql", "nobody", "no one", {}, "none: its macros are the same"),
    _swap(
        "description of a macro", "dbt/macros/macros.yml", "Louder.", "Loud.", {}, "none: dbt builds nothing from it"
    ),
    *(
        _own(
            f"{prefix}generate_{what}_name",
            f"{{% macro {prefix}generate_{what}_name(custom=none, node=none) %}}"
            f"{{{{ default__generate_{what}_name(custom, node) }}}}{{% endmacro %}}",
            f"macro {prefix}generate_{what}_name changed: dbt itself calls it for every node",
        )
        for what, prefix in (("schema", ""), ("alias", ""), ("database", ""), ("schema", "duckdb__"))
    ),
    _own(
        "ref replaced",
        "{% macro ref() %}{{ return(builtins.ref(*varargs, **kwargs)) }}{% endmacro %}",
        "macro ref changed: dbt itself calls it for every node",
    ),
    _own(
        "one of dbt's own that nothing seems to call",
        "{% macro duckdb__last_day(date, datepart) %}x{% endmacro %}",
        "macro duckdb__last_day changed, and it replaces one of dbt's own",
    ),
    _own(
        "macro that the adapter calls",
        "{% macro duckdb__drop_relation(relation) %}select 1{% endmacro %}",
        "macro duckdb__drop_relation changed: dbt itself calls it for every node",
    ),
    _swap(
        *("materialization", "dbt/macros/vacuumed.sql", "create or replace table", "create or replace  table"),
        {"cleaned": "affected: macro materialization_vacuumed_default"},
    ),
    _swap(
        "helper of a materialization",
        "dbt/macros/vacuum_sql.sql",
        "{{ sql }}",
        "({{ sql }})",
        {"cleaned": "affected: macro vacuum_sql"},
    ),
    Case(
        name="one of dbt's materializations replaced",
        files={
            OWN: "{% materialization table, adapter='duckdb' %}{{ return({'relations': []}) }}{% endmaterialization %}"
        },
        roots=dict.fromkeys(_TABLES, "affected: macro materialization_table_duckdb"),
    ),
    Case(
        name="helper of the incremental materialization replaced",
        files={OWN: "{% macro get_incremental_append_sql(args) %}select 1{% endmacro %}"},
        roots={"grown": "affected: macro get_incremental_append_sql"},
    ),
    Case(
        name="dispatched macro replaced",
        files={OWN: "{% macro duckdb__rounded(column) %}{{ column }}{% endmacro %}"},
        roots={"rounded_steps": "modified: macro duckdb__rounded"},
    ),
    _swap("hook of the run", PROJECT, "{{ note_start() }}", "select 3", {}),
    _swap("macro of a hook of the run", "dbt/macros/note_start.sql", "1", "2", {}),
)

_SETTINGS = {
    "hook of the run": "on-run-start (a hook of the whole run) changed",
    "macro of a hook of the run": "macro note_start changed, which a hook of the whole run calls",
}
MACROS = tuple(
    Case(
        name=c.name,
        swaps=c.swaps,
        everything=_SETTINGS[c.name],
        effects={c.swaps[0][0]: f"everything: {_SETTINGS[c.name]}"},
    )
    if c.name in _SETTINGS
    else c
    for c in MACROS
)


def _all(name: str, path: str, old: str, new: str, why: str) -> Case:
    return Case(name=name, swaps=((path, old, new),), everything=why, effects={path: f"everything: {why}"})


PROJECT_FILES = (
    _all(
        "query comment",
        PROJECT,
        'comment: "kennel"',
        'comment: "x"',
        "query-comment (what goes with every statement) changed",
    ),
    _swap(
        "dispatch order",
        PROJECT,
        "[kennel, toolbox]",
        "[toolbox, kennel]",
        {},
        "none: dispatch finds the same macros for all that is built",
    ),
    _all(
        "flags",
        PROJECT,
        "flags:",
        "flags:\n  source_freshness_run_project_hooks: true",
        "flags (how dbt itself behaves) changed",
    ),
    _swap("comment in dbt_project.yml", PROJECT, "vars:", "# x\nvars:", {}, "none: the settings are the same"),
    _swap("version", PROJECT, '"1.0.0"', '"1.1.0"', {}, "none: version changed, and no node that is built differs"),
    _swap(
        "config by path",
        PROJECT,
        "+materialized: table",
        "+materialized: view",
        {
            n: "modified: config" if n != "contracted" else "modified: config, contract"
            for n in ("bill", "contracted", "prices.v1", "prices.v2", "rounded_steps", "titles")
        },
    ),
    _swap(
        "tags by path", PROJECT, "[nightly]", "[weekly]", {}, "none: models changed, and no node that is built differs"
    ),
    _swap(
        "schema of seeds",
        PROJECT,
        "+schema: raw",
        "+schema: rawer",
        {"raw_dogs": "modified: relation", "raw_steps": "modified: relation"},
    ),
    _swap(
        "severity of all tests",
        PROJECT,
        "severity: error",
        "severity: warn",
        dict.fromkeys((*_CHECKS, "ages_are_sane"), "modified: config"),
    ),
    _swap("variable in SQL", PROJECT, "min_age: 1", "min_age: 2", {"dogs": "affected: variable min_age"}),
    _swap("variable of a package's scope", PROJECT, "scoped: 5", "scoped: 6", {"scoped": "affected: variable scoped"}),
    _swap(
        "variable in a macro",
        PROJECT,
        "via_macro: 3",
        "via_macro: 4",
        {"scoped": "affected: variable via_macro, by macro reads_var"},
    ),
    _swap(
        *("variable in a config", PROJECT, "config_flag: table", "config_flag: view"),
        {"switched": "affected: rendered configuration" if _COMPARES_AS_WRITTEN else "modified: config"},
    ),
    _swap("variable that nothing reads", PROJECT, "unused: 1", "unused: 2", {}, "none: nothing reads variable unused"),
    Case(
        name="model paths",
        swaps=((PROJECT, "profile: kennel", "profile: kennel\nmodel-paths: [models, more]"),),
        files={"dbt/more/extra.sql": "select 1 as id"},
        roots={"extra": "new"},
        effects={PROJECT: "none: model-paths changed, and no node that is built differs"},
    ),
    _swap(
        "selectors",
        "dbt/selectors.yml",
        "name: nightly",
        "name: nights",
        {},
        "none: names selections only",
    ),
    _all(
        "target's output",
        "dbt/profiles.yml",
        "ci: {type: duckdb,",
        "ci: {type: duckdb, extensions: [json],",
        "extensions of target ci changed",
    ),
    _swap(
        "another target's output",
        "dbt/profiles.yml",
        "schema: analytics",
        "schema: x",
        {},
        "none: target ci is the same",
    ),
    Case(name="file no longer ignored", files={"dbt/.dbtignore": "\n"}, roots={"idea": "new"}),
    Case(
        name="file ignored",
        files={"dbt/.dbtignore": "models/drafts/\nmodels/marts/bill.sql\n"},
        effects={"dbt/.dbtignore": "removed: removed: bill"},
    ),
    _all("environment file", "dbt/.env", "", "X=1\n", "the environment of dbt changed"),
    _swap(
        "comment in packages.yml",
        "dbt/packages.yml",
        "packages:",
        "# x\npackages:",
        {},
        "none: the installed packages give the same nodes and macros",
    ),
    _swap("README", "README.md", "Kennel", "The kennel", {}, "none: dbt reads no such file"),
    _swap("README of the project", "dbt/README.md", "project", "dogs", {}, "none: dbt reads no such file"),
    _swap("script outside", "tools/report.py", "report", "news", {}, "none: dbt reads no such file"),
    _swap("another dbt project", "other/models/elsewhere.sql", "1", "2", {}, "none: dbt reads no such file"),
    Case(
        name="README and a model",
        swaps=(("README.md", "Kennel", "K"), (_BILL, "price from", "price  from")),
        roots={"bill": "modified: body"},
        effects={"README.md": "none: outside the dbt project"},
    ),
)

PACKAGES = (
    _swap(
        "macro of a local package",
        "shared/macros/rounded.sql",
        "round(",
        "trunc(",
        {"rounded_steps": "modified: macro default__rounded"},
    ),
    _swap(
        "variable of a local package",
        "shared/dbt_project.yml",
        "limit: 10",
        "limit: 9",
        {"rounded_steps": "affected: variable toolbox_limit, by macro limited"},
    ),
    _swap("model of a local package", "shared/models/calendar.sql", "1", "2", {"calendar": "modified: body"}),
    _swap("README of a local package", "shared/README.md", "T", "t", {}, "none: dbt reads no such file"),
    _all(
        "hook of a local package",
        "shared/dbt_project.yml",
        "vars:",
        'on-run-end: "select 1"\nvars:',
        "on-run-end (a hook of the whole run) changed",
    ),
)

CASES = (*MODELS, *SEEDS_AND_SOURCES, *TESTS, *MACROS, *PROJECT_FILES, *PACKAGES)
