"""The documentation page of a release: written once all of it is green."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from pytest_dbtci.errors import DbtCiError
from pytest_dbtci.execution.run_host import RunHost
from pytest_dbtci.planning.planned import Planned
from pytest_dbtci.release.docs_folder import publish
from pytest_dbtci.results import Result
from pytest_dbtci.settings import Settings


def document(planned: Planned, settings: Settings, host: RunHost, result_of: Callable[[str], Result]) -> str:
    """Write page and manifest where `--dbt-ci-docs` says; return the folder, empty if not asked.

    Raises DbtCiError where something was not released, or the warehouse or the disk refuses.
    """
    request = planned.document
    if not settings.docs or request is None:
        return ""
    green = ("passed", "warned")
    missing = [n.label for n in planned.plan.items if result_of(n.unique_id).outcome not in green]
    if missing:
        raise DbtCiError(f"the documentation was not written, because {missing[0]} was not released.")
    host.ask(request)
    written = Path(request.invocation.target_path)
    host.redaction.clean(written)
    directory = settings.invocation_dir / settings.docs
    publish(written, directory)
    return str(directory)
