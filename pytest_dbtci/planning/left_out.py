"""What a sparse checkout leaves out of what dbt reads."""

from __future__ import annotations

from pathlib import PurePosixPath

from pytest_dbtci.errors import UsageError
from pytest_dbtci.git.repository import Repository
from pytest_dbtci.project.project import Project


def left_out(project: Project, repository: Repository) -> tuple[str, ...]:
    """Return what to note of it; UsageError where that changed."""
    paths = sorted(filter(project.is_read, repository.left_out()))
    if changed := sorted(project.changed.intersection(paths)):
        raise UsageError(
            f"{changed[0]} changed, and this sparse checkout leaves it out, so dbt can't validate it: "
            f"`git sparse-checkout add {PurePosixPath(changed[0]).parent}`."
        )
    if not paths:
        return ()
    shown = ", ".join(paths[:3]) + " …" * (len(paths) > 3)
    some = f"{len(paths)} file{'s' * (len(paths) != 1)} that dbt reads ({shown})"
    return (f"this sparse checkout leaves out {some}: what they define is not there for dbt",)
