"""Where the dbt project lies in the repository, and which changed paths dbt can see at all."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from pytest_dbtci.errors import UsageError
from pytest_dbtci.project.profile import project_file
from pytest_dbtci.project.references import DATA_SUFFIXES, files, is_named

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


@dataclass(frozen=True, kw_only=True)
class Project:
    """A dbt project in a repository.

    `directory` is absolute; `inside` is its place in the repository (POSIX, `.` for the root itself); `name`
    is dbt's. `resources` are the folders that dbt reads, relative to the project; None when they are written
    with Jinja, so that any folder may be one. `packages_dir` is where packages are installed, relative to the
    project; `local_packages` the folders of local packages by package name, relative to the repository.
    """

    directory: Path
    inside: str
    name: str
    resources: tuple[str, ...] | None
    packages_dir: str
    local_packages: Mapping[str, str]

    def place(self, package: str, file: str) -> str:
        """Give a file of a package (the project itself is one) relative to the repository."""
        file = file.replace("\\", "/")
        if package == self.name:
            return self.in_repository(file)
        if package in self.local_packages:
            folder = self.local_packages[package]
            return file if folder == "." else f"{folder}/{file}"
        return self.in_repository(f"{self.packages_dir}/{package}/{file}")

    def package_of(self, path: str) -> str:
        """Name the package that a repository path belongs to, empty for none."""
        for package, folder in self.local_packages.items():
            if path.startswith(folder + "/"):
                return package
        inside = self.within(path)
        if inside is not None and inside.startswith(self.packages_dir + "/"):
            return inside[len(self.packages_dir) + 1 :].split("/")[0]
        return "" if inside is None else self.name

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
        if any(path == p or path.startswith(p + "/") for p in self.local_packages.values()):
            return True
        name = path.rsplit("/", 1)[-1]
        if name == "profiles.yml" or self.is_named(path):
            # A profile can lie outside the project, and SQL can name a file that lies anywhere.
            return True
        inside = self.within(path)
        if inside is None:
            return False
        return inside in ROOT_FILES or _is_under(inside, self.resources) or inside.startswith(self.packages_dir + "/")

    def is_named(self, path: str) -> bool:
        """Tell whether a file of the project or of a local package may name this one as data or as a module."""
        ending = path.rpartition(".")[2].lower()
        return ending in (*DATA_SUFFIXES, "py") and self.is_named_by(path, self._named_files)

    def is_named_by(self, path: str, patterns: Iterable[str]) -> bool:
        """Tell whether one of the patterns can mean that path; behind a link every file of that name can be meant."""
        return any(is_named(path, [p]) or (is_named(path, [_last(p)]) and self._is_behind_link(p)) for p in patterns)

    def _is_behind_link(self, pattern: str) -> bool:
        place = PurePosixPath(pattern)
        roots = (self.directory, self._root)
        return any((r / p).is_symlink() for r in roots for p in (place, *place.parents) if str(p) != ".")

    @cached_property
    def _root(self) -> Path:
        root = self.directory
        for _ in PurePosixPath(self.inside).parts:
            root = root.parent
        return root

    @cached_property
    def _named_files(self) -> frozenset[str]:
        folders = [self.directory / f for f in self.resources or (".",)]
        folders += [self._root / f for f in self.local_packages.values()]
        texts = [p for f in folders for p in _texts(f)] + [self.directory / "dbt_project.yml"]
        found = set[str]()
        for path in texts:
            found.update(files(path.read_text(encoding="utf-8", errors="replace"), python=path.suffix == ".py"))
        return frozenset(found)


def _texts(folder: Path) -> Iterator[Path]:
    for place, folders, names in os.walk(folder):
        folders[:] = [f for f in folders if not f.startswith(".") and f not in ("target", "node_modules", "logs")]
        yield from (Path(place, n) for n in names if n.endswith((".sql", ".py", ".yml", ".yaml")))


def _last(pattern: str) -> str:
    return pattern.rpartition("/")[2]


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
    if (invocation_dir / "dbt_project.yml").is_file():
        raise UsageError(
            f"pytest's rootdir is {rootdir}, which does not hold {invocation_dir}: where there is no pytest.ini, the "
            "path that an option was given can be taken for it. Add a pytest.ini to the project, or pass --rootdir=."
        )
    found = sorted(_below(rootdir))
    if not found:
        raise UsageError(
            f"there is no dbt_project.yml in {rootdir} or below. Run it in the dbt project, or pass "
            "--dbt-ci-project-dir."
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


def _local_packages(directory: Path, repository_root: Path) -> dict[str, str]:
    """Find the local packages, those of local packages included, that lie in the repository."""
    found: dict[str, str] = {}
    todo = [directory]
    while todo:
        for place in local_folders(todo.pop()):
            if not place.is_relative_to(repository_root) or not (place / "dbt_project.yml").is_file():
                continue
            name = str(project_file(place)["name"])
            if name not in found:
                found[name] = place.relative_to(repository_root).as_posix()
                todo.append(place)
    return found


def local_folders(directory: Path) -> list[Path]:
    """Return the folders of the local packages that a project names, whether they are there or not."""
    found = []
    for name in ("packages.yml", "dependencies.yml"):
        try:
            said = yaml.safe_load((directory / name).read_text(encoding="utf-8")) or {}
            packages = said.get("packages") or []
        except (OSError, yaml.YAMLError, AttributeError):
            continue
        locals_ = [p.get("local") for p in packages if isinstance(p, Mapping)]
        found += [(directory / str(local)).resolve() for local in locals_ if local]
    return found


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
