"""The project's settings: as dbt renders them, and as their files were written at the base and are now."""

from __future__ import annotations

from pathlib import Path

from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.dbt_client.protocol.tree_requests import FindLayout
from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.dbt_words import reason
from pytest_dbtci.errors import UsageError
from pytest_dbtci.git.repository import Repository
from pytest_dbtci.project.project import Project


def rendered(host: Host, project: Project, invocation: Invocation, *, installed: bool = True) -> Project:
    """Return the project as dbt itself knows it, what is `installed` included; UsageError where dbt can't read it."""
    try:
        return project.rendered(host.ask(FindLayout(invocation=invocation, installed=installed)))
    except UsageError as error:
        raise UsageError(f"dbt can't parse the project: {reason(str(error))}") from None


def settings_texts(
    repository: Repository, commit: str, project: Project, profile_file: str | None, work: Path
) -> dict[str, tuple[str | None, str | None]]:
    """Read the changed settings files, the profile's too, as they were and as they are; None for one not there."""
    known = {*project.settings, project.variable_file, profile_file}
    paths = [p for p in sorted(project.changed) if p in known]
    if not paths:
        return {}
    repository.checkout(commit, work / "settings", [p for p in paths if repository.tree(commit, p)])
    return {p: (_text(work / "settings" / p), _text(repository.root / p)) for p in paths}


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else None
