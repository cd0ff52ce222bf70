"""Where dbt looks for the files of a project and of its packages."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package that dbt reads, the project itself among them.

    `root` is its folder, absolute, links not followed; `folders` are those in it that dbt looks into, as the settings
    name them (relative to `root` as a rule). `local` are the absolute folders of the local packages that it names.
    """

    name: str
    root: str
    folders: tuple[str, ...] = ()
    local: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Layout:
    """The project's packages, itself first; `packages_dir` is where others are installed, as the settings write it.

    `named` is the digest by which dbt knows the packages that the project names, empty where it names none.
    """

    packages: tuple[Package, ...]
    packages_dir: str
    named: str = ""
