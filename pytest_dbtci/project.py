"""Where the dbt project lies in the repository, and which changed paths dbt can see at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from pytest_dbtci.errors import UsageError
from pytest_dbtci.profile import project_file

_RESOURCE_PATHS = {
    "model-paths": ["models"],
    "seed-paths": ["seeds"],
    "test-paths": ["tests"],
    "analysis-paths": ["analyses"],
    "macro-paths": ["macros"],
    "snapshot-paths": ["snapshots"],
    "function-paths": ["functions"],
    "docs-paths": [],
    "asset-paths": [],
}
ROOT_FILES = (
    "dbt_project.yml",
    "packages.yml",
    "dependencies.yml",
    "package-lock.yml",
    "selectors.yml",
    "profiles.yml",
    ".dbtignore",
    ".env",
)
_SUFFIXES = (".sql", ".yml", ".yaml", ".csv", ".md", ".py", ".js")


@dataclass(frozen=True, kw_only=True)
class Project:
    """A dbt project in a repository.

    `directory` is absolute; `inside` is its place in the repository (POSIX, `.` for the root itself); `name`
    is dbt's. `resources` are the folders that dbt reads, relative to the project; None when they are written
    with Jinja, so that any folder may be one. `packages_dir` is where packages are installed, `local_packages`
    the folders of local packages, relative to the repository.
    """

    directory: Path
    inside: str
    name: str
    resources: tuple[str, ...] | None
    packages_dir: str
    local_packages: tuple[str, ...]

    def within(self, path: str) -> str | None:
        """Give a repository path relative to the project's folder, None where it lies outside."""
        if self.inside == ".":
            return path
        return path[len(self.inside) + 1 :] if path.startswith(self.inside + "/") else None

    def in_repository(self, path: str) -> str:
        """Give a path of the project relative to the repository."""
        return path if self.inside == "." else f"{self.inside}/{path}"

    def can_matter(self, path: str) -> bool:
        """Tell whether dbt can see that repository path: when in doubt, it can."""
        if any(path == p or path.startswith(p + "/") for p in self.local_packages):
            return True
        inside = self.within(path)
        if inside is None:
            return False
        if inside in ROOT_FILES:
            return True
        if not inside.endswith(_SUFFIXES):
            return _is_under(inside, self.resources) and not inside.startswith(self.packages_dir + "/")
        return _is_under(inside, self.resources)


def _is_under(path: str, folders: tuple[str, ...] | None) -> bool:
    if folders is None:
        return True
    return any(f in ("", ".") or path == f or path.startswith(f + "/") for f in folders)


def find_project(given: str, rootdir: Path, invocation_dir: Path) -> Path:
    """Find the folder of dbt_project.yml: the one given, rootdir, or the only one below it.

    Raises UsageError when there is none, or several and none was chosen.
    """
    if given:
        directory = (invocation_dir / given).resolve()
        if not (directory / "dbt_project.yml").is_file():
            raise UsageError(f"--dbt-ci-project-dir {given}: there is no dbt_project.yml in {directory}.")
        return directory
    for directory in (rootdir, invocation_dir, *invocation_dir.parents):
        if (directory / "dbt_project.yml").is_file() and directory.is_relative_to(rootdir):
            return directory.resolve()
    found = sorted(_below(rootdir))
    if not found:
        raise UsageError(
            f"there is no dbt_project.yml in {rootdir} or below. Run it in the dbt project, or pass --dbt-ci-project-dir."
        )
    if len(found) > 1:
        names = "\n  ".join(str(p.relative_to(rootdir)) for p in found)
        raise UsageError(
            f"there are several dbt projects below {rootdir}:\n  {names}\nChoose one with --dbt-ci-project-dir."
        )
    return found[0].resolve()


def read_project(directory: Path, repository_root: Path) -> Project:
    """Read what planning needs of the project's own files (Jinja unrendered)."""
    data = project_file(directory)
    inside = PurePosixPath(directory.relative_to(repository_root).as_posix())
    packages_dir = str(data.get("packages-install-path") or "dbt_packages")
    return Project(
        directory=directory,
        inside=str(inside),
        name=str(data["name"]),
        resources=_resources(data),
        packages_dir=packages_dir if "{" not in packages_dir else "dbt_packages",
        local_packages=_local_packages(directory, repository_root),
    )


def _resources(data: Mapping[str, Any]) -> tuple[str, ...] | None:
    found: list[str] = []
    for key, default in _RESOURCE_PATHS.items():
        paths = data.get(key, default)
        if not isinstance(paths, list) or any("{" in str(p) for p in paths):
            return None
        found += [str(PurePosixPath(p)) for p in paths]
    return tuple(dict.fromkeys(found))


def _local_packages(directory: Path, repository_root: Path) -> tuple[str, ...]:
    found = []
    for name in ("packages.yml", "dependencies.yml"):
        path = directory / name
        if not path.is_file():
            continue
        try:
            packages = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("packages") or []
        except (yaml.YAMLError, AttributeError):
            continue
        for package in packages:
            local = package.get("local") if isinstance(package, Mapping) else None
            if local:
                place = (directory / str(local)).resolve()
                if place.is_relative_to(repository_root):
                    found.append(place.relative_to(repository_root).as_posix())
    return tuple(found)


def _below(rootdir: Path, depth: int = 4) -> list[Path]:
    """Find dbt projects below a folder, leaving out installed packages, environments and hidden folders."""
    found: list[Path] = []
    for child in sorted(rootdir.iterdir()) if depth else ():
        skip = child.name.startswith(".") or child.name in (
            "dbt_packages",
            "dbt_modules",
            "target",
            "node_modules",
        )
        if skip or not child.is_dir() or child.is_symlink() or (child / "pyvenv.cfg").exists():
            continue
        if (child / "dbt_project.yml").is_file():
            found.append(child)
        else:
            found += _below(child, depth - 1)
    return found
