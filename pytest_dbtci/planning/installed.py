"""What is installed of the packages: what the branch says of them, or nothing is planned."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import chain
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
NAMED = ("packages.yml", "dependencies.yml")
_OF_A_PACKAGE = (PROJECT_FILE, *NAMED, ".dbtignore")
_READ = (".sql", ".csv", ".yml", ".yaml", ".md")
"""What dbt reads of a package: files in its root, and the endings of those in its folders, Python models apart."""

_Lock = Mapping[str, Mapping[str, Any]]


def check_installed(project: Project, repository: Repository, base: str, work: Path) -> tuple[str, ...]:
    """Raise UsageError where dbt would read another version of a package than the branch names.

    `project` is the head as dbt knows it; of the commit `base` the lock is read, into `work`. Returns notes on
    what can't be told.
    """
    now, lock = _locked(project.directory / LOCK), project.in_repository(LOCK)
    then: _Lock = {}
    if lock in project.changed and repository.tree(base, lock):
        repository.checkout(base, work / "settings", [lock])
        then = _locked(work / "settings" / lock)
    found = (_local(project), _git(project, now), _moved(project, repository, then, now), _stale(project, repository))
    wrong = list(chain.from_iterable(found))
    if wrong:
        more = f" (and {len(wrong) - 1} more)" if len(wrong) > 1 else ""
        raise UsageError(
            f"{wrong[0]}{more}: dbt would read something else than what the branch says. Run `dbt deps`, as a step of "
            "the job before pytest."
        )
    return tuple(
        f"{LOCK} names another commit of the package {name} than the base's, and what is installed of a git package's "
        "subdirectory does not tell its commit: where the job keeps it from run to run, it has to run `dbt deps`"
        for name, entry in now.items()
        if "git" in entry and name in then and entry.get("revision") != then[name].get("revision")
        if not (_folder(project, name) / ".git").exists()
    )


def _stale(project: Project, repository: Repository) -> Iterator[str]:
    """Find a lock that `dbt deps` would make anew, as other packages were named then; or none, which tells nothing."""
    digest = _read(project.directory / LOCK).get("sha1_hash")
    texts = {name: _text(project.directory / name) for name in NAMED}
    for name in (n for n, text in texts.items() if project.named and "packages" in text):
        changed = project.in_repository(name) in project.changed
        # With Jinja (a token of the day, say) the same text has a digest for each of its values.
        if digest and digest != project.named and (changed or "{{" not in texts[name]):
            yield f"{LOCK} was made from another {name} than this one, and what is installed follows the lock"
        elif changed and not (project.directory / LOCK).exists():
            fetched = [p.name for p in project.packages[1:] if p.name not in project.local_packages]
            folders = {project.in_repository(f"{project.packages_dir}/{n}/{PROJECT_FILE}"): n for n in fetched}
            for path in sorted(repository.ignored(folders)):
                yield f"{name} changed, and there is no {LOCK} to say what is installed of {folders[path]}"


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
        return {str(p["name"]): p for p in _read(path)["packages"] if "name" in p}
    except (KeyError, TypeError):
        return {}


def _version(folder: Path) -> str:
    return str(_read(folder / PROJECT_FILE).get("version", ""))


def _read(path: Path) -> Mapping[str, Any]:
    """Return what a YAML file says; nothing where it can't be read."""
    try:
        said = yaml.safe_load(_text(path))
    except yaml.YAMLError:
        return {}
    return said if isinstance(said, dict) else {}


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _folder(project: Project, name: str) -> Path:
    return project.directory / project.packages_dir / name


def _shown(project: Project, package: Package) -> str:
    return project.path_of(package.root) or package.root
