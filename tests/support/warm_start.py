"""Spare a test's dbt processes the import of dbt, which is half of what a small run takes.

`warm_dbt/sitecustomize.py` says how; with `DBT_CI_TESTS_COLD=1` each test starts dbt as users do.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from functools import cache
from pathlib import Path

FOLDER = Path(__file__).with_name("warm_dbt")


def warm(environ: Mapping[str, str], python: str = sys.executable) -> dict[str, str]:
    """Return a run's environment with what lets its dbt processes begin warm, unless it brings code of its own.

    `python` is the one that runs it.
    """
    path = os.environ.get("PYTHONPATH")
    if not _WANTED or environ.get("PYTHONPATH") != path:
        return dict(environ)
    return {**environ, "PYTHONPATH": os.pathsep.join(filter(None, (str(FOLDER), path))), "WARM_DBT": _server(python)}


_WANTED = hasattr(os, "fork") and not os.environ.get("DBT_CI_TESTS_COLD")

_SERVERS: list[object] = []


@cache
def _server(python: str) -> str:
    """Return the address of this process's server, which starts with the first run that needs it."""
    from tests.support.validation import environment

    path = os.pathsep.join(filter(None, (str(FOLDER), os.environ.get("PYTHONPATH"))))
    folder = tempfile.TemporaryDirectory(prefix="warm-dbt-")
    address = str(Path(folder.name, "socket"))
    code = "import sys; from forkserver import serve; serve(sys.argv[1])"
    server = subprocess.Popen(
        [python, "-c", code, address],
        env={**environment(), "PYTHONPATH": path, "MALLOC_ARENA_MAX": "2", "PYTHONIOENCODING": "utf-8"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    # It ends with its standard input, which this process closes as it ends.
    _SERVERS.append((server, folder))
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n", "the server that imports dbt for tests could not begin"
    return address
