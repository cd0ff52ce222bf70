"""Mistakes that people make with a run: how each comes about, and what they have to be told."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import duckdb

from tests.support.tiny_project import PROFILES, PROJECT, commit, git, write


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """One mistake: how it comes about, and what the message must hold, the reason first.

    `code` is the exit code: 4 where the call, the settings or the repository are at fault and nothing was written.
    """

    name: str
    says: tuple[str, ...]
    code: int = 4
    slow: bool = False
    args: tuple[str, ...] = ()
    spoil: Callable[[Path], object] = lambda project: None
    environ: dict[str, str] = field(default_factory=dict)
    meanwhile: Callable[[Path], AbstractContextManager[object]] = lambda project: nullcontext()


def files(**changes: str | None) -> Callable[[Path], None]:
    names = {"project": "dbt_project.yml", "profiles": "profiles.yml", "model": "models/three.sql"}
    return lambda project: write(project, {names.get(k, k): v for k, v in changes.items()})


def shallow(project: Path) -> None:
    """Put a clone of one commit in the project's place, whose remote is gone."""
    clone = project.with_name("clone")
    git(project, "clone", "--quiet", "--depth=1", "--branch=feature", project.as_uri(), str(clone))
    shutil.rmtree(project)
    clone.rename(project)


def unborn(project: Path) -> None:
    shutil.rmtree(project / ".git")
    git(project, "init", "--quiet")


def foreign_schema(project: Path) -> None:
    with duckdb.connect(str(project / "tiny.duckdb")) as connection:
        connection.execute("create schema dbt_build_7")
        connection.execute("create table dbt_build_7.somebodys as select 1 as a")


def broken_base(project: Path) -> None:
    git(project, "switch", "--quiet", "master")
    write(project, {"models/two.sql": "select * from {{ ref('nobody') }}\n"})
    commit(project, "break master")
    git(project, "switch", "--quiet", "--create", "mend")
    write(project, {"models/two.sql": "select 2 as b\n"})
    commit(project, "mend")


def second_project(project: Path) -> None:
    for name in ("a", "b"):
        shutil.copytree(project, project / "sub" / name, ignore=shutil.ignore_patterns(".git", "sub"))
    (project / "dbt_project.yml").unlink()


def orphan(project: Path) -> None:
    git(project, "switch", "--quiet", "--orphan", "orphan")
    write(project, {"dbt_project.yml": "name: tiny\nprofile: tiny\n", "models/one.sql": "select 1 as a\n"})
    commit(project, "another history")


def another_default_branch(project: Path) -> None:
    git(project, "branch", "--quiet", "--move", "master", "trunk")


def in_utf16(project: Path) -> None:
    (project / "models/three.sql").write_text("select 1 as a\n", encoding="utf-16")


CONFLICT = f"<<<<<<< HEAD\n{PROJECT}=======\n{PROJECT}>>>>>>> master\n"

USAGE = (
    Mistake(name="no git repository", spoil=lambda p: shutil.rmtree(p / ".git"), says=("git", "repository")),
    Mistake(name="no commit", spoil=unborn, says=("commit",)),
    Mistake(name="no project", spoil=files(project=None), says=("no dbt_project.yml", "--dbt-ci-project-dir")),
    Mistake(name="wrong project dir", args=("--dbt-ci-project-dir=nowhere",), says=("nowhere", "dbt_project.yml")),
    Mistake(name="several projects", spoil=second_project, says=("sub/a", "sub/b", "--dbt-ci-project-dir")),
    Mistake(name="rootdir elsewhere", args=("--rootdir=.git",), says=("rootdir is", "does not hold", "pytest.ini")),
    Mistake(name="unknown base", args=("--dbt-ci-base=nope",), says=("'nope'", "--dbt-ci-base", "master")),
    Mistake(name="no default branch", spoil=another_default_branch, says=("nothing to compare with", "--dbt-ci-base")),
    Mistake(name="unrelated histories", spoil=orphan, args=("--dbt-ci-base=master",), says=("master",)),
    Mistake(name="profile missing", args=("--dbt-ci-profile=nope",), says=("'nope'", "it has: tiny")),
    Mistake(name="no profiles.yml", spoil=files(profiles=None), says=("profiles.yml", "--dbt-ci-profiles-dir")),
    Mistake(name="no outputs", spoil=files(profiles="tiny: {target: ci}\n"), says=("profile 'tiny' in", "no outputs")),
    Mistake(name="no profile named", spoil=files(project="name: tiny\n"), says=("dbt_project.yml", "names no profile")),
    Mistake(name="profiles.yml is no YAML", spoil=files(profiles="a: [b"), says=("profiles.yml", "not valid YAML")),
    Mistake(name="target missing", args=("--dbt-ci-target=nope",), says=("'nope'", "it has: ci, prod")),
    Mistake(
        name="target of the environment missing",
        environ={"DBT_TARGET": "nope"},
        says=("no target 'nope' of DBT_TARGET (it has: ci, prod)",),
    ),
    Mistake(name="defer target missing", args=("--dbt-ci-defer-target=nope",), says=("'nope'", "it has: ci, prod")),
    Mistake(
        name="env_var without value",
        spoil=files(profiles=PROFILES.replace("threads: 2}", "user: \"{{ env_var('NO_SUCH_VAR') }}\"}", 1)),
        says=(
            "Env var required but not provided: 'NO_SUCH_VAR' (in profiles.yml)",
            "Set NO_SUCH_VAR where pytest runs",
        ),
    ),
    Mistake(
        name="env_var without value in a model",
        spoil=files(model="select '{{ env_var( \"NO_SUCH_VAR\") }}' as a\n"),
        says=("not provided: 'NO_SUCH_VAR' (in models/three.sql)", "Set NO_SUCH_VAR where pytest runs"),
    ),
    Mistake(
        name="port as text",
        spoil=files(
            profiles=PROFILES.replace("duckdb, path: tiny.duckdb", "postgres, host: h, port: '5432', dbname: d")
        ),
        says=("Credentials in profile", "'5432' is not of type 'integer'", "Find '5432' in profiles.yml"),
    ),
    Mistake(
        name="disabled although it is read",
        spoil=files(**{"models/one.sql": "{{ config(enabled=false) }} select 1 as a\n"}),
        says=("can't parse the project: Model 'model.tiny.two' (models/two.sql) depends on a node named 'one' which",),
    ),
    Mistake(
        name="model named like a seed",
        spoil=files(**{"seeds/one.csv": "a\n1\n"}),
        says=("two resources with the database representation", '"dbt_build_7"."one"', "seeds/one.csv"),
    ),
    Mistake(
        name="adapter not installed",
        spoil=files(profiles=PROFILES.replace("duckdb, path", "bigquery, path")),
        says=("Could not find adapter type bigquery!", "pip install dbt-bigquery"),
    ),
    Mistake(
        name="project does not parse",
        spoil=files(model="select * from {{ ref('nobody') }}\n"),
        says=("can't parse the project: Model 'model.tiny.three'", "models/three.sql", "nobody"),
    ),
    Mistake(
        name="packages that are no list",
        spoil=files(**{"packages.yml": "packages: dbt_utils\n"}),
        says=("packages.yml names no list of packages", "with a dash"),
    ),
    Mistake(
        name="snapshot without its strategy",
        spoil=files(**{"snapshots/s.yml": "snapshots: [{name: s, relation: ref('one'), config: {unique_key: a}}]\n"}),
        says=("Snapshots must be configured with a 'strategy'", "give both to each new or changed snapshot"),
    ),
    Mistake(
        name="name with a dash",
        spoil=files(project=PROJECT.replace("name: tiny", "name: ti-ny")),
        says=("at path ['name']: 'ti-ny' does not match", "letters, digits and underscores"),
    ),
    Mistake(
        name="broken Jinja",
        spoil=files(model="{% if %}\n"),
        says=("model three (models/three.sql): Expected an expression",),
    ),
    Mistake(
        name="broken macro",
        spoil=files(**{"macros/spell.sql": "{% macro spell() %}{{ 1 + }}{% endmacro %}\n"}),
        says=("can't parse the project: unexpected 'end of print statement'", "{% macro spell() %}"),
    ),
    Mistake(
        name="no UTF-8",
        spoil=in_utf16,
        says=("can't parse the project: models/three.sql is not UTF-8 text", "Save it as UTF-8"),
    ),
    Mistake(
        name="conflict in dbt_project.yml",
        spoil=files(project=CONFLICT),
        says=("dbt_project.yml, line 2 is not valid YAML: git's conflict markers", "Resolve the merge"),
    ),
    Mistake(
        name="conflict in YAML",
        spoil=files(**{"models/m.yml": "models:\n<<<<<<< HEAD\n- name: one\n=======\n- name: two\n>>>>>>> master\n"}),
        says=("m.yml - Syntax error near line", "git's conflict markers: resolve the merge"),
    ),
    Mistake(
        name="threads as a word",
        spoil=files(profiles=PROFILES.replace("threads: 2", "threads: many")),
        says=("can't parse the project: at path ['threads']: 'many'", "threads in profiles.yml to a whole number"),
    ),
    Mistake(
        name="macro without end",
        spoil=files(**{"macros/spell.sql": "{% macro spell() %} 1\n"}),
        says=("Reached EOF without finding a close tag for macro (in macros/spell.sql)", "searched from line 1"),
    ),
    Mistake(
        name="YAML with tabs",
        spoil=files(**{"models/m.yml": "models:\n\t- name: one\n"}),
        says=("m.yml - Syntax error near line 2", "YAML is indented with spaces"),
    ),
    Mistake(
        name="broken YAML",
        spoil=files(**{"models/m.yml": "models:\n  - name: one\n   tests: x\n"}),
        says=("m.yml - Syntax error near line 3", "tests: x"),
    ),
    Mistake(
        name="cycle", spoil=files(**{"models/one.sql": "select * from {{ ref('two') }}\n"}), says=("Found a cycle",)
    ),
    Mistake(
        name="two models of one name",
        spoil=files(**{"models/sub/one.sql": "select 1 as a\n"}),
        says=('found two models with the name "one"', "models/sub/one.sql"),
    ),
    Mistake(
        name="described twice",
        spoil=files(**{f"models/{name}.yml": "models: [{name: one}]\n" for name in "ab"}),
        says=("dbt found two schema.yml entries for the same resource named one", "models/a.yml", "models/b.yml"),
    ),
    Mistake(
        name="another dbt is asked for",
        spoil=files(project=PROJECT + "require-dbt-version: '>=3.0.0'\n"),
        says=("version of dbt is not supported with the 'tiny' package", ">=3.0.0", "DBT_VERSION_CHECK=false"),
    ),
    Mistake(
        name="shallow clone", spoil=shallow, args=("--dbt-ci-base=master",), says=("This clone is shallow", "Clone all")
    ),
    Mistake(name="base does not parse", spoil=broken_base, says=("does not parse: Model", "--dbt-ci-base")),
    Mistake(
        name="packages not installed",
        spoil=files(**{"packages.yml": "packages:\n  - package: dbt-labs/dbt_utils\n    version: 1.3.0\n"}),
        says=("dbt deps",),
    ),
    Mistake(name="hostile pull request", args=("--dbt-ci-pr=1; drop schema x",), says=("1; drop schema x", "not safe")),
    Mistake(
        name="number that is none from CI",
        environ={"TF_BUILD": "True", "BUILD_REASON": "PullRequest", "SYSTEM_PULLREQUEST_PULLREQUESTID": "seven"},
        says=("SYSTEM_PULLREQUEST_PULLREQUESTID is 'seven'", "which is not a pull request's number", "--dbt-ci-pr"),
    ),
    Mistake(name="no pr in template", args=("--dbt-ci-schema=everybody",), says=("everybody", "{pr}")),
    Mistake(name="unknown in template", args=("--dbt-ci-schema=x_{branch}_{pr}",), says=("{branch}", "{repository}")),
    Mistake(name="template makes a bad name", args=("--dbt-ci-schema=a-{pr}",), says=("a-7", "not safe")),
    Mistake(name="too long a name", args=("--dbt-ci-pr=" + "9" * 200,), says=("longer", "bytes")),
    Mistake(
        name="schema without our mark",
        spoil=foreign_schema,
        says=("dbt_build_7", "was not created by this tool", "nothing was written"),
    ),
    Mistake(
        name="node outside",
        spoil=files(
            model="{{ config(schema='x') }} select 1 as a\n",
            **{"macros/g.sql": "{% macro generate_schema_name(n, node) %}{{ n or 'main' }}{% endmacro %}\n"},
        ),
        says=("would leave the pull request's schemas", "model.tiny.three", "schema x", "generate_schema_name"),
    ),
    Mistake(
        name="another database",
        spoil=files(model="{{ config(database='memory') }} select 1 as a\n"),
        says=("model.tiny.three", "database memory"),
    ),
    Mistake(name="selector refused", args=("--dbt-ci-select=nonsense:x",), says=("--dbt-ci-select", "nonsense")),
    Mistake(name="vars are no YAML", args=("--dbt-ci-vars={a",), says=("{a", "YAML")),
    Mistake(name="keep-schema unknown", args=("--dbt-ci-keep-schema=maybe",), says=("maybe", "never, failed, always")),
    Mistake(name="misspelt option", args=("--dbt-ci-defer-tagret=prod",), says=("--dbt-ci-defer-target", "mean")),
    Mistake(
        name="misspelt ini key",
        args=("-o", "dbt_ci_defer_tagret=prod"),
        says=("no option dbt_ci_defer_tagret", "Did you mean dbt_ci_defer_target?"),
    ),
    Mistake(name="ini key with dashes", args=("-o", "dbt-ci-target=ci"), says=("Did you mean dbt_ci_target?",)),
    Mistake(name="ini key of one run", args=("-o", "dbt_ci_release=prod"), says=("one run: write --dbt-ci-release",)),
    Mistake(
        name="hook with another argument",
        spoil=files(**{"conftest.py": "def pytest_dbtci_select(nodes):\n    return []\n"}),
        says=("Plugin", "for hook 'pytest_dbtci_select'", "pytest_dbtci_select(nodes)"),
    ),
    Mistake(
        name="path after a space",
        spoil=lambda p: write(p.parent, {"else/where/profiles.yml": "", "else/pytest.ini": "[pytest]\n"}),
        args=("--dbt-ci-profiles-dir", "../else/where"),
        says=("pytest.ini would not be read", "--dbt-ci-profiles-dir=../else/where"),
    ),
    Mistake(
        name="a flag that is no flag", args=("-o", "dbt_ci_comment=maybe"), says=("dbt_ci_comment", "true or false")
    ),
    Mistake(name="a number that is none", args=("-o", "dbt_ci_threads=many"), says=("dbt_ci_threads", "whole number")),
    Mistake(name="threads no number", args=("--dbt-ci-threads=many",), says=("many", "whole number")),
    Mistake(name="no threads", args=("--dbt-ci-threads=0",), says=("--dbt-ci-threads 0", "1 or more")),
    Mistake(name="selects nothing", args=("--dbt-ci-select=nonsuch+",), says=("'nonsuch+'", "names nothing")),
    Mistake(name="excludes nothing", args=("--dbt-ci-exclude=two nonsuch+",), says=("'nonsuch+'", "names nothing")),
    Mistake(name="selects less", args=("--dbt-ci-select=one nonsuch",), says=("'nonsuch'", "names nothing")),
    Mistake(
        name="intersects with nothing",
        args=("--dbt-ci-select=state:modified+,tag:nonsuch",),
        says=("'tag:nonsuch'", "names nothing"),
    ),
    Mistake(name="age without sweep", args=("--dbt-ci-sweep-age=7d",), says=("--dbt-ci-sweep-age", "goes with")),
    Mistake(
        name="sweep of all", args=("--dbt-ci-sweep", "--dbt-ci-sweep-pr=all"), says=("--dbt-ci-sweep-pr=all: name",)
    ),
    Mistake(name="rules without compare", args=("--dbt-ci-compare-rules={}",), says=("compare-rules", "goes with")),
    Mistake(name="production without its target", args=("--dbt-ci-compare=prod",), says=("-defer-target", "goes with")),
    Mistake(name="sweep's pr without sweep", args=("--dbt-ci-sweep-pr=7",), says=("--dbt-ci-sweep-pr", "goes with")),
    Mistake(
        name="rehearsal of no release", args=("--dbt-ci-rehearse",), says=("--dbt-ci-rehearse", "--dbt-ci-release")
    ),
    Mistake(
        name="sweep and release", args=("--dbt-ci-sweep", "--dbt-ci-release=prod"), says=("leave one of them out",)
    ),
)


def nobody_there(project: Path) -> None:
    output = "{type: postgres, host: 127.0.0.1, port: 1, user: u, password: secret, dbname: d, schema: dbt}"
    write(project, {"profiles.yml": f"tiny:\n  target: ci\n  outputs:\n    ci: {output}\n"})


def misspelt_macro(project: Path) -> None:
    write(project, {f"models/m{i}.sql": "select {{ spell() }} as a\n" for i in range(3)})


FAILING = (
    Mistake(
        name="locked file",
        code=1,
        meanwhile=lambda project: duckdb.connect(str(project / "tiny.duckdb")),
        says=("not be made ready: IO Error: Could not set lock on file", "end that one, or wait for it."),
    ),
    Mistake(
        name="macro that nobody wrote",
        code=1,
        spoil=misspelt_macro,
        says=("Compilation Error: 'spell' is undefined", "models/m", "dbt deps"),
    ),
    Mistake(
        name="nothing matches",
        args=("-k", "nonsuch"),
        code=5,
        says=("no dbt item was asked for", "none of the 2 planned nodes, so nothing was built"),
    ),
    Mistake(
        name="no threads in the profile",
        code=1,
        slow=True,
        spoil=files(profiles=PROFILES.replace("threads: 2", "threads: 0")),
        says=("dbt stopped before it had a result: max_workers", "Set the target's threads to 1 or more"),
    ),
    Mistake(
        name="empty model",
        code=1,
        slow=True,
        args=("--dbt-ci-compare=base",),
        spoil=files(model=""),
        says=("it is empty: write its SQL", "models/three.sql"),
    ),
    Mistake(
        name="empty seed",
        code=1,
        slow=True,
        spoil=files(**{"seeds/s.csv": ""}),
        says=("Compilation Error: value was undefined", "The seed's file is empty: write its header", "seeds/s.csv"),
    ),
    Mistake(
        name="nobody listens",
        code=1,
        slow=True,
        spoil=nobody_there,
        says=("not be made ready: connection to server at", "Connection refused", "Look at the target's host, port"),
    ),
    Mistake(
        name="broken SQL",
        code=1,
        slow=True,
        environ={"CI": "true"},
        spoil=files(**{"models/one.sql": "selec 1 as a\n"}),
        says=('Parser Error: syntax error at or near "selec"', "models/one.sql:1", "skipped two"),
    ),
)
"""What shows only once something runs."""
