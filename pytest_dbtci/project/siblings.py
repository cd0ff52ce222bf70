"""The other dbt projects of a repository, from whose schemas this one's must differ."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from pytest_dbtci.errors import UsageError
from pytest_dbtci.project.layout_files import local_folders
from pytest_dbtci.project.profile import project_file
from pytest_dbtci.project.project import Project


def siblings(project: Project, root: Path, files: Iterable[str]) -> dict[str, str]:
    """Return the names of the repository's other projects, by folder; `files` are its `dbt_project.yml`.

    A project is what names a profile and is nobody's package.
    """
    found, packages = dict[str, str](), set[Path]()
    for file in files:
        folder = PurePosixPath(file).parent
        if "dbt_packages" in folder.parts or "dbt_modules" in folder.parts:
            continue
        try:
            data = project_file(root / folder)
        except UsageError:
            continue  # deleted, or not readable: nobody can build it
        packages.update(local_folders(root / folder))
        if data.get("profile"):
            found[str(folder)] = str(data["name"])
    return {f: name for f, name in found.items() if f != project.inside and (root / f).resolve() not in packages}


def project_identity(project: Project, others: dict[str, str]) -> str:
    """Return the project's name, with its folder where another project of the repository has the same name."""
    return f"{project.name} in {project.inside}" if project.name in others.values() else project.name
