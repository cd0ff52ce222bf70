"""Plan a change of a repository with the real dbt: one host for all, the base parsed once."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.dbt_client.protocol.request import Answer, Request
from pytest_dbtci.dbt_client.protocol.tree_requests import Parse, Select
from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.manifest import Manifest
from pytest_dbtci.plan import Plan, Reason
from pytest_dbtci.planning.planned import Workspace
from pytest_dbtci.planning.planner import Planner
from pytest_dbtci.project.profile import Profile
from pytest_dbtci.settings import Settings
from tests.support.repositories import Files, commit, git, repository
from tests.support.validation import environment
from tests.support.warm_start import warm

SUB_SELECTORS = {
    "body": "body",
    "configs": "config",
    "relation": "relation",
    "contract": "contract",
    "persisted_descriptions": "persisted description",
}


class Listening(Host):
    """A host that, before the plan moves on from the selection, asks dbt itself what was modified."""

    own: dict[str, frozenset[str]]
    asked: list[str]
    parsing: Invocation
    curious = True
    parts: tuple[str, ...] = (*SUB_SELECTORS, "macros")

    def ask(self, request: Request[Answer], *args: Any, **kwargs: Any) -> Answer:
        if isinstance(request, Select) and request.state and request.select == "state:modified" and self.curious:
            with_tests = replace(request, select="state:modified+", indirect="")
            self.own = {"modified+": frozenset(super().ask(with_tests))}
            for part in self.parts:
                self.own[part] = frozenset(super().ask(replace(request, select=f"state:modified.{part}")))
        if isinstance(request, Parse):
            self.parsing = request.invocation
        self.asked.append(f"parse {request.tree}" if isinstance(request, Parse) else type(request).__name__)
        return super().ask(request, *args, **kwargs)


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A plan, with what dbt itself said of the same two manifests, and what was told on the way."""

    plan: Plan
    own: Mapping[str, frozenset[str]]
    told: tuple[str, ...]
    asked: tuple[str, ...]
    head: Manifest | None

    @property
    def roots(self) -> dict[str, Reason]:
        """Return the nodes that are in the plan by themselves, by name."""
        return {
            n.item.split("[")[0]: n.reason
            for n in self.plan.nodes
            if n.reason.kind in ("modified", "new", "affected") and n.resource_type != "operation"
        }

    @property
    def names(self) -> frozenset[str]:
        return frozenset(n.name for n in self.plan.nodes if n.resource_type != "operation")

    def effect(self, path: str) -> str:
        """Return what became of a path, with its note."""
        found = next(c for c in self.plan.changes if c.path == path)
        return f"{found.effect}: {found.note}" if found.note else found.effect


@dataclass(kw_only=True)
class Bench:
    """Plan changes of one repository. `folder` is the bench's own; `inside` the project's place in the repository."""

    folder: Path
    origin: Path
    inside: str
    host: Listening
    environ: dict[str, str]
    count: int = field(default=0)

    def clone(self, edits: Files, *, message: str = "Change") -> Path:
        """Make a clone with a branch that has the change; what git ignores is copied along."""
        self.count += 1
        place = self.folder / f"clone{self.count}"
        git(self.folder, "clone", "-q", str(self.origin), str(place))
        git(place, "checkout", "-q", "-b", "change")
        commit(place, edits, message)
        self.install(place)
        return place

    def plan(self, place: Path, *, cached: bool = True, **settings: Any) -> Planned:
        """Plan what is checked out there, with the cache that all plans share or with none."""
        self.host.own, self.host.asked = {}, []
        told: list[str] = []
        work = Path(tempfile.mkdtemp(prefix="work", dir=self.folder))
        project = place / self.inside
        given = Settings(rootdir=project, invocation_dir=project, pr="1", target="ci", environ=self.environ)
        workspace = Workspace(
            settings=replace(given, **settings),
            work=work,
            cache=self.cache if cached else None,
            start_host=self._host,
            tell=told.append,
        )
        made = Planner(workspace=workspace).make()
        asked = tuple(self.host.asked)
        return Planned(plan=made.plan, own=self.host.own, told=tuple(told), asked=asked, head=made.head)

    def renew(self) -> None:
        """End dbt's process and have another: it keeps some 15 MB of every project that it parsed."""
        self.host.close()
        self.host = _listening(self.folder, self.environ, curious=self.host.curious, parts=self.host.parts)

    def change(self, edits: Files, **settings: Any) -> Planned:
        """Plan a change."""
        return self.plan(self.clone(edits), **settings)

    @property
    def cache(self) -> Path:
        place = self.folder / "cache"
        place.mkdir(exist_ok=True)
        return place

    def text(self, path: str) -> str:
        """Return a file's text as the base has it."""
        return (self.origin / path).read_text(encoding="utf-8")

    def replace(self, path: str, old: str, new: str) -> Files:
        """Return the edit that replaces a text in a file."""
        text = self.text(path)
        assert text.count(old) >= 1, f"{path} has no {old!r}"
        return {path: text.replace(old, new)}

    def _host(self, project_dir: Path, pr: str, profile: Profile) -> Host:
        return self.host

    def install(self, place: Path) -> None:
        """Link the local packages that are there, and no others, as `dbt deps` does."""
        project = place / self.inside
        for old in project.glob("dbt_packages/*"):
            old.unlink()
        packages = project / "packages.yml"
        found = yaml.safe_load(packages.read_text(encoding="utf-8"))["packages"] if packages.is_file() else ()
        for folder in (project / package["local"] for package in found if "local" in package):
            if not folder.is_dir():
                continue
            name = yaml.safe_load((folder / "dbt_project.yml").read_text(encoding="utf-8"))["name"]
            link = project / "dbt_packages" / name
            link.parent.mkdir(exist_ok=True)
            link.symlink_to(folder.resolve(), target_is_directory=True)


@contextmanager
def bench(folder: Path, files: Files, inside: str) -> Iterator[Bench]:
    """Make a repository of the files and a host to plan with."""
    origin = repository(folder / "origin", files)
    warehouse = str(folder / "kennel.duckdb")
    environ = environment(KENNEL_WAREHOUSE=warehouse, DBT_SEND_ANONYMOUS_USAGE_STATS="false")
    made = Bench(folder=folder, origin=origin, inside=inside, host=_listening(folder, environ), environ=environ)
    try:
        yield made
    finally:
        made.host.close()


def _listening(folder: Path, environ: Mapping[str, str], **ways: Any) -> Listening:
    host = Listening(folder, {**warm(environ), "PR_NUMBER": "1"}, folder / "dbt.log")
    vars(host).update(ways, own={}, asked=[])
    return host


def dbt(directory: Path, *arguments: str, environ: Mapping[str, str]) -> str:
    """Call dbt's own command line; AssertionError with its words when it fails."""
    command = [sys.executable, "-c", "from dbt.cli.main import cli; cli()", *arguments]
    done = subprocess.run(command, cwd=directory, env=warm(environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


Edit = Callable[[Bench], Files]
