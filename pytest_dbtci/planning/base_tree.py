"""The merge base, checked out aside so that dbt finds in it what it finds in the work tree."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath

from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.dbt_client.protocol.tree_requests import InstallPackages
from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.errors import DbtCiError, UsageError
from pytest_dbtci.git.attributes import NAME as ATTRIBUTES
from pytest_dbtci.git.repository import Repository
from pytest_dbtci.layout import Package
from pytest_dbtci.planning.project_settings import rendered
from pytest_dbtci.project.links import follow, walk
from pytest_dbtci.project.project import Project, read_project

_NAMED = ("packages.yml", "dependencies.yml")
_LOCK = "package-lock.yml"


@dataclass(kw_only=True)
class BaseTree:
    """Check the base out once, with the packages that it needs; `head` is the project as the work tree has it."""

    repository: Repository
    commit: str
    head: Project
    host: Host
    work: Path
    _project: Project | None = field(default=None, init=False)

    def project(self, invocation: Invocation) -> Project:
        """Return the project as the base has it; `invocation` is what the head is parsed with.

        UsageError where something that it reads is not to be had as the base had it.
        """
        if self._project is None:
            self._tree.mkdir(parents=True)
            empty = self.repository.checkout(self.commit, self._tree, ruled=self._ruled)
            base = self._read(invocation, installed=False)
            for path in (p for m in empty for p in (*base.reads, *self.head.reads) if f"{p}/".startswith(f"{m}/")):
                # Wanted by name, what lies in a submodule that isn't here is an error.
                self.repository.checkout(self.commit, self._tree, [path], ruled=self._ruled)
            self._bridge(base)
            self._give_packages(base, invocation.vars)
            self._project = self._read(invocation, installed=True)
        return self._project

    @property
    def _mirror(self) -> Path:
        return self.work / "base"

    @property
    def _tree(self) -> Path:
        """Return the checkout's root, which lies as deep as the repository's, so that no `..` leads out of `work`."""
        root = self.head.repository
        return self._mirror / root.relative_to(root.anchor)

    @property
    def _ruled(self) -> frozenset[str]:
        """Return the files whose form may be a change: where a .gitattributes changed, what it rules, what changed."""
        if not any(PurePosixPath(path).name == ATTRIBUTES for path in self.head.changed):
            return frozenset()
        return self.head.changed.union(self.head.attributed)

    def _read(self, invocation: Invocation, *, installed: bool) -> Project:
        base = read_project(self._tree / self.head.inside, self._tree)
        if not base.doubt:
            return base
        there = as_base(invocation, base, self.work / "layout")
        return rendered(self.host, base, there, installed=installed)

    def _bridge(self, base: Project) -> None:
        """Make paths that lead out of the repository lead where they do in the work tree."""
        for package in base.packages:
            for path in _outward(package):
                links, real = follow(path)
                for place in (*links, real):
                    if base.path_of(place) is None:
                        self._lead_out(Path(place))
                    if self.head.path_of(place) is not None and not Path(place).is_relative_to(self._mirror):
                        self._refuse_changed(place, package)

    def _lead_out(self, place: Path) -> None:
        if not place.is_relative_to(self._mirror) or os.path.lexists(place):
            return
        there = Path(self.head.repository.anchor) / place.relative_to(self._mirror)
        if there.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(there, target_is_directory=there.is_dir())

    def _refuse_changed(self, place: str, package: Package) -> None:
        path = self.head.path_of(place)
        changed = sorted(p for p in self.head.changed if path == "." or f"{p}/".startswith(f"{path}/"))
        if changed:
            raise UsageError(
                f"{package.name} reads {place} by an absolute path, so that the base, which lies elsewhere, can't be "
                f"read with its own version of {changed[0]}. Let the settings or the link name it by a relative path."
            )

    def _give_packages(self, base: Project, variables: str) -> None:
        """Install the packages that the base names: the head's where both name the same, else its own by `dbt deps`."""
        if not any((base.directory / n).is_file() for n in _NAMED):
            return
        if self._names_others(base):
            self._install(base.directory, variables)
            return
        installed = self.head.directory / self.head.packages_dir
        roots = {os.path.realpath(root): name for name, root in self.head.roots.items()}
        for package in sorted(installed.iterdir()) if installed.is_dir() else ():
            link = base.directory / base.packages_dir / package.name
            if os.path.lexists(link):
                continue  # committed with the base
            name = roots.get(os.path.realpath(package), package.name)
            local = self.head.local_packages.get(name)
            place = package.resolve() if local is None else self._tree / local
            link.parent.mkdir(exist_ok=True, parents=True)
            link.symlink_to(place, target_is_directory=True)

    def _names_others(self, base: Project) -> bool:
        """Whether the base names other packages, by itself or in a local package of the repository."""
        folders = {self.head.inside, *base.local_packages.values(), *self.head.local_packages.values()}
        named = [Path(folder, name) for folder in folders for name in _NAMED]
        if any(_bytes(self._tree / path) != _bytes(self.head.repository / path) for path in named):
            return True
        lock = self.head.in_repository(_LOCK)
        # A lock file that git ignores is no commit's: it holds for both.
        different = _bytes(self._tree / lock) != _bytes(self.head.repository / lock)
        return different and not self.repository.ignored([lock])

    def _install(self, base: Path, variables: str) -> None:
        try:
            self.host.ask(InstallPackages(project_dir=str(base), vars=variables))
        except DbtCiError as error:
            raise UsageError(
                f"the base ({self.commit[:10]}) names other packages than the branch does, and they can't be "
                f"installed beside it: {error}\nLet this machine reach the packages' places, or compare with a "
                "commit that has the same package-lock.yml: --dbt-ci-base COMMIT."
            ) from None

    def lacks(self) -> str:
        """Return what to say of files that dbt reads in the work tree and that no commit can have; empty for none."""
        installed = self.head.in_repository(self.head.packages_dir)
        read = {
            path
            for package in self.head.packages
            for folder in package.folders
            for entry in walk(Path(package.root, folder))
            if (path := self.head.path_of(follow(entry.path)[1])) and not path.startswith(f"{installed}/")
        }
        found = sorted(self.repository.ignored(read))
        if not found:
            return ""
        more = f" and {len(found) - 3} more" if len(found) > 3 else ""
        return (
            f"git ignores {', '.join(found[:3])}{more}, which dbt reads, so no commit has them and the base lacks "
            "them: commit them, or let the job write them outside of what dbt reads.\n"
        )


def as_base(invocation: Invocation, base: Project, target_path: Path) -> Invocation:
    """Return what dbt is called with for the base, whatever dbt it was made for."""
    return replace(invocation, project_dir=str(base.directory), target_path=str(target_path), any_version=True)


def _outward(package: Package) -> Iterator[str]:
    for folder in package.folders:
        yield str(Path(package.root, folder))
        yield from (entry.path for entry in walk(Path(package.root, folder)) if entry.is_symlink())


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None
