"""Start dbt's process before it is known where it will work."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from pathlib import Path

from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.dbt_client.private import PrivateFolder
from pytest_dbtci.dbt_client.process import HostDied
from pytest_dbtci.dbt_client.requirement import check_installed
from pytest_dbtci.errors import UsageError


def begin(cwd: Path, environ: Mapping[str, str]) -> Host:
    """Return a host that imports dbt, in a private folder of its own: see `Host.settle`."""
    private = PrivateFolder()
    host = Host(cwd, environ, private.path / "dbt.log", private=private)
    # What keeps it from starting is said when the plan is made: by the same check, or by the first request.
    with contextlib.suppress(HostDied, UsageError):
        check_installed()
        host.start()
    return host
