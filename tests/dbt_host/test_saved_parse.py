"""A head that dbt did not parse anew as it had to is noticed; what is alike in both is told by the base's answer."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.tiny_project import PROFILES, PROJECT, write
from tests.support.validation import environment

FILES: dict[str, str | None] = {
    "dbt_project.yml": PROJECT,
    "profiles.yml": PROFILES,
    "models/one.sql": "select 'a b' as a\n",
    "macros/two.sql": "{% macro two() %}'a b'{% endmacro %}\n",
    "snapshots/three.sql": "{% snapshot three %}{{ config(strategy='check', unique_key='a', check_cols='all') }}"
    "select 'a b' as a{% endsnapshot %}\n",
}

PARSE_THEN_EDIT = """
import json, sys
from pathlib import Path
from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.dbt_host.manifests import parse
from pytest_dbtci.dbt_host.saved_parse import SavedParse

place = {key: "." for key in ("project_dir", "profiles_dir", "target_path", "log_path")}
manifest, _ = parse(Invocation(**place), write=False)
answers = {}
for name in ("models/one.sql", "macros/two.sql", "snapshots/three.sql"):
    path, file_id = Path(name), f"tiny://{name}"
    saved = SavedParse(file="", differing={file_id: path})
    answers[name] = [saved.is_followed_by(manifest, {file_id}), saved.is_followed_by(manifest, set())]
    path.write_text(path.read_text().replace("a b", "a  b"))
    answers[name].append(saved.is_followed_by(manifest, {file_id}))
print(json.dumps(answers))
"""


def told_by(script: str, folder: Path) -> dict[str, Any]:
    """Run a script in the project; return the JSON that it printed last."""
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_another_text_than_the_file_s_is_noticed(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    assert told_by(PARSE_THEN_EDIT, tmp_path) == {name: [True, False, False] for name in FILES if name.endswith(".sql")}


NODES: dict[str, str | None] = {
    **FILES,
    "models/two.sql": "{{ config(meta={'a': true}) }}select a from {{ ref('one') }}\n",
    "models/four.sql": "select {{ two() }} as a\n",
    "models/models.yml": "models: [{name: one, columns: [{name: a, data_tests: [not_null]}]}]\n",
    "seeds/five.csv": "a\n1\n",
}

PARSE_BOTH_WAYS = """
import json
from dataclasses import replace
from pathlib import Path
from pytest_dbtci.dbt_client.protocol.tree_requests import Parse
from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.dbt_host.tree_operations import TreeOperations

def there(folder):
    return Invocation(project_dir=".", profiles_dir=".", log_path="logs", target_path=folder)

trees = TreeOperations()
base = trees.parse(Parse(tree="base", invocation=there("base"), view="base/view.json", write=True))
told = {}
for name, file, old, new in json.loads(Path("changes.json").read_text()):
    before = Path(file).read_text()
    Path(file).write_text(before.replace(old, new))
    saved = Parse(tree="head", invocation=there("head"), partial_parse="base/partial_parse.msgpack", write=False)
    brief, whole = trees.parse(replace(saved, known=True)), trees.parse(saved)
    head = brief.completed(base)
    told[name] = [whole.parsed, sorted(brief.nodes), head == whole, list(head.nodes) == list(whole.nodes)]
    Path(file).write_text(before)
print(json.dumps(told))
"""

ONE, TWO, FOUR, FIVE = "model.tiny.one", "model.tiny.two", "model.tiny.four", "seed.tiny.five"
TEST = "test.tiny.not_null_one_a.17d81121af"
CHANGES = {
    "a model": ("models/one.sql", "a b", "a c", [ONE, FIVE, TEST]),  # with a model dbt parses its YAML anew
    "a value that Python calls equal": ("models/two.sql", "true", "1", [TWO, FIVE]),
    "a macro's text": ("macros/two.sql", "a b", "a c", [FOUR, FIVE]),
    "a test that is gone": ("models/models.yml", "[not_null]", "[]", [ONE, FIVE]),
}


def test_what_is_alike_is_as_the_base_told(tmp_path: Path) -> None:
    write(tmp_path, NODES)
    (tmp_path / "changes.json").write_text(json.dumps([(name, *change[:3]) for name, change in CHANGES.items()]))
    assert told_by(PARSE_BOTH_WAYS, tmp_path) == {
        name: ["partly", sorted(anew), True, True] for name, (*_, anew) in CHANGES.items()
    }


def test_where_a_macro_comes_all_is_told(tmp_path: Path) -> None:
    """A text that named nothing before can name the new macro."""
    write(tmp_path, NODES)
    change = ("a macro", "macros/two.sql", "{% macro two()", "{% macro six() %}{% endmacro %}{% macro two()")
    (tmp_path / "changes.json").write_text(json.dumps([change]))
    ((parsed, anew, *same),) = told_by(PARSE_BOTH_WAYS, tmp_path).values()
    assert parsed == "partly"
    assert {ONE, TWO, FOUR, FIVE} <= {*anew}
    assert same == [True, True]
