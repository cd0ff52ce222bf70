"""Start dbt's process before it is known where it will work."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_dbtci.dbt_client.private import PrivateFolder
from pytest_dbtci.dbt_client.process import HostProcess
from pytest_dbtci.dbt_client.requirement import check_installed
from pytest_dbtci.errors import UsageError

if TYPE_CHECKING:
    from pytest_dbtci.dbt_client.client import Host


def begin(cwd: Path, environ: Mapping[str, str]) -> Host:
    """Return a host that imports dbt, in a private folder of its own: see `Host.settle`."""
    private = PrivateFolder()
    process, log = None, private.path / "dbt.log"
    # What keeps it from starting is said when the plan is made: by the same check, or by the first request.
    with contextlib.suppress(OSError, UsageError):
        check_installed()
        process = HostProcess(cwd=cwd, environ=environ, log=log, private=private)
    # It imports dbt while this process imports the rest.
    from pytest_dbtci.dbt_client.client import Host

    return Host(cwd, environ, log, private=private, process=process)
