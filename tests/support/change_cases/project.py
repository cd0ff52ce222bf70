"""Changes of what all nodes share: macros, settings, packages."""

from __future__ import annotations

from tests.support.change_cases.case import COMPARES_AS_WRITTEN, DBT, OWN, PROJECT, Case, swap
from tests.support.change_cases.nodes import BILL, CHECKS


def _own(name: str, text: str, everything: str) -> Case:
    return Case(name=name, files={OWN: text}, everything=everything, effects={OWN: f"everything: {everything}"})


_TABLES = ("bill", "contracted", "prices.v1", "prices.v2", "rounded_steps", "scored", "switched", "titles")

MACROS = (
    swap("macro of a macro", "dbt/macros/shout.sql", "'!'", "'?'", {"names": "modified: macro shout"}),
    swap(
        "macro that nothing calls", "dbt/macros/idle.sql", "select 1", "select 2", {}, "none: nothing calls macro idle"
    ),
    swap("comment beside a macro", "dbt/macros/idle.sql", "nobody", "no one", {}, "none: its macros are the same"),
    swap("description of a macro", "dbt/macros/macros.yml", "Louder.", "Loud.", {}, "none: dbt builds nothing from it"),
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
    swap(
        *("materialization", "dbt/macros/vacuumed.sql", "create or replace table", "create or replace  table"),
        {"cleaned": "affected: macro materialization_vacuumed_default"},
    ),
    swap(
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
    swap("hook of the run", PROJECT, "{{ note_start() }}", "select 3", {}),
    swap("macro of a hook of the run", "dbt/macros/note_start.sql", "1", "2", {}),
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
    swap(
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
    swap("comment in dbt_project.yml", PROJECT, "vars:", "# x\nvars:", {}, "none: the settings are the same"),
    swap("version", PROJECT, '"1.0.0"', '"1.1.0"', {}, "none: version changed, and no node that is built differs"),
    swap(
        "config by path",
        PROJECT,
        "+materialized: table",
        "+materialized: view",
        {
            n: "modified: config" if n != "contracted" else "modified: config, contract"
            for n in ("bill", "contracted", "prices.v1", "prices.v2", "rounded_steps", "titles")
        },
    ),
    swap(
        "tags by path", PROJECT, "[nightly]", "[weekly]", {}, "none: models changed, and no node that is built differs"
    ),
    swap(
        "schema of seeds",
        PROJECT,
        "+schema: raw",
        "+schema: rawer",
        {"raw_dogs": "modified: relation", "raw_steps": "modified: relation"},
    ),
    swap(
        "severity of all tests",
        PROJECT,
        "severity: error",
        "severity: warn",
        dict.fromkeys((*CHECKS, "ages_are_sane"), "modified: config"),
    ),
    swap("variable in SQL", PROJECT, "min_age: 1", "min_age: 2", {"dogs": "affected: variable min_age"}),
    swap("variable of a package's scope", PROJECT, "scoped: 5", "scoped: 6", {"scoped": "affected: variable scoped"}),
    swap(
        "variable in a macro",
        PROJECT,
        "via_macro: 3",
        "via_macro: 4",
        {"scoped": "affected: variable via_macro, by macro reads_var"},
    ),
    swap(
        *("variable in a config", PROJECT, "config_flag: table", "config_flag: view"),
        {"switched": "affected: rendered configuration" if COMPARES_AS_WRITTEN else "modified: config"},
    ),
    swap("variable that nothing reads", PROJECT, "unused: 1", "unused: 2", {}, "none: nothing reads variable unused"),
    Case(
        name="model paths",
        swaps=((PROJECT, "profile: kennel", "profile: kennel\nmodel-paths: [models, more]"),),
        files={"dbt/more/extra.sql": "select 1 as id"},
        roots={"extra": "new"},
        effects={PROJECT: "none: model-paths changed, and no node that is built differs"},
    ),
    swap(
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
    swap(
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
    # Above the project dbt-core looks for it since 1.12.
    _all("environment file of the repository", ".env", "", "X=1\n", "the environment of dbt changed")
    if DBT >= (1, 12)
    else swap("environment file of the repository", ".env", "", "X=1\n", {}, "none: outside the dbt project"),
    swap(
        "comment in packages.yml",
        "dbt/packages.yml",
        "packages:",
        "# x\npackages:",
        {},
        "none: the installed packages give the same nodes and macros",
    ),
    swap("README", "README.md", "Kennel", "The kennel", {}, "none: dbt reads no such file"),
    swap("README of the project", "dbt/README.md", "project", "dogs", {}, "none: dbt reads no such file"),
    swap("script outside", "tools/report.py", "report", "news", {}, "none: dbt reads no such file"),
    swap("another dbt project", "other/models/elsewhere.sql", "1", "2", {}, "none: dbt reads no such file"),
    Case(
        name="README and a model",
        swaps=(("README.md", "Kennel", "K"), (BILL, "price from", "price  from")),
        roots={"bill": "modified: body"},
        effects={"README.md": "none: outside the dbt project"},
    ),
)

PACKAGES = (
    swap(
        "macro of a local package",
        "shared/macros/rounded.sql",
        "round(",
        "trunc(",
        {"rounded_steps": "modified: macro default__rounded"},
    ),
    swap(
        "variable of a local package",
        "shared/dbt_project.yml",
        "limit: 10",
        "limit: 9",
        {"rounded_steps": "affected: variable toolbox_limit, by macro limited"},
    ),
    swap("model of a local package", "shared/models/calendar.sql", "1", "2", {"calendar": "modified: body"}),
    swap("README of a local package", "shared/README.md", "T", "t", {}, "none: dbt reads no such file"),
    _all(
        "hook of a local package",
        "shared/dbt_project.yml",
        "vars:",
        'on-run-end: "select 1"\nvars:',
        "on-run-end (a hook of the whole run) changed",
    ),
)
