"""A head that dbt did not parse anew as it had to is noticed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

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


def test_another_text_than_the_file_s_is_noticed(tmp_path: Path) -> None:
    write(tmp_path, FILES)
    command = [sys.executable, "-c", PARSE_THEN_EDIT]
    done = subprocess.run(command, cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    answers = json.loads(done.stdout.splitlines()[-1])
    assert answers == {name: [True, False, False] for name in FILES if name.endswith(".sql")}
