"""The private folder of a run: there while a process of the run lives, gone with the next run after a SIGKILL."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from pytest_dbtci.dbt_client.private import PrivateFolder, remove_leftovers

RUN = """\
import subprocess, sys
from pytest_dbtci.dbt_client.private import PrivateFolder
folder = PrivateFolder()
(folder.path / "profiles.yml").write_text("password: hush-hush")
child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=sys.stdin, pass_fds=folder.descriptors)
print(folder.path, flush=True)
child.wait()
"""


@pytest.fixture(autouse=True)
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_the_folder_of_a_dead_run_goes_and_that_of_a_live_one_stays(scratch: Path) -> None:
    mine = PrivateFolder()
    assert stat.S_IMODE(mine.path.stat().st_mode) == 0o700
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", RUN], stdin=pipe, stdout=pipe, text=True) as run:
        assert run.stdout is not None
        assert run.stdin is not None
        theirs = Path(run.stdout.readline().strip())
        run.send_signal(signal.SIGKILL)
        run.wait()
        remove_leftovers()
        assert (theirs / "profiles.yml").exists(), "the child of the dead process may still need it"
        # The child ends with its input.
        run.stdin.close()
        run.stdout.read()
    remove_leftovers()
    assert list(scratch.iterdir()) == [mine.path]
    mine.remove()
    mine.remove()
    assert not list(scratch.iterdir())


def test_what_only_has_such_a_name_stays(scratch: Path) -> None:
    (scratch / "elsewhere").mkdir()
    (scratch / "elsewhere/lock").touch()
    (scratch / "dbt-ci-link").symlink_to(scratch / "elsewhere")
    (scratch / "dbt-ci-notes").mkdir()
    (scratch / "dbt-ci-file").touch()
    remove_leftovers()
    assert (scratch / "elsewhere/lock").exists()
    assert (scratch / "dbt-ci-notes").exists()
    assert (scratch / "dbt-ci-file").exists()
