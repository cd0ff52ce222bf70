"""Decide what a run will do: compare, parse, select, check; nothing is written to the warehouse here."""

from __future__ import annotations

import platform
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pytest_dbtci.ci import detect as ci
from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.dbt_client.protocol import Connect, Invocation, Narrowing, Redirect, Repoint, Slim
from pytest_dbtci.errors import UsageError
from pytest_dbtci.git.repository import Comparison, Repository
from pytest_dbtci.manifest import BUILDABLE, Manifest
from pytest_dbtci.plan import PathChange, Plan
from pytest_dbtci.planning.base_manifest import Base, ParsedBase
from pytest_dbtci.planning.parse import Trees, settings_texts
from pytest_dbtci.project.profile import Profile, known_target, project_file, read_profile
from pytest_dbtci.project.project import Project, find_project, read_project
from pytest_dbtci.schemas.lifecycle import external_folder
from pytest_dbtci.schemas.names import PLACEHOLDER, check_isolation, local_name, schema_name
from pytest_dbtci.selection import nodes as selection
from pytest_dbtci.selection.evidence import Evidence
from pytest_dbtci.selection.selector import Choice, Chooser
from pytest_dbtci.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Workspace:
    """Where a run keeps its files: `work` is private and goes with the run, `cache` is shared by all runs."""

    work: Path
    cache: Path | None


@dataclass(kw_only=True)
class Planner:
    """Make the plan of one run.

    `start_host` gives the dbt host for a project folder; it is called only when dbt is needed. After
    `make`, `host`, `invocation` and `defer_state` are what the build goes on with; `head` and `deferral` are
    the manifests behind the plan (None where dbt was not needed, or nothing is deferred).
    """

    settings: Settings
    workspace: Workspace
    start_host: Callable[[Path, str, Profile], Host]
    tell: Callable[[str], None] = lambda text: None
    timings: dict[str, float] = field(default_factory=dict)
    adjust: Callable[[Choice, Manifest], Choice] = lambda choice, head: choice
    host: Host | None = None
    invocation: Invocation = field(default_factory=lambda: Invocation(project_dir=""))
    defer_state: str = ""
    head: Manifest | None = None
    deferral: Manifest | None = None
    _defer_folder: Path = Path()

    def make(self) -> Plan:
        """Make the plan; UsageError where the user's input, project or repository is at fault."""
        settings = self.settings
        directory = find_project(settings.project_dir, settings.rootdir, settings.invocation_dir)
        build = ci.detect(settings.environ)
        repository = Repository.of_changes(directory, settings.invocation_dir, build.head_sha)
        verdict = "pull_request" if settings.pr else ci.verdict(build, repository.default_branch())
        common = Plan(
            mode="nothing",
            project=str(project_file(directory)["name"]),
            project_dir=str(directory),
            provider=build.provider,
            url=build.url,
            head=repository.head(),
        )
        if verdict in ("default_branch", "other_branch"):
            return _not_a_pull_request(common, verdict, build)
        comparison = self._compare(repository, build)
        if not comparison.changes and not build.head_sha and (outer := repository.superproject):
            # Nobody has worked in the submodule; what moved its commit is a change all the same.
            repository, comparison = outer, self._compare(outer, build)
        project = read_project(directory, repository.root.resolve())
        compared = replace(
            common, base=comparison.base, base_ref=comparison.base_ref, how=comparison.how, head=comparison.head
        )
        if not any(project.can_matter(p) for c in comparison.changes for p in _paths(c)) and self._is_default():
            changes = tuple(
                PathChange(path=c.path, status=c.status, effect="none", note="dbt reads no such file")
                for c in comparison.changes
            )
            status = f"nothing that dbt reads changed against {comparison.base_ref} ({comparison.base[:10]})"
            return replace(compared, changes=changes, status=status)
        profile = read_profile(
            directory,
            settings.environ,
            profiles_dir=settings.profiles_dir and str(settings.invocation_dir / settings.profiles_dir),
            profile=settings.profile,
            target=settings.target,
        )
        clone = f"{platform.node()}:{repository.root}"
        pr = settings.pr or build.pr or local_name(repository.user(), repository.branch(), clone)
        compared = replace(
            compared,
            mode="pull_request",
            pr=pr,
            schema=schema_name(settings.schema, pr, profile.adapter),
            profile=profile.name,
            target=profile.target,
            adapter=profile.adapter,
        )
        return self._plan_nodes(compared, repository, project, profile, comparison)

    def _is_default(self) -> bool:
        return self.settings.select == "state:modified+" and not self.settings.state

    def _compare(self, repository: Repository, build: ci.Build) -> Comparison:
        if build.pr and build.head_sha and not repository.holds(build.head_sha):
            raise UsageError(
                f"this checkout is not pull request {build.pr}: HEAD ({repository.head()[:10]}) is neither its head "
                f"{build.head_sha[:10]} nor made of it, so nothing was validated. Check out the pull request's merge "
                f"commit or head, with its history: {ci.remedy(build)}."
            )
        with self._step("git"):
            return repository.compare(
                base=self.settings.base or None,
                target=build.target_branch,
                provider_base=build.base_sha,
                provider_head=build.head_sha,
                remedy=ci.remedy(build),
            )

    def _plan_nodes(
        self, plan: Plan, repository: Repository, project: Project, profile: Profile, comparison: Comparison
    ) -> Plan:
        settings = self.settings
        if settings.defer_target:
            known_target(profile.outputs, settings.defer_target, profile.name, profile.file)
        placeholder = schema_name(settings.schema, PLACEHOLDER, "")
        host = self.host = self.start_host(project.directory, plan.pr, profile)
        host.start()
        parsing = self._invocation(project, profile, "parse", placeholder)
        base = Base(
            repository=repository,
            commit=comparison.base,
            project=project,
            host=host,
            cache=self.workspace.cache,
            work=self.workspace.work,
            environ={**settings.environ, "PR_NUMBER": settings.environ.get("PR_NUMBER") or plan.pr},
        )
        trees = Trees(host=host, project=project, profile=profile, invocation=parsing, tell=self.tell)
        with self._step("base parse"):
            foreign = settings.invocation_dir / settings.state if settings.state else None
            before = trees.read_state(foreign) if foreign else trees.parse_base(base)
        with self._step("deferral"):
            deferrable = self._deferrable(base, profile, parsing)
            base.forget()
        with self._step("head parse"):
            head = trees.parse_head(before)
        narrowed = tuple(
            f"{s} in the environment narrows what dbt builds and tests here" for s in host.ask(Narrowing())
        )
        with self._step("selection"):
            choice = self.adjust(self._choose(repository, trees, head, before, comparison), head)
            reasons = choice.reasons
        notes = (*narrowed, *choice.notes)
        ancestors, deferred = selection.add_ancestors(reasons, head, deferrable)
        with self._step("repoint"):
            head = head.moved(host.ask(Repoint(tree="head", placeholder=placeholder, schema=plan.schema)))
            self.head = head
        self.invocation = self._invocation(project, profile, "run", plan.schema)
        database = host.ask(Connect(tree="head", invocation=self.invocation))
        nodes = selection.plan_nodes({**reasons, **ancestors}, head, project.packages_dir)
        writing = [head.nodes[n.unique_id] for n in nodes]
        check_isolation(head, writing, plan.schema, database)
        folder = external_folder(self.invocation, plan.schema)
        host.ask(Redirect(tree="head", unique_ids=tuple(n.unique_id for n in nodes), folder=folder))
        if deferred:
            state, into = self._defer_folder / "manifest.json", self.workspace.work / "defer"
            self.defer_state = host.ask(Slim(manifest_file=str(state), unique_ids=deferred, into=str(into)))
        schemas = {(n.database, n.schema) for n in writing if n.writes} | {(database, plan.schema)}
        total = sum(1 for n in head.nodes.values() if n.resource_type in BUILDABLE)
        if not nodes:
            status = (
                f"dbt finds nothing to build in what changed against {comparison.base_ref} ({comparison.base[:10]})"
            )
            return replace(plan, mode="nothing", changes=choice.changes, total=total, notes=notes, status=status)
        return replace(
            plan,
            nodes=selection.with_hooks(nodes, head, project.packages_dir),
            schemas=tuple(sorted(schemas)),
            changes=choice.changes,
            exposures=selection.exposures(nodes, head),
            notes=notes,
            total=total,
            deferred=deferred,
            defer_target=settings.defer_target or None,
        )

    def _choose(
        self,
        repository: Repository,
        trees: Trees,
        head: Manifest,
        before: ParsedBase | None,
        comparison: Comparison,
    ) -> Choice:
        settings, work, profile = self.settings, self.workspace.work, trees.profile
        root, file = repository.root.resolve(), profile.file.resolve()
        evidence = Evidence(
            project=trees.project,
            changes=comparison.changes,
            base=before.manifest if before else head,
            head=head,
            modified=frozenset(),
            texts=settings_texts(repository, comparison.base, comparison.changes, work),
            profile=profile.name,
            target=profile.target,
            profile_file=file.relative_to(root).as_posix() if file.is_relative_to(root) else None,
            foreign=bool(settings.state),
        )
        state = before.folder if before else work
        chooser = Chooser(host=trees.host, invocation=trees.invocation, state=state, work=work)
        choose = chooser.choose if before else chooser.choose_of_new
        return choose(evidence, settings.select, settings.exclude)

    def _deferrable(self, base: Base, profile: Profile, parsing: Invocation) -> frozenset[str]:
        target = self.settings.defer_target
        if not target or not base.exists():
            return frozenset()
        self.tell(f"resolving {target}'s relations")
        folder = profile.write(self.workspace.work / "profiles" / "defer", target, None)
        invocation = replace(parsing, profiles_dir=str(folder), target=target)
        parsed = base.parse("defer", profile, target, invocation)
        self._defer_folder = parsed.folder
        self.deferral = parsed.manifest
        return frozenset(
            u
            for u, n in parsed.manifest.nodes.items()
            if n.relation and n.resource_type in ("model", "seed", "snapshot")
        )

    def _invocation(self, project: Project, profile: Profile, purpose: str, schema: str | None) -> Invocation:
        folder = profile.write(self.workspace.work / "profiles" / purpose, profile.target, schema)
        return Invocation(
            project_dir=str(project.directory),
            profiles_dir=str(folder),
            target_path=str(self._output(project) if purpose == "run" else self.workspace.work / "head"),
            log_path=str(self.workspace.work / "logs"),
            profile=profile.name,
            target=profile.target,
            vars=self.settings.vars,
            threads=self.settings.threads,
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
            folder = self.workspace.work / "output"
            folder.mkdir(exist_ok=True)
            return folder
        # What the warehouse says, and rows of tests, end up in it. A folder of another user's stays as it is.
        with suppress(PermissionError):
            folder.chmod(0o700)
        return folder

    @contextmanager
    def _step(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            seconds = time.perf_counter() - began
            waited = self.host.waited if self.host is not None else None
            if waited is not None and "dbt start" not in self.timings:
                self.timings["dbt start"] = waited
                seconds -= waited
            self.timings[name] = self.timings.get(name, 0.0) + seconds


def _not_a_pull_request(plan: Plan, verdict: str, build: ci.Build) -> Plan:
    if verdict == "default_branch":
        return replace(plan, status="this is the default branch: what is released from it was validated before")
    where = build.ref or "this build"
    warning = f"{where} is neither a pull request nor the default branch, so dbt was not run and nothing was validated"
    return replace(plan, status=warning, warning=warning)


def _paths(change: Any) -> tuple[str, ...]:
    return (change.path, change.old_path) if change.old_path else (change.path,)
