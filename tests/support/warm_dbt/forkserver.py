"""A server that has imported dbt, has parsed once, remembers templates, and forks a process for each that would do so.

It ends with its standard input.
"""

from __future__ import annotations

import contextlib
import contextvars
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from multiprocessing import resource_tracker
from pathlib import Path
from typing import Any

MODULES = (
    "dbt.cli.main",
    "dbt.adapters.postgres",
    "dbt.adapters.redshift",
    "dbt.adapters.duckdb",
    "dbt.task.build",
    "dbt.parser.manifest",
    "pytest_dbtci.dbt_host.operations",
)
"""What is imported; an adapter that is not installed is left out."""

PROJECT = {
    "dbt_project.yml": "name: warm\nprofile: warm\n",
    "profiles.yml": "warm: {target: ci, outputs: {ci: {type: duckdb, path: ':memory:', schema: dbt}}}\n",
    "models/one.sql": "select 1 as a\n",
    "models/models.yml": "models: [{name: one, columns: [{name: a, data_tests: [not_null]}]}]\n",
}


def serve(address: str) -> None:
    """Serve at this address, a path, until standard input ends."""
    for name in MODULES:
        with contextlib.suppress(ModuleNotFoundError):
            importlib.import_module(name)
    alike = sys.modules["sitecustomize"].imported_alike(dict(os.environ), sys.path)
    _remember_templates()
    _parse_once()
    woken, wake = os.pipe()
    os.set_blocking(wake, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    callers: dict[int, socket.socket] = {}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(address)
        listener.listen(32)
        print("ready", flush=True)
        while True:
            standing_for = {caller: pid for pid, caller in callers.items() if caller.fileno() >= 0}
            ready, _, _ = select.select([listener, woken, 0, *standing_for], [], [])
            for caller in standing_for.keys() & {*ready}:
                # What a copy stands for has ended, and so does the copy, even one that is stopped.
                caller.close()
                os.kill(standing_for[caller], signal.SIGKILL)
            if 0 in ready:
                for pid in callers:
                    os.kill(pid, signal.SIGKILL)
                os._exit(0)
            if woken in ready:
                os.read(woken, 4096)
                _tell_ends(callers)
            if listener in ready:
                caller, _ = listener.accept()
                inherited = [listener.fileno(), woken, wake, *(n for c in callers.values() if (n := c.fileno()) >= 0)]
                if pid := _fork(caller, alike, inherited):
                    callers[pid] = caller
                else:
                    caller.close()


def _remember_templates() -> None:
    """Let Jinja parse no text twice: dbt's own macros are most of what it reads, and the same for every project.

    dbt looks for macros and calls in the trees that it gets, and changes none.
    """
    from jinja2 import Environment

    parse, trees = Environment.parse, {}

    def remembered(self: Environment, source: str, name: str | None = None, filename: str | None = None) -> Any:
        key = (type(self), *self.extensions, source, name, filename)
        if key not in trees:
            trees[key] = parse(self, source, name, filename)
        return trees[key]

    Environment.parse = remembered  # type: ignore[method-assign]


def _parse_once() -> None:
    """Parse a project of one model, by which dbt makes the schemas and templates that every later parse uses.

    Without the static parser: it has threads of its own, which no copy of this process would have.
    """
    from dbt.adapters.factory import reset_adapters
    from dbt.cli.main import dbtRunner

    before = _threads()
    with tempfile.TemporaryDirectory(prefix="warm-dbt-") as folder:
        for name, text in PROJECT.items():
            Path(folder, name).parent.mkdir(exist_ok=True)
            Path(folder, name).write_text(text, encoding="utf-8")
        where = [f"--{option}={folder}" for option in ("project-dir", "profiles-dir", "target-path", "log-path")]
        quiet = ("--log-level=none", "--log-level-file=none", "--no-send-anonymous-usage-stats")
        contextvars.copy_context().run(dbtRunner().invoke, [*quiet, "parse", "--no-static-parser", *where])
    reset_adapters()
    gc.collect()
    gc.freeze()
    # The copies' semaphores are for processes of their own to see to.
    resource_tracker._resource_tracker._stop()  # type: ignore[attr-defined]
    assert _threads() == before, "a copy would wait for threads that it lacks"


def _threads() -> int:
    """Count this process's threads, not Python's alone, where the system tells of them."""
    return len(list(Path("/proc/self/task").glob("*")))


def _tell_ends(callers: dict[int, socket.socket]) -> None:
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitpid(-1, os.WNOHANG))[0]:
            with callers.pop(found[0]) as caller, contextlib.suppress(OSError):
                caller.sendall(f"{os.waitstatus_to_exitcode(found[1])}\n".encode())


def copy_of(environ: Mapping[str, str]) -> str:
    """Return the name of a copy's process, by which it is found: Linux shows the server's environment as its own."""
    return f"dbt {sha256(environ.get('TMPDIR', '').encode()).hexdigest()[:11]}"


def _fork(caller: socket.socket, alike: str, inherited: list[int]) -> int:
    """Begin what the caller asks for; return its process's number, 0 where the caller has to do it itself."""
    text, descriptors, _, _ = socket.recv_fds(caller, 1, 3)
    while not text.endswith(b"\n"):
        if not (more := caller.recv(65536)):
            return 0
        text += more
    begin = json.loads(text)
    pid = 0
    if begin["alike"] == alike and not (pid := os.fork()):
        for descriptor in inherited:
            os.close(descriptor)
        _become(begin, descriptors, caller)
    for descriptor in descriptors:
        os.close(descriptor)
    caller.sendall(f"{pid}\n".encode())
    return pid


def _become(begin: dict[str, Any], descriptors: list[int], caller: socket.socket) -> None:
    """Be the process that the caller was started to be; never returns."""
    code = 1
    try:
        os.setsid()
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for to, descriptor in enumerate(descriptors):
            os.dup2(descriptor, to)
            os.close(descriptor)
        os.chdir(begin["cwd"])
        os.environ.clear()
        os.environ.update(begin["environ"])
        sys.argv = begin["argv"]
        caller.close()
        with contextlib.suppress(OSError):
            Path("/proc/self/comm").write_text(copy_of(begin["environ"]))
        if begin["kind"] == "host":
            from pytest_dbtci.dbt_host.__main__ import main

            sys.path[:] = filter(None, sys.path)
            main()
        else:
            from dbt.cli.main import cli

            cli()
        code = 0
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else int(error.code is not None)
    except BaseException:
        sys.excepthook(*sys.exc_info())
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
