"""The merge base, parsed: checked out aside, and kept in pytest's cache by all that its parse depends on."""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

from pytest_dbtci.errors import UsageError
from pytest_dbtci.git import Repository
from pytest_dbtci.host import Host
from pytest_dbtci.manifest import Manifest
from pytest_dbtci.profile import Profile
from pytest_dbtci.project import Project

FORMAT = 2
"""Raise it when the view of a manifest changes, so that older cached views are not read."""

_FILES = ("manifest.json", "partial_parse.msgpack", "view.json")


@dataclass(frozen=True, kw_only=True)
class ParsedBase:
    """A parsed base: the folder of its manifest.json and partial_parse.msgpack, and what planning needs of it."""

    folder: Path
    manifest: Manifest
    cached: bool


class Base:
    """Parse the merge base for a target, or find it parsed.

    `cache` is None where nothing may be kept; `work` is the run's own temporary folder.
    """

    def __init__(
        self,
        *,
        repository: Repository,
        commit: str,
        project: Project,
        host: Host,
        cache: Path | None,
        work: Path,
        environ: Mapping[str, str],
    ) -> None:
        self._repository = repository
        self._commit = commit
        self._project = project
        self._host = host
        self._cache = cache
        self._work = work
        self._environ = environ
        self._tree: Path | None = None

    def exists(self) -> bool:
        """Tell whether the base has this dbt project at all."""
        inside = "" if self._project.inside == "." else self._project.inside
        path = f"{inside}/dbt_project.yml" if inside else "dbt_project.yml"
        return self._repository.tree(self._commit, path) is not None

    def parse(self, tree: str, profile: Profile, target: str, invocation: Mapping[str, Any]) -> ParsedBase:
        """Give the base parsed for `target`, from the cache where it can be trusted.

        `tree` names it in the host; `invocation` is what the head is parsed with, and only folders differ.
        Raises UsageError when the base can't be parsed.
        """
        key = self._key(profile, target, invocation)
        kept = self._cache / f"base-{key}" if self._cache else None
        if kept is not None and (view := self._believable(kept)) is not None:
            os.utime(kept)
            return ParsedBase(folder=kept, manifest=Manifest.from_dict(view), cached=True)
        folder = Path(tempfile.mkdtemp(prefix="base-", dir=self._cache or self._work))
        parsed = self._parse_into(folder, tree, invocation)
        if kept is not None:
            shutil.rmtree(kept, ignore_errors=True)
            try:
                folder.rename(kept)
                folder = kept
                self._forget_old()
            except OSError:
                # Another run was quicker; ours is as good where it lies.
                pass
        return ParsedBase(folder=folder, manifest=parsed, cached=False)

    def _parse_into(self, folder: Path, tree: str, invocation: Mapping[str, Any]) -> Manifest:
        project_dir = self._checkout()
        try:
            view = self._host.ask(
                "parse",
                tree=tree,
                invocation={**invocation, "project_dir": str(project_dir), "target_path": str(folder)},
                view=str(folder / "view.json"),
                write=True,
            )
        except UsageError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise UsageError(
                f"the base ({self._commit[:10]}), which the branch is compared with, does not parse: {error}\n"
                "Mend it on the target branch, or compare with another commit: --dbt-ci-base COMMIT."
            ) from None
        digests = {name: _digest(folder / name) for name in _FILES}
        (folder / "complete.json").write_text(json.dumps(digests), encoding="utf-8")
        for other in folder.iterdir():
            if other.name not in (*_FILES, "complete.json"):
                shutil.rmtree(other) if other.is_dir() else other.unlink()
        return Manifest.from_dict(view)

    def _checkout(self) -> Path:
        """Check the base out aside, once, with the packages it needs."""
        if self._tree is None:
            tree = self._work / "base"
            self._repository.checkout(self._commit, tree)
            self._tree = tree / self._project.inside
            self._link_packages(self._tree)
        return self._tree

    def _link_packages(self, base: Path) -> None:
        """Give the base the packages it names: the head's where both name the same, else its own by `dbt deps`."""
        wanted = [n for n in ("packages.yml", "dependencies.yml") if (base / n).is_file()]
        if not wanted:
            return
        head = self._project.directory
        files = ("packages.yml", "dependencies.yml", "package-lock.yml")
        if any(_text(base / n) != _text(head / n) for n in files):
            self._host.ask("deps", project_dir=str(base))
            return
        installed = head / self._project.packages_dir
        for package in installed.iterdir() if installed.is_dir() else ():
            place = package.resolve()
            link = base / self._project.packages_dir / package.name
            link.parent.mkdir(exist_ok=True, parents=True)
            root = self._repository.root.resolve()
            if package.is_symlink() and place.is_relative_to(root):
                place = (self._work / "base" / place.relative_to(root)).resolve()
            link.symlink_to(place, target_is_directory=True)

    def _key(self, profile: Profile, target: str, invocation: Mapping[str, Any]) -> str:
        """Digest everything that the parse of the base depends on, as far as it is known beforehand."""
        output = json.dumps(profile.outputs[target], sort_keys=True, default=str)
        paths = (self._project.inside, *self._project.local_packages)
        parts = {
            "trees": [self._repository.tree(self._commit, "" if p == "." else p) for p in paths],
            "dbt": sorted(f"{d.name}=={d.version}" for d in distributions() if d.name.startswith("dbt")),
            "profile": [profile.name, target, output],
            "environment": {n: self._environ.get(n) for n in sorted(_env_vars(output))},
            "vars": invocation.get("vars"),
            "format": FORMAT,
            "project": self._project.inside,
            "place": str(self._project.directory),
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]

    def _believable(self, kept: Path) -> dict[str, Any] | None:
        """Give the kept view if every file is whole and the environment that dbt used is the same."""
        try:
            digests = json.loads((kept / "complete.json").read_text(encoding="utf-8"))
            if any(digests[name] != _digest(kept / name) for name in _FILES):
                return None
            view: dict[str, Any] = json.loads((kept / "view.json").read_text(encoding="utf-8"))
        except (OSError, ValueError, KeyError):
            return None
        same = all(self._environ.get(name, value) == value for name, value in view["env_vars"].items())
        return view if same else None

    def _forget_old(self, keep: int = 8) -> None:
        """Drop the least recently used bases."""
        assert self._cache is not None
        kept = sorted(self._cache.glob("base-" + "?" * 24), key=lambda p: p.stat().st_mtime, reverse=True)
        for old in kept[keep:]:
            shutil.rmtree(old, ignore_errors=True)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _env_vars(text: str) -> set[str]:
    return set(re.findall(r"env_var\(\s*['\"\\]+([A-Za-z0-9_]+)", text))
