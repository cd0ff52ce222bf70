"""What differs by white space alone, or by what Python takes for equal, is parsed anew, planned and built."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from pytest_dbtci.dbt_client.protocol.tree_requests import Parse
from pytest_dbtci.manifest import Manifest
from tests.support.planning_bench import Bench, bench
from tests.support.repositories import Files, write

FILES: Files = {
    ".gitignore": "target/\nlogs/\ndbt_packages/\n*.duckdb\n.user.yml\npackage-lock.yml\n",
    "shared/dbt_project.yml": "name: toolbox\nversion: '1.0.0'\n",
    "shared/macros/greeting.sql": "{% macro greeting() %}'good day'{% endmacro %}\n",
    "shared/models/calendar.sql": "select 'a day' as day\n",
    "dbt/dbt_project.yml": "name: kennel\nversion: '1.0.0'\nprofile: kennel\n"
    "flags: {require_generic_test_arguments_property: true}\n",
    "dbt/packages.yml": "packages:\n  - local: ../shared\n",
    "dbt/profiles.yml": "kennel:\n  target: ci\n  outputs:\n"
    "    ci: {type: duckdb, path: kennel.duckdb, schema: dev, threads: 2}\n",
    "dbt/macros/joined.sql": "{% macro joined() %}'one two'{% endmacro %}\n",
    "dbt/tests/generic/spaced.sql": "{% test spaced(model, column_name) %}\n"
    "select * from {{ model }} where {{ column_name }} = 'x y'\n{% endtest %}\n",
    "dbt/tests/no_gap.sql": "select 1 as id where 'a b' = 'b a'\n",
    "dbt/tests/fixtures/given.csv": "id,name\n1,a b\n",
    "dbt/seeds/names.csv": "id,name\n1,a b\n",
    "dbt/snapshots/kept.sql": "{% snapshot kept %}\n{{ config(strategy='check', unique_key='id', check_cols='all') }}\n"
    "select 1 as id, 'a b' as name\n{% endsnapshot %}\n",
    "dbt/analyses/question.sql": "select 'a b' as name\n",
    "dbt/models/literal.sql": "select 'a b' as name\n",
    "dbt/models/comment.sql": "select 1 as id -- number\n, 2 as size\n",
    "dbt/models/named.sql": 'select 1 as "a b"\n',
    "dbt/models/quoted_lines.sql": "select 'a\n b' as name\n",
    "dbt/models/off.sql": "{{ config(enabled=false) }} select 'a b' as name\n",
    "dbt/models/scored.py": "def model(dbt, session):\n    n = 1\n    if n:\n        n = 2\n        n = 3\n"
    "    return session.sql(f'select {n} as n')\n",
    "dbt/models/reads_macro.sql": "select {{ joined() }} as name\n",
    "dbt/models/reads_package.sql": "select {{ toolbox.greeting() }} as name\n",
    "dbt/models/described.sql": "{{ config(persist_docs={'relation': true}) }}\nselect 1 as id\n",
    "dbt/models/in_yaml.sql": "{{ config(persist_docs={'relation': true}) }}\nselect 1 as id, 'a b' as name\n",
    "dbt/models/hooked.sql": "select 1 as id\n",
    "dbt/models/flagged.sql": "select 1 as id\n",
    "dbt/models/docs.md": "{% docs described %}\nA  dog.\n{% enddocs %}\n",
    "dbt/models/models.yml": """\
models:
  - name: described
    description: "{{ doc('described') }}"
  - name: in_yaml
    description: |
      One line.
      Two lines.
    columns:
      - name: name
        data_tests: [spaced, {accepted_values: {arguments: {values: ['a b']}}}]
  - name: hooked
    config: {post_hook: "select 'a b'"}
  - name: flagged
    config: {meta: {level: 1}}
unit_tests:
  - name: rows
    model: flagged
    given: []
    expect: {rows: [{id: 1}]}
  - name: from_file
    model: reads_seed
    given: [{input: ref('names'), format: csv, fixture: given}]
    expect: {rows: [{name: 'a b'}]}
""",
    "dbt/models/reads_seed.sql": "select name from {{ ref('names') }}\n",
}

YAML = "dbt/models/models.yml"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One edit, and the items that have to be in the plan by themselves."""

    path: str
    old: str
    new: str
    roots: frozenset[str]


def _kind(path: str, old: str, new: str, *roots: str) -> Kind:
    return Kind(path=path, old=old, new=new, roots=frozenset(roots))


KINDS = (
    _kind("dbt/models/literal.sql", "a b", "a  b", "literal"),
    _kind("dbt/models/comment.sql", "number\n,", "number ,", "comment"),
    _kind("dbt/models/named.sql", '"a b"', '"a\tb"', "named"),
    _kind("dbt/models/quoted_lines.sql", "a\n b", "a\r\n b", "quoted_lines"),
    _kind("dbt/models/off.sql", "a b", "a  b"),
    _kind("dbt/models/scored.py", "        n = 3", "    n = 3", "scored"),
    _kind("dbt/macros/joined.sql", "one two", "one  two", "reads_macro"),
    _kind("shared/macros/greeting.sql", "good day", "good\nday", "reads_package"),
    _kind("shared/models/calendar.sql", "a day", "a  day", "calendar"),
    _kind("dbt/tests/generic/spaced.sql", "x y", "x  y", "spaced_in_yaml_name"),
    _kind("dbt/tests/no_gap.sql", "a b", "a  b", "no_gap"),
    _kind("dbt/tests/fixtures/given.csv", "a b", "a  b", "from_file"),
    _kind("dbt/seeds/names.csv", "a b", "a  b", "names"),
    _kind("dbt/snapshots/kept.sql", "a b", "a  b", "kept"),
    _kind("dbt/analyses/question.sql", "a b", "a  b"),
    _kind("dbt/models/docs.md", "A  dog", "A dog", "described"),
    _kind(YAML, "One line.\n      Two", "One line.\n\n      Two", "in_yaml"),
    _kind(YAML, "values: ['a b']", "values: ['a  b']", "accepted_values_in_yaml_name__a_b"),
    _kind(YAML, "select 'a b'", "select 'a  b'", "hooked"),
    _kind(YAML, "level: 1", "level: true", "flagged"),
    _kind(YAML, "rows: [{id: 1}]", "rows: [{id: 1.0}]", "rows"),
    _kind(YAML, "{name: 'a b'}", "{name: 'a  b'}", "from_file"),
)


@pytest.fixture(scope="module")
def spaces(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with bench(tmp_path_factory.mktemp("spaces"), FILES, "dbt") as made:
        made.host.parts = ()
        yield made


def test_all_kinds_at_once(spaces: Bench) -> None:
    # dbt's own partial parse gives up where a fixture changes together with the unit test that reads it.
    _plan_and_compare(spaces, *KINDS[:-1])


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: f"{kind.path.rpartition('/')[2]}: {kind.new!r}")
def test_each_kind(spaces: Bench, kind: Kind) -> None:
    _plan_and_compare(spaces, kind)


@pytest.mark.slow
def test_a_saved_parse_that_another_run_left_beside_its_manifest_is_not_believed(spaces: Bench, tmp_path: Path) -> None:
    place = spaces.clone({})
    write(place, {"dbt/models/literal.sql": "select 'a  b' as name\n"})
    spaces.plan(place)
    kept = next(spaces.cache.glob("base-*"))
    for name in ("manifest.json", "partial_parse.msgpack"):
        shutil.copy(kept / name, tmp_path)
    planned = spaces.plan(place, state=str(tmp_path))
    assert planned.told[-1] == "head: parsed in full"
    assert planned.roots.keys() == {"literal"}


def _plan_and_compare(spaces: Bench, *kinds: Kind) -> None:
    """Plan an uncommitted edit; the head, parsed from the base's, must be what a parse of everything gives."""
    place = spaces.clone({})
    texts = {kind.path: str(FILES[kind.path]) for kind in kinds}
    for kind in kinds:
        assert texts[kind.path].count(kind.old) == 1, kind
        texts[kind.path] = texts[kind.path].replace(kind.old, kind.new)
    write(place, texts)

    planned = spaces.plan(place)
    assert planned.told[-1] == "head: parsed where it differs"
    assert planned.roots.keys() == {root for kind in kinds for root in kind.roots}
    for kind in kinds:
        assert planned.effect(kind.path).startswith("selected") == bool(kind.roots), kind
    whole = spaces.host.ask(Parse(tree="whole", invocation=spaces.host.parsing, write=False))
    assert planned.head is not None
    assert _contents(planned.head) == _contents(whole)


def _contents(manifest: Manifest) -> dict[str, object]:
    nodes = {u: (n.parts, n.effects) for u, n in manifest.nodes.items()}
    return {**nodes, **{u: m.digest for u, m in manifest.macros.items()}, **manifest.disabled}
