"""Where the dbt project lies in the repository, and all that dbt reads of it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from pytest_dbtci.layout import Layout, Package
from pytest_dbtci.project.layout_files import Known, files_of_variables, read_layout, with_local_packages
from pytest_dbtci.project.links import follow, walk
from pytest_dbtci.project.modules import Modules
from pytest_dbtci.project.profile import PROJECT_FILE
from pytest_dbtci.project.references import files, is_named, variables

PACKAGE_FILES = ("packages.yml", "dependencies.yml", "package-lock.yml")
ROOT_FILES = (
    PROJECT_FILE,
    *PACKAGE_FILES,
    "vars.yml",
    "selectors.yml",
    "profiles.yml",
    ".dbtignore",
    ".env",
)
_TEXTS = (".sql", ".py", ".yml", ".yaml")
_SETTINGS = (".json", ".yml", ".yaml", ".toml", ".ini", ".cfg", ".env", ".gz")


@dataclass(frozen=True, kw_only=True)
class Project:
    """A dbt project in a repository.

    `directory` and `repository` (its root) are absolute, links followed; `name` is dbt's. `packages` are what dbt
    reads, `packages_dir` where it installs them, as the settings write it. `others` are files that it reads besides,
    such as the profile. `changed` are the repository's changed paths, where they are known; `attributed` maps files
    that a changed .gitattributes makes git check out otherwise to its path. `doubt` says why what dbt reads is not
    known, empty where it is. `named` is dbt's digest of the packages that the project names, empty where
    it names none or dbt was not asked. Paths of the repository are POSIX, from its root.
    """

    directory: Path
    repository: Path
    name: str
    packages: tuple[Package, ...]
    packages_dir: str
    others: tuple[Path, ...] = ()
    changed: frozenset[str] = frozenset()
    attributed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    doubt: str = ""
    named: str = ""
    _files: dict[Path, list[str]] = field(default_factory=dict, repr=False, compare=False)

    def rendered(self, layout: Layout) -> Project:
        """Return the project as dbt itself knows it."""
        return _with(self, Known(layout=with_local_packages(layout)))

    @cached_property
    def inside(self) -> str:
        """Return the project's place in the repository, `.` for the root itself."""
        return self.directory.relative_to(self.repository).as_posix()

    def place(self, package: str, file: str) -> str:
        """Return the path by which git knows a package's file: the changed one of `places`, else the file itself."""
        found = self.places(package, file)
        return next((p for p in found if p in self.changed), found[0])

    def places(self, package: str, file: str) -> tuple[str, ...]:
        """Return every repository path by whose change a package's file can change.

        The file itself comes first, links followed; then it as dbt reads it, the links on the way, all folders above,
        as one may be a submodule, and the .gitattributes by which it is checked out otherwise.
        """
        if (package, file) not in self._known_places:
            self._known_places[package, file] = tuple(self._places(package, file.replace("\\", "/")))
        return self._known_places[package, file]

    def _places(self, package: str, file: str) -> dict[str, None]:
        root = self.roots.get(package, self.directory / self.packages_dir / package)
        written = os.path.normpath(root / file)
        folder, name = os.path.split(root / file)
        if folder not in self._known_folders:
            self._known_folders[folder] = follow(folder)
        links, real = self._known_folders[folder]
        path = os.path.join(real, name)  # noqa: PTH118 - for every node of a project
        if os.path.islink(path):  # noqa: PTH114
            more, path = follow(path)
            links = (*links, *more)
        found = [p for p in map(self.path_of, (path, written, *links)) if p is not None]
        above = [str(p) for path in found for p in PurePosixPath(path).parents if str(p) != "."]
        if name not in ROOT_FILES:  # which say the same with other line endings
            above += [rule for path in found for rule in self.attributed.get(path, ())]
        return dict.fromkeys(found + above) or {self.in_repository(f"{self.packages_dir}/{package}/{file}"): None}

    @cached_property
    def _known_places(self) -> dict[tuple[str, str], tuple[str, ...]]:
        return {}

    @cached_property
    def _known_folders(self) -> dict[str, tuple[tuple[str, ...], str]]:
        return {}

    @cached_property
    def roots(self) -> Mapping[str, Path]:
        """Return each package's folder: of a local package its own, not what is installed of it."""
        return {package.name: Path(package.root) for package in reversed(self.packages)}

    @cached_property
    def local_packages(self) -> Mapping[str, str]:
        """Return the folders of the packages, the project apart, that lie in the repository and are not installed."""
        installed = os.path.normpath(self.directory / self.packages_dir)
        found = {}
        for name, root in self.roots.items():
            real = Path(follow(str(root))[1])
            if name != self.name and not real.is_relative_to(installed) and (path := self.path_of(str(real))):
                found[name] = path
        return found

    @cached_property
    def package_files(self) -> tuple[str, ...]:
        """Return where the repository names packages: in files of the project, and of its local packages."""
        folders = (self.inside, *self.local_packages.values())
        return tuple(n if folder == "." else f"{folder}/{n}" for folder in folders for n in PACKAGE_FILES)

    def package_of(self, path: str) -> str:
        """Return the package that reads a repository path, or in whose folder it lies; empty for none."""
        owners = (self.reads, self._homes)
        return next((found[p] for found in owners for p in _upwards(path) if p in found), "")

    @cached_property
    def _homes(self) -> dict[str, str]:
        # Of a package whose folder is above the project's only what dbt reads belongs to it.
        roots = {n: r for n, r in self.roots.items() if n == self.name or not self.directory.is_relative_to(r)}
        found = {self.path_of(follow(str(root))[1]): name for name, root in roots.items()}
        return {path: name for path, name in found.items() if path is not None}

    def within(self, path: str) -> str | None:
        """Return a repository path relative to the project's folder, None where it lies outside."""
        if self.inside == ".":
            return path
        return path[len(self.inside) + 1 :] if path.startswith(self.inside + "/") else None

    def in_repository(self, path: str) -> str:
        """Return a path of the project relative to the repository."""
        return path if self.inside == "." else f"{self.inside}/{path}"

    def path_of(self, path: str) -> str | None:
        """Return an absolute path relative to the repository, None where it lies outside."""
        if path == str(self.repository):
            return "."
        prefix = str(self.repository).rstrip(os.sep) + os.sep
        return path[len(prefix) :].replace(os.sep, "/") if path.startswith(prefix) else None

    def can_matter(self, path: str) -> bool:
        """Whether dbt can read that repository path: only what is known to lie outside of all that it reads can't."""
        if any(self.can_matter(ruled) for ruled in self.ruled_by(path)):
            return True
        if self.doubt or path.rsplit("/", 1)[-1] == "profiles.yml" or self.is_named(path):
            # SQL can name a file that lies anywhere.
            return True
        inside = self.within(path)
        if inside is not None and "/" not in inside and inside.startswith("dbt"):
            return True  # a plugin's settings, by convention
        if path in self.environment_files:
            return True
        below = path + "/"  # a link, a submodule or a folder's last file can be above what dbt reads
        return self.is_read(path) or any(p.startswith(below) for p in self.reads)

    def ruled_by(self, path: str) -> list[str]:
        """Return the files that are checked out otherwise by that changed path, a .gitattributes; none for another."""
        return [ruled for ruled, rules in self.attributed.items() if path in rules]

    def is_read(self, path: str) -> bool:
        """Whether that repository path is, or lies in, what dbt reads by itself."""
        return any(p in self.reads for p in _upwards(path))

    def can_configure_plugins(self, path: str) -> bool:
        """Whether a plugin of dbt may read that repository path: settings or data that dbt does not read by itself."""
        return path.endswith(_SETTINGS) and not self.is_read(path)

    @cached_property
    def reads(self) -> Mapping[str, str]:
        """Return every file and folder of the repository that dbt reads, links on the way included, by package."""
        found: dict[str, str] = {}
        for package in self.packages:
            for path in self._read_of(package):
                links, real = follow(str(path))
                for place in (*links, real, os.path.normpath(path)):
                    inside = self.path_of(place)
                    if inside is not None:
                        found.setdefault(inside, package.name)
        return found

    def _read_of(self, package: Package) -> Iterator[Path]:
        root = Path(package.root)
        yield from (root / name for name in ROOT_FILES)
        if package.name == self.name:
            yield from (self.directory / self.packages_dir, *self.others)
        for folder in package.folders:
            yield root / folder
            yield from (Path(entry.path) for entry in walk(root / folder) if entry.is_symlink())

    @cached_property
    def settings(self) -> Mapping[str, str]:
        """Return the packages' dbt_project.yml by repository path, each with its package."""
        return {self.place(name, PROJECT_FILE): name for name in self.roots}

    @cached_property
    def variable_file(self) -> str:
        """Return where the project's vars.yml lies, which dbt-core reads since 1.12; it reads no package's."""
        return self.place(self.name, "vars.yml")

    @cached_property
    def environment_files(self) -> tuple[str, ...]:
        """Return where dbt-core, since 1.12, finds its environment: on the way up from the project."""
        folders = (PurePosixPath(self.inside), *PurePosixPath(self.inside).parents)
        return tuple(str(folder / ".env") for folder in folders)

    def is_named(self, path: str) -> bool:
        """Whether a file that dbt reads may name this one, or what imports it, as data or as a module."""
        return any(self.is_named_by(one, self._named_files) for one in self.behind(path))

    def is_named_by(self, path: str, patterns: Iterable[str]) -> bool:
        """Whether one of the patterns can mean that path; behind a link every file of that name can be meant."""
        return any(is_named(path, [p]) or (is_named(path, [_last(p)]) and self._is_behind_link(p)) for p in patterns)

    def behind(self, path: str) -> list[str]:
        """Return the files that are other ones where this path changed: it, what it rules, and what imports these."""
        found = [path, *self.ruled_by(path)]
        if any(pattern.endswith(".py") for pattern in self._named_files):
            found += [module for one in found for module in self._modules.leading_to(one)]
        return list(dict.fromkeys(found))

    @cached_property
    def _modules(self) -> Modules:
        return Modules(self.repository)

    def _is_behind_link(self, pattern: str) -> bool:
        place = PurePosixPath(pattern)
        roots = (self.directory, self.repository)
        return any((r / p).is_symlink() for r in roots for p in (place, *place.parents) if str(p) != ".")

    @cached_property
    def yaml_variables(self) -> frozenset[str]:
        """Return the dbt variables that the project's YAML reads, settings included; `*` for a computed name."""
        found = [Path(package.root, name) for package in self.packages for name in ROOT_FILES]
        for package in self.packages:
            entries = (entry for folder in package.folders for entry in walk(Path(package.root, folder)))
            found += [Path(entry.path) for entry in entries if entry.name.endswith((".yml", ".yaml"))]
        texts = (path.read_text(encoding="utf-8", errors="replace") for path in found if path.is_file())
        return frozenset(name for text in texts for name in variables(text))

    @cached_property
    def files_of_variables(self) -> Mapping[str, tuple[str, ...]]:
        """Map the variables of the settings whose values can name files to patterns for these."""
        return files_of_variables(self.packages)

    @cached_property
    def _named_files(self) -> frozenset[str]:
        texts = [Path(package.root, PROJECT_FILE) for package in self.packages] + list(self.others)
        for package in self.packages:
            found = (entry for folder in package.folders for entry in walk(Path(package.root, folder)))
            texts += [Path(entry.path) for entry in found if entry.name.endswith(_TEXTS)]
        named = {pattern for patterns in self.files_of_variables.values() for pattern in patterns}
        for path in filter(Path.is_file, texts):
            if path not in self._files:  # as the project is rendered, it is asked once more
                text = path.read_text(encoding="utf-8", errors="replace")
                self._files[path] = files(text, python=path.suffix == ".py")
            named.update(self._files[path])
        return frozenset(named)


def read_project(directory: Path, repository: Path, others: Iterable[Path] = ()) -> Project:
    """Read what planning needs of the project's own files, Jinja unrendered."""
    beside = tuple(path.absolute() for path in others)
    empty = Project(directory=directory, repository=repository, name="", packages=(), packages_dir="", others=beside)
    return _with(empty, read_layout(directory))


def _last(pattern: str) -> str:
    return pattern.rpartition("/")[2]


def _with(project: Project, known: Known) -> Project:
    return replace(
        project,
        name=known.layout.packages[0].name,
        packages=known.layout.packages,
        packages_dir=os.path.normpath(known.layout.packages_dir),
        doubt=known.doubt,
        named=known.layout.named,
    )


def _upwards(path: str) -> Iterator[str]:
    """Yield a path and the folders above it, `.` at last."""
    yield path
    yield from map(str, PurePosixPath(path).parents)
