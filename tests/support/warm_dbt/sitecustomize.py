"""Let a dbt process begin as a copy of one that has imported dbt. Python loads this file as each process starts.

It acts where `WARM_DBT` names the socket of `forkserver.py`, on the processes alone that begin with an import of dbt.
Any other goes on as if this file were not there, and so does one whose imports could have another outcome than the
server's: see `imported_alike`. What stays of the process passes signals on, and ends as the copy ends.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from pathlib import Path

BEGINNINGS = {
    "from pytest_dbtci.dbt_host.__main__ import main; main()": "host",
    "from dbt.cli.main import cli; cli()": "dbt",
}
"""The ends of the commands that begin with an import of dbt, and what each is to the server."""

IMPORTANT = (
    *("DBT_CI_", "DBT_RECORDER_", "DBT_ENGINE_RECORDER_", "DBT_MACRO_DEBUGGING", "DBT_PACKAGE_HUB_URL"),
    *("DBT_REDSHIFT_CONNECTOR_", "DBT_SNOWFLAKE_CONNECTOR_", "PYTHON", "LANG", "LC_", "TZ", "AWS_", "SNOWFLAKE_"),
)
"""How the environment variables begin that an import reads: of dbt's own only those that it does not read anew."""

STREAMS = ("PYTHONIOENCODING", "PYTHONUNBUFFERED")
"""What says how standard streams are, which are the server's own: UTF-8."""


def imported_alike(environ: dict[str, str], path: list[str]) -> str:
    """Return what has to be equal for an import to give the same modules."""
    important = sorted((k, v) for k, v in environ.items() if k.startswith(IMPORTANT) and k not in STREAMS)
    return json.dumps([sys.executable, important, [p for p in path if p]])


def _hand_over(kind: str, address: str) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        try:
            server.connect(address)
        except OSError:
            return
        begin = {
            "kind": kind,
            "alike": imported_alike(dict(os.environ), sys.path),
            "argv": ["-c", *sys.orig_argv[3:]],
            "cwd": str(Path.cwd()),
            "environ": dict(os.environ),
        }
        message = json.dumps(begin).encode() + b"\n"
        socket.send_fds(server, [message[:1]], [0, 1, 2])
        server.sendall(message[1:])
        with server.makefile("r") as answers:
            if not (pid := int(answers.readline() or 0)):
                return
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT):
                signal.signal(number, lambda number, frame: os.kill(pid, number))
            code = int(answers.readline() or -signal.SIGKILL)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL) if -code != signal.SIGKILL else None
        os.kill(os.getpid(), -code)
    os._exit(code)


if (address := os.environ.get("WARM_DBT")) and sys.orig_argv[1:2] == ["-c"]:
    for ending, what in BEGINNINGS.items():
        if sys.orig_argv[2].endswith(ending):
            _hand_over(what, address)
