"""The merge base, parsed: checked out aside, and kept in pytest's cache by all that its parse depends on."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pytest_dbtci
from pytest_dbtci.codec import decode
from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.dbt_client.protocol.tree_requests import Forget, Parse, Resolve
from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.dbt_words import reason
from pytest_dbtci.errors import UsageError
from pytest_dbtci.git.attributes import NAME as ATTRIBUTES
from pytest_dbtci.git.repository import Repository
from pytest_dbtci.manifest import Manifest, fingerprint
from pytest_dbtci.planning.base_tree import BaseTree, as_base
from pytest_dbtci.project.profile import Profile
from pytest_dbtci.project.project import Project

BASE = "base"
"""The name, in the host, of the tree that the head is compared with."""

_PARSE_FLAGS = tuple(
    f"{prefix}{name}"
    for prefix in ("DBT_", "DBT_ENGINE_")
    for name in ("STATIC_PARSER", "STORE_FAILURES", "MAXIMUM_SEED_SIZE_MIB", "USE_EXPERIMENTAL_PARSER")
)
"""dbt's own variables that change what a parse gives."""

_FILES = ("manifest.json", "partial_parse.msgpack", "files.json", "view.json")


@dataclass(frozen=True, kw_only=True)
class ParsedBase:
    """A parsed base: the folder of its manifest.json and partial_parse.msgpack, and what planning needs of it."""

    folder: Path
    manifest: Manifest
    cached: bool


class Base:
    """Parse the merge base for a target, or find it parsed.

    `cache` is None where nothing may be kept; `work` is the run's own temporary folder. In the cache a parse has
    a folder of its own, `base-KEY-RANDOM`: it counts once `complete.json` is in it, and no run changes another's.
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
        self._tree = BaseTree(repository=repository, commit=commit, head=project, host=host, work=work)
        self._parsed: Path | None = None
        self._trees: list[str] = []

    def tree(self, invocation: Invocation) -> Project:
        """Return the project as the base has it, checked out aside; `invocation` is what the head is parsed with."""
        return self._tree.project(invocation)

    def exists(self) -> bool:
        """Whether the base has this dbt project at all."""
        inside = "" if self._project.inside == "." else self._project.inside
        path = f"{inside}/dbt_project.yml" if inside else "dbt_project.yml"
        return self._repository.tree(self._commit, path) is not None

    def parse(self, tree: str, profile: Profile, target: str, invocation: Invocation) -> ParsedBase:
        """Return the base parsed for `target`, from the cache where it can be trusted.

        `tree` names it in the host; `invocation` is what the head is parsed with, and only folders differ.
        Raises UsageError when the base can't be parsed.
        """
        key = self._key(profile, target, invocation)
        for kept in sorted(self._cache.glob(f"base-{key}-*")) if self._cache else ():
            if (manifest := self._believable(kept)) is not None:
                with contextlib.suppress(OSError):
                    os.utime(kept)
                return ParsedBase(folder=kept, manifest=manifest, cached=True)
        folder = self._new_folder(f"base-{key}-")
        resolved = None if tree == BASE else self._resolve_into(folder, invocation)
        found = resolved or self._parse_into(folder, tree, invocation)
        folder = self._complete(folder, self.tree(invocation))
        self._parsed = folder if tree == BASE else self._parsed
        if self._cache is not None:
            _forget_old(self._cache)
        return ParsedBase(folder=folder, manifest=found, cached=False)

    def _new_folder(self, prefix: str) -> Path:
        if self._cache is not None:
            # A cache that can't be written to is none.
            with contextlib.suppress(OSError):
                return Path(tempfile.mkdtemp(prefix=prefix, dir=self._cache))
        return Path(tempfile.mkdtemp(prefix=prefix, dir=self._work))

    def parse_again(self, tree: str, invocation: Invocation, folder: Path | None) -> tuple[Invocation, Manifest]:
        """Parse the base as dbt builds it; give what dbt is called with for that, and the manifest.

        `tree` names it in the host, `invocation` is what the head is parsed with, `folder` holds an earlier parse.
        """
        base, saved = self.tree(invocation), folder / "partial_parse.msgpack" if folder else None
        invocation = as_base(invocation, base, self._work / tree)
        parsed = self._host.ask(
            Parse(
                tree=tree,
                invocation=invocation,
                partial_parse=str(saved) if saved and saved.is_file() else "",
                packages_dir=base.packages_dir,
                write=False,
            )
        )
        return invocation, parsed

    def forget(self) -> None:
        """Make the host forget what was parsed: all that is needed of it lies in the folders."""
        if self._trees:
            self._host.ask(Forget(trees=tuple(self._trees)))
            self._trees, self._parsed = [], None

    def _parse_into(self, folder: Path, tree: str, invocation: Invocation) -> Manifest:
        base = self.tree(invocation)
        self._trees.append(tree)
        try:
            manifest = self._host.ask(
                Parse(
                    tree=tree,
                    invocation=as_base(invocation, base, folder),
                    view=str(folder / "view.json"),
                    packages_dir=base.packages_dir,
                    write=True,
                    shared=tree == BASE,
                )
            )
        except UsageError as error:
            shutil.rmtree(folder, ignore_errors=True)
            raise UsageError(
                f"the base ({self._commit[:10]}), which the branch is compared with, does not parse: "
                f"{reason(str(error))}\n"
                f"{self._tree.lacks()}"
                "Fix it on the target branch, or compare with another commit: --dbt-ci-base COMMIT."
            ) from None
        return manifest

    def _resolve_into(self, folder: Path, invocation: Invocation) -> Manifest | None:
        """Resolve another target's names from the parse that the host just made, where that is sound."""
        if self._parsed is None:
            return None
        base = self.tree(invocation)
        return self._host.ask(
            Resolve(
                tree=BASE,
                invocation=as_base(invocation, base, self._work / "resolve"),
                parsed=str(self._parsed),
                into=str(folder),
            )
        )

    def _complete(self, folder: Path, base: Project) -> Path:
        """Write down what the folder holds and what it depends on, for later runs; return where it is.

        One that holds a secret (a password in a model's configuration, say) is moved out of the cache.
        """
        for other in folder.iterdir():
            if other.name not in _FILES:
                shutil.rmtree(other) if other.is_dir() else other.unlink()
        if any(self._host.redaction.found_in(path.read_bytes()) for path in folder.iterdir()):
            return Path(shutil.move(folder, self._work)) if folder.parent != self._work else folder
        complete = {
            "files": {path.name: _digest(path) for path in folder.iterdir()},
            # Digests: the values may be anybody's secrets, and a CI provider keeps the cache for other runs.
            "environment": {name: self._fingerprint(name) for name in sorted(_env_vars_of(base))},
            # What lies in the project's own folder is part of the key.
            "outside": self._repository.object_ids(self._commit, _outside(base)),
        }
        # Written aside and moved, so that another run sees all of it or nothing.
        (folder / "complete.new").write_text(json.dumps(complete), encoding="utf-8")
        (folder / "complete.new").replace(folder / "complete.json")
        return folder

    def _key(self, profile: Profile, target: str, invocation: Invocation) -> str:
        """Digest everything that the parse of the base depends on, as far as it is known beforehand."""
        # The profile as it is written for this parse: a schema that is replaced does not count, nor its variables.
        output = _text(Path(invocation.profiles_dir) / "profiles.yml") or ""
        installed = (self._project.directory / self._project.packages_dir).glob("*/dbt_project.yml")
        own = self._project.local_packages
        parts = {
            "made by": _own_code(),
            "tree": self._repository.tree(self._commit, self._project.inside),
            "packages": {p.parent.name: _digest(p) for p in sorted(installed) if p.parent.name not in own},
            # Where they name other packages than the base does, it gets its own.
            "named": [_text(self._project.repository / path) for path in self._project.package_files],
            # `dbt_core-1.11.0.dist-info`: reading the names alone takes no time.
            "dbt": sorted(p.name for folder in sys.path for p in Path(folder).glob("dbt*-info")),
            "profile": [profile.name, target, output],
            "environment": {n: self._environ.get(n) for n in sorted({*_env_vars(output), *_PARSE_FLAGS})},
            "vars": invocation.vars,
            "project": self._project.inside,
        }
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]

    def _believable(self, kept: Path) -> Manifest | None:
        """Return the kept view if every file is whole and the environment that dbt used is the same."""
        try:
            complete = json.loads((kept / "complete.json").read_text(encoding="utf-8"))
            if any(digest != _digest(kept / name) for name, digest in complete["files"].items()):
                return None
            view = decode(Manifest, json.loads((kept / "view.json").read_text(encoding="utf-8")))
            if any(self._fingerprint(name) != value for name, value in complete["environment"].items()):
                return None
            if any(node.resource_type == "external" for node in view.nodes.values()):
                return None  # where a plugin of dbt reads them, and what is there now, it alone knows
            if complete["outside"] != self._repository.object_ids(self._commit, complete["outside"]):
                return None
            if not self._has_form_of_disk(kept):
                return None
            return view if all(self._fingerprint(name) == value for name, value in view.env_vars.items()) else None
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            return None

    def _has_form_of_disk(self, kept: Path) -> bool:
        """Whether unchanged files were parsed as the disk has them, if any were: git stores both line endings alike."""
        project, installed = self._project, f"{self._project.in_repository(self._project.packages_dir)}/"
        parsed = json.loads(_text(kept / "files.json") or "{}").values()
        found = {os.path.realpath(project.directory / place): digest for place, digest in parsed}
        others = {*project.changed, *project.attributed, None}
        same = (f for f in found if (path := project.path_of(f)) not in others and not f"{path}".startswith(installed))
        return all(_digest(Path(file)) == found[file] for file in same if Path(file).is_file())

    def _fingerprint(self, name: str) -> str | None:
        value = self._environ.get(name)
        return None if value is None else fingerprint(value)


def _forget_old(cache: Path, keep: int = 8, seconds: float = 24 * 3600.0) -> None:
    """Drop all but the bases used last, and what a run that died left; never what may still be in use."""
    folders = {p: p.stat().st_mtime for p in cache.glob("base-*") if p.is_dir()}
    whole = sorted((p for p in folders if (p / "complete.json").is_file()), key=folders.__getitem__, reverse=True)
    for old in (*whole[keep:], *(folders.keys() - whole)):
        age = time.time() - folders[old]
        if age > (seconds if old not in whole else 3600.0):
            shutil.rmtree(old, ignore_errors=True)


def _env_vars_of(project: Project) -> set[str]:
    """Name the environment variables in project files, which dbt reads before it records what it uses."""
    names = ("dbt_project.yml", "packages.yml", "dependencies.yml", "selectors.yml")
    return {v for package in project.packages for n in names for v in _env_vars(_text(Path(package.root, n)) or "")}


def _outside(base: Project) -> set[str]:
    """Return what the parse depends on outside of the project's folder: what dbt reads, and how git checks it out."""
    read = {path for path in base.reads if base.within(path) is None}
    folders = {folder for path in (base.inside, *read) for folder in PurePosixPath(path).parents}
    return read | {str(folder / ATTRIBUTES) for folder in folders}


def _own_code() -> str:
    """Digest this package's version and code: a parse that other code made is not read."""
    package = Path(pytest_dbtci.__file__).parent
    digest = hashlib.sha256(pytest_dbtci.__version__.encode())
    for path in sorted(package.rglob("*.py")):
        digest.update(f"{path.relative_to(package)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8") if path.is_file() else None


def _env_vars(text: str) -> set[str]:
    return set(re.findall(r"env_var\(\s*['\"\\]+([A-Za-z0-9_]+)", text))
