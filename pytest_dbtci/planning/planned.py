"""What planning gives, and what it works with."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.dbt_client.protocol.warehouse_requests import Build, Document
from pytest_dbtci.manifest import BUILDABLE, Manifest
from pytest_dbtci.plan import Plan
from pytest_dbtci.planning.twins import Twins
from pytest_dbtci.project.profile import Profile, profile_places, read_profile
from pytest_dbtci.project.project import Project
from pytest_dbtci.selection.nodes import home
from pytest_dbtci.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A plan and what it takes to carry it out.

    `build` is the request that builds all of it, None where dbt was not needed; `rehearsal` the one that comes before
    a release, `document` the one after it. `head` and `deferral` are the manifests behind the plan, None where dbt was
    not needed or nothing is deferred; `twins` the base's versions of nodes that are built to compare with, if any.
    `changed` are the nodes and sources that changed by themselves, planned or not. `names` are the schemas that runs
    of the pull request may choose.
    """

    plan: Plan
    build: Build | None = None
    rehearsal: Build | None = None
    document: Document | None = None
    head: Manifest | None = None
    deferral: Manifest | None = None
    twins: Twins | None = None
    changed: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()

    def names_in(self, file: str) -> tuple[str, ...]:
        """Return the names of all nodes that stand under a file of the project, planned or not."""
        if self.head is None:
            return ()
        nodes = [n for n in self.head.nodes.values() if n.resource_type in BUILDABLE]
        return tuple(n.name for n in nodes if home(n, self.head, self.plan.packages_dir) == file)


_WORDS = {
    "git": "comparing with the base",
    "project": "starting dbt",
    "base parse": "parsing the base",
    "deferral": "",  # where there is any, that is told
    "head parse": "parsing the branch",
    "selection": "selecting",
    "repoint": "naming the schemas",
    "comparisons": "preparing comparisons",
    "rehearsal parse": "parsing for the rehearsal",
}
"""What a person reads while a step is taken."""


@dataclass(kw_only=True)
class Workspace:
    """What every plan is made with.

    `work` is a folder that goes with the run, `cache` one that all runs share, None where nothing may be kept.
    `start_host` gives the dbt host for a project's folder and pull request; it is called only when dbt is needed.
    `run` names the run's sessions; `show` is told what is being done, for who looks on.
    """

    settings: Settings
    work: Path
    cache: Path | None
    start_host: Callable[[Path, str, Profile], Host]
    tell: Callable[[str], None] = lambda text: None
    timings: dict[str, float] = field(default_factory=dict)
    run: str = ""
    show: Callable[[str], None] = lambda text: None
    _host: Host | None = None

    def start(self, project: Project, pr: str, profile: Profile) -> Host:
        """Return the dbt host, which imports dbt from now on if it did not before."""
        self._host = self.start_host(project.directory, pr, profile)
        self._host.start()
        return self._host

    def profile(self, project_dir: Path, target: str) -> Profile:
        """Read the profile for a target, the profile's own where it is empty."""
        settings = self.settings
        return read_profile(
            project_dir,
            settings.environ,
            profiles_dir=self._profiles_dir,
            profile=settings.profile,
            target=target,
        )

    def profile_places(self, project_dir: Path) -> list[Path]:
        """Return the files, there or not, of which dbt reads the first as profile."""
        return profile_places(project_dir, self.settings.environ, self._profiles_dir)

    @property
    def _profiles_dir(self) -> str:
        given = self.settings.profiles_dir
        return given and str(self.settings.invocation_dir / given)

    def invocation(self, project: Project, profile: Profile, purpose: str, schema: str | None) -> Invocation:
        """Return what dbt is called with, in a schema other than the profile's own unless that is None."""
        # A parse is kept by its profile, so it must not be told which run it is.
        run = "" if purpose == "parse" else self.run
        folder = profile.write(self.work / "profiles" / purpose, profile.target, schema, run=run)
        return Invocation(
            project_dir=str(project.directory),
            profiles_dir=str(folder),
            target_path=str(self._output(project) if purpose == "run" else self.work / "head"),
            log_path=str(self.work / "logs"),
            profile=profile.name,
            target=profile.target,
            vars=self.settings.vars,
            threads=self.settings.threads,
        )

    def build(self, tree: str, invocation: Invocation, unique_ids: tuple[str, ...], defer_state: str = "") -> Build:
        """Return the request that builds these nodes as the settings say."""
        return Build(
            tree=tree,
            invocation=invocation,
            unique_ids=unique_ids,
            defer_state=defer_state,
            full_refresh=self.settings.full_refresh,
            show_rows=self.settings.show_rows,
            batch_tests=self.settings.batch_tests,
        )

    def _output(self, project: Project) -> Path:
        """Return the folder where compiled SQL and dbt's artifacts stay for the user to read, ignored by git.

        In a checkout that can't be written to they go with the run.
        """
        folder = project.directory / "target" / "dbt_ci"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / ".gitignore").write_text("*\n", encoding="utf-8")
        except OSError as error:
            self.tell(f"{folder} can't be written to ({error.strerror}): compiled SQL and artifacts go with this run")
            folder = self.work / "output"
            folder.mkdir(exist_ok=True)
            return folder
        # What the warehouse says, and rows of tests, end up in it. A folder of another user's stays as it is.
        with suppress(PermissionError):
            folder.chmod(0o700)
        return folder

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Time a step of planning; the wait for dbt's import is a step of its own."""
        if word := _WORDS.get(name, name):
            self.show(word)
        began = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - began
            waited = self._host.waited if self._host is not None else None
            if waited is not None and "dbt start" not in self.timings:
                self.timings["dbt start"] = waited
                seconds = max(0.0, seconds - waited)  # what came before this step may have waited, too
            self.timings[name] = self.timings.get(name, 0.0) + seconds
