"""What is installed of the packages: what the branch says of them, or nothing is planned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from pytest_dbtci.errors import UsageError
from pytest_dbtci.git.repository import Repository
from pytest_dbtci.layout import Package
from pytest_dbtci.project.links import walk
from pytest_dbtci.project.profile import PROJECT_FILE
from pytest_dbtci.project.project import Project

LOCK = "package-lock.yml"
_OF_A_PACKAGE = (PROJECT_FILE, "packages.yml", "dependencies.yml", ".dbtignore")
_READ = (".sql", ".csv", ".yml", ".yaml", ".md")
"""What dbt reads of a package: files in its root, and the endings of those in its folders, Python models apart."""

_Lock = Mapping[str, Mapping[str, Any]]


def check_installed(project: Project, repository: Repository, base: str, work: Path) -> None:
    """Raise UsageError where dbt would read another version of a package than the branch names.

    `project` is the head as dbt knows it; of the commit `base` the lock is read, into `work`.
    """
    now, lock = _locked(project.directory / LOCK), project.in_repository(LOCK)
    then: _Lock = {}
    if lock in project.changed and repository.tree(base, lock):
        repository.checkout(base, work / "settings", [lock])
        then = _locked(work / "settings" / lock)
    wrong = [*_local(project), *_git(project, now), *_moved(project, repository, then, now)]
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise UsageError(
            f"{wrong[0]}{more}: dbt would read something else than what the branch says. Run `dbt deps`, as a step of "
            "the job before pytest."
        )


def _local(project: Project) -> Iterator[str]:
    """Compare each local package with what is installed of it, unless that is a link to it."""
    for package in project.packages[1:]:
        if Path(package.root) != project.roots[package.name]:
            if file := _differing(project.roots[package.name], package):
                yield f"{_shown(project, package)} is a copy of a local package from which it differs in {file}"
        elif not package.folders:
            yield f"the local package {package.name} is not installed in {project.packages_dir}"


def _git(project: Project, now: _Lock) -> Iterator[str]:
    """Compare the commits of packages from git with those that the lock names."""
    for name, entry in now.items():
        folder, revision = _folder(project, name), str(entry.get("revision", ""))
        if "git" not in entry or not (folder / ".git").exists():
            continue
        commit = Repository(folder).head()
        if len(revision) == len(commit) and revision != commit:
            yield f"{LOCK} names commit {revision[:10]} of the package {name}, and {commit[:10]} is installed"


def _moved(
    project: Project,
    repository: Repository,
    then: Mapping[str, Mapping[str, Any]],
    now: Mapping[str, Mapping[str, Any]],
) -> Iterator[str]:
    """Find packages that still are what the base's lock names, where the branch's names another version or none."""
    for name, entry in then.items():
        folder, old = _folder(project, name), str(entry.get("version", ""))
        if not (folder / PROJECT_FILE).is_file():
            continue
        if name not in now:
            if repository.ignored([project.in_repository(f"{project.packages_dir}/{name}/{PROJECT_FILE}")]):
                yield f"{LOCK} does not name the package {name} any more, and it is still installed"
        elif (new := str(now[name].get("version", ""))) != old and old == _version(folder):
            yield f"{LOCK} names version {new} of the package {name}, and {old} is installed"


def _differing(source: Path, copy: Package) -> str:
    """Name the first file that dbt reads of a package and that is not the same in both places; empty for none."""
    theirs, ours = (_texts(root, copy.folders) for root in (Path(copy.root), source))
    return min((file for file in theirs.keys() | ours.keys() if theirs.get(file) != ours.get(file)), default="")


def _texts(root: Path, folders: tuple[str, ...]) -> dict[str, bytes]:
    paths = [root / name for name in _OF_A_PACKAGE]
    paths += [Path(e.path) for folder in folders for e in walk(root / folder) if e.name.endswith((*_READ, ".py"))]
    found = {str(p.relative_to(root)): p.read_bytes() for p in paths if p.is_relative_to(root) and p.is_file()}
    # A package's own Python tests lie in the same folders as its data tests.
    return {file: text for file, text in found.items() if not file.endswith(".py") or b"def model" in text}


def _locked(path: Path) -> _Lock:
    """Return what a lock says of each package, by name; nothing where it can't be read: then dbt says so."""
    try:
        said = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {str(p["name"]): p for p in said["packages"] if "name" in p}
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return {}


def _version(folder: Path) -> str:
    try:
        return str(yaml.safe_load((folder / PROJECT_FILE).read_text(encoding="utf-8"))["version"])
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError):
        return ""


def _folder(project: Project, name: str) -> Path:
    return project.directory / project.packages_dir / name


def _shown(project: Project, package: Package) -> str:
    return project.path_of(package.root) or package.root
