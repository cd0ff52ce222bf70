"""A project's layout as its own files tell it, and what only dbt can tell."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from pytest_dbtci.errors import UsageError
from pytest_dbtci.layout import Layout, Package
from pytest_dbtci.project.profile import PROJECT_FILE, project_file
from pytest_dbtci.project.references import paths_in

INSTALLED = "dbt_packages"
"""Where dbt installs packages unless the project says otherwise."""

_DEFAULT_PATHS = {
    "model-paths": ["models"],
    "seed-paths": ["seeds"],
    "test-paths": ["tests"],
    "analysis-paths": ["analyses"],
    "macro-paths": ["macros"],
    "snapshot-paths": ["snapshots"],
    "function-paths": ["functions"],
}


@dataclass(frozen=True, kw_only=True)
class Known:
    """A layout, and what of it can't be known without dbt: `doubt` is empty where all is known."""

    layout: Layout
    doubt: str = ""


def read_layout(project_dir: Path) -> Known:
    """Read a project's layout from its files, Jinja unrendered: that is a doubt, as is what can't be read."""
    return _Reading(project_dir).known()


def local_folders(project_dir: Path) -> list[Path]:
    """Return the folders of the local packages that a project names, whether they are there or not."""
    return [(project_dir / written).resolve() for written in _Reading(project_dir).named_locally(project_dir)]


def with_local_packages(layout: Layout) -> Layout:
    """Return the layout with local packages where they lie themselves, before what is installed."""
    own, *others = layout.packages
    folders = {package.name: package.folders for package in others}
    places = dict.fromkeys(place for package in layout.packages for place in package.local)
    names = {
        place: str(project_file(Path(place))["name"]) for place in places if (Path(place) / PROJECT_FILE).is_file()
    }
    beside = [Package(name=name, root=place, folders=folders.get(name, ())) for place, name in names.items()]
    return replace(layout, packages=_distinct([own, *beside, *others]))


def files_of_variables(packages: Iterable[Package]) -> dict[str, tuple[str, ...]]:
    """Map the variables of the packages' settings whose values can name files to patterns for these."""
    found: dict[str, tuple[str, ...]] = {}
    for path in (Path(package.root, name) for package in packages for name in (PROJECT_FILE, "vars.yml")):
        for name, value in _variables(path):
            if patterns := paths_in(value):
                found[name] = (*found.get(name, ()), *patterns)
    return found


def _variables(path: Path) -> Iterator[tuple[str, object]]:
    """Yield the variables of a settings file as written, those in the scope of a package too."""
    try:
        settings = yaml.safe_load(path.read_text(encoding="utf-8", errors="replace")) if path.is_file() else None
    except yaml.YAMLError:
        return  # dbt will say so
    said = settings.get("vars") if isinstance(settings, Mapping) else None
    for name, value in said.items() if isinstance(said, Mapping) else ():
        yield str(name), value
        yield from value.items() if isinstance(value, Mapping) else ()


def _distinct(packages: list[Package]) -> tuple[Package, ...]:
    """Leave out what is a link to another one."""
    return tuple({os.path.realpath(package.root): package for package in reversed(packages)}.values())[::-1]


class _Reading:
    def __init__(self, project_dir: Path) -> None:
        self._project_dir = project_dir
        self._doubts: list[str] = []

    def known(self) -> Known:
        own = self._package(self._project_dir)
        said = project_file(self._project_dir).get("packages-install-path") or INSTALLED
        directory = str(said)
        if "{" in directory:
            self._doubts.append(f"packages-install-path is {directory!r}")
            directory = INSTALLED
        local = self._local_packages()
        installed = [self._package(place) for place in _installed(self._project_dir / directory)]
        layout = Layout(packages=_distinct([own, *local, *installed]), packages_dir=directory)
        return Known(layout=layout, doubt="; ".join(dict.fromkeys(self._doubts)))

    def _package(self, root: Path) -> Package:
        try:
            data = project_file(root)
        except UsageError as error:
            if root == self._project_dir:
                raise
            self._doubts.append(str(error))
            return Package(name=root.name, root=str(root))
        folders: list[str] = []
        for key in (*_DEFAULT_PATHS, *(k for k in data if str(k).endswith("-paths") and k not in _DEFAULT_PATHS)):
            said = data.get(key)
            paths = _DEFAULT_PATHS[key] if said is None and key in _DEFAULT_PATHS else said or []
            if not isinstance(paths, list) or any("{" in str(p) for p in paths):
                self._doubts.append(f"{key} of {root / PROJECT_FILE} is {paths!r}")
            else:
                folders += map(str, paths)
        return Package(name=str(data["name"]), root=str(root), folders=tuple(dict.fromkeys(folders)))

    def _local_packages(self) -> list[Package]:
        """Return the local packages where they lie, those of local packages included."""
        found: dict[Path, Package] = {}
        todo = [self._project_dir]
        while todo:
            root = todo.pop()
            for written in self.named_locally(root):
                # dbt takes a package's own local packages for paths from the project's folder.
                for place in dict.fromkeys((self._project_dir / written, root / written)):
                    real = place.resolve()
                    if real not in found and (real / PROJECT_FILE).is_file():
                        found[real] = self._package(real)
                        todo.append(real)
        return list(found.values())

    def named_locally(self, root: Path) -> Iterator[str]:
        for name in ("packages.yml", "dependencies.yml"):
            path = root / name
            if not path.is_file():
                continue
            try:
                said = yaml.safe_load(path.read_text(encoding="utf-8"))
                packages = (said or {}).get("packages") or []
                written = [str(p["local"]) for p in packages if isinstance(p, Mapping) and "local" in p]
            except (OSError, ValueError, yaml.YAMLError, AttributeError, TypeError) as error:
                self._doubts.append(f"{path} can't be read: {type(error).__name__}")
                continue
            if any("{" in w for w in written):
                self._doubts.append(f"{path} names a local package with Jinja")
            yield from (w for w in written if "{" not in w)


def _installed(directory: Path) -> list[Path]:
    """Return the folders that dbt takes for installed packages."""
    if not directory.is_dir():
        return []
    return sorted(p for p in directory.iterdir() if p.is_dir() and not p.name.startswith("__"))
