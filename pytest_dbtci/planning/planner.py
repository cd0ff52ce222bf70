"""Decide what a run will do: compare, parse, select, check; nothing is written to the warehouse here."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_dbtci.adapters import generic_notes
from pytest_dbtci.ci import detect as ci
from pytest_dbtci.ci.build import Build as CiBuild
from pytest_dbtci.ci.providers import provider_of
from pytest_dbtci.dbt_client.protocol.tree_requests import Narrowing, Repoint, Slim
from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.dbt_client.protocol.warehouse_requests import Build, Connect, Redirect
from pytest_dbtci.errors import UsageError
from pytest_dbtci.git.repository import Comparison, Repository
from pytest_dbtci.manifest import BUILDABLE, Manifest
from pytest_dbtci.options import DEFAULT_SELECT
from pytest_dbtci.plan import PathChange, Plan
from pytest_dbtci.planning.base_manifest import Base, ParsedBase
from pytest_dbtci.planning.formatting import Formatting
from pytest_dbtci.planning.installed import check_installed
from pytest_dbtci.planning.left_out import left_out
from pytest_dbtci.planning.parse import Trees
from pytest_dbtci.planning.planned import Planned, Workspace
from pytest_dbtci.planning.project_settings import rendered, settings_texts
from pytest_dbtci.planning.twins import Comparisons
from pytest_dbtci.project.find import find_project
from pytest_dbtci.project.plugins import has_dbt_plugins
from pytest_dbtci.project.profile import Profile, known_target, project_file
from pytest_dbtci.project.project import Project, read_project
from pytest_dbtci.project.siblings import project_identity, siblings
from pytest_dbtci.schemas.lifecycle import external_folder
from pytest_dbtci.schemas.names import PLACEHOLDER, check_isolation, local_name, schema_name, templates
from pytest_dbtci.selection import nodes as selection
from pytest_dbtci.selection.evidence import Evidence
from pytest_dbtci.selection.selector import Choice, Chooser
from pytest_dbtci.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Planner:
    """Plan a pull request, or a branch as if it were one; `adjust` has the last word on what is selected.

    `reserve` takes the plan's schema, or says whose it is.
    """

    workspace: Workspace
    adjust: Callable[[Choice, Manifest], Choice] = lambda choice, head: choice
    reserve: Callable[[Planned], str] = lambda planned: ""

    @property
    def settings(self) -> Settings:
        """Return the run's settings."""
        return self.workspace.settings

    def make(self) -> Planned:
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
            return Planned(plan=_not_a_pull_request(common, verdict, build))
        comparison = self._compare(repository, build)
        if not comparison.changes and not build.head_sha and (outer := repository.superproject):
            # Nobody has worked in the submodule; what moved its commit is a change all the same.
            repository, comparison = outer, self._compare(outer, build)
        profiles = self.workspace.profile_places(directory)
        project = replace(
            read_project(directory, repository.root.resolve(), profiles),
            changed=frozenset(p for c in comparison.changes for p in _paths(c)),
        )
        compared = replace(
            common,
            packages_dir=project.packages_dir,
            base=comparison.base,
            base_ref=comparison.base_ref,
            how=comparison.how,
            head=comparison.head,
        )
        if self._is_default() and not any(map(project.can_matter, project.changed)) and not has_dbt_plugins():
            changes = tuple(
                PathChange(path=c.path, status=c.status, effect="none", note="dbt reads no such file")
                for c in comparison.changes
            )
            status = f"nothing that dbt reads changed against {comparison.base_ref} ({comparison.base[:10]})"
            return Planned(plan=replace(compared, changes=changes, status=status))
        profile = self.workspace.profile(directory, settings.target)
        clone = f"{platform.node()}:{repository.root}"
        pr = settings.pr or build.pr or local_name(repository.user(), repository.branch(), clone)
        others = siblings(project, repository.root.resolve(), repository.project_files())
        compared = replace(
            compared,
            mode="pull_request",
            pr=pr,
            project=project_identity(project, others),
            repository=repository.identity(),
            profile=profile.name,
            target=profile.target,
            adapter=profile.adapter,
        )
        choices = templates(settings.schema, several=bool(others))
        return self._plan_where_free(compared, choices, repository, project, profile, comparison)

    def _plan_where_free(self, plan: Plan, choices: Sequence[str], *what: Any) -> Planned:
        """Plan in the first schema that no other repository or project has."""
        planned, names, notes = Planned(plan=plan), tuple[str, ...](), tuple[str, ...]()
        for template in choices:
            try:
                name = schema_name(template, plan.pr, plan.adapter, project=plan.project, repository=plan.repository)
            except UsageError:
                if not names:
                    raise
                break  # the longer name does not fit; whose the first one is will be said when it is opened
            names = (*names, name)
            planned = self._plan_nodes(replace(plan, schema=name), *what)
            planned = replace(planned, plan=replace(planned.plan, notes=(*planned.plan.notes, *notes)), names=names)
            if planned.plan.mode == "nothing" or not (owner := self.reserve(planned)):
                break
            notes = (f"{name} belongs to {owner}, so this run builds in another schema",)
        return planned

    def _is_default(self) -> bool:
        return self.settings.select == DEFAULT_SELECT and not self.settings.state

    def _compare(self, repository: Repository, build: CiBuild) -> Comparison:
        if build.pr and build.head_sha and not repository.holds(build.head_sha):
            raise UsageError(
                f"this checkout is not pull request {build.pr}: HEAD ({repository.head()[:10]}) is neither its head "
                f"{build.head_sha[:10]} nor made of it, so nothing was validated. Check out the pull request's merge "
                f"commit or head, with its history: {provider_of(build.provider).remedy}."
            )
        with self.workspace.step("git"):
            return repository.compare(
                base=self.settings.base or None,
                target=build.target_branch,
                provider_base=build.base_sha,
                provider_head=build.head_sha,
                remedy=provider_of(build.provider).remedy,
            )

    def _plan_nodes(
        self, plan: Plan, repository: Repository, project: Project, profile: Profile, comparison: Comparison
    ) -> Planned:
        """Parse both trees and select."""
        settings, workspace = self.settings, self.workspace
        if settings.defer_target:
            known_target(profile.outputs, settings.defer_target, profile.name, profile.file, settings.environ)
        placeholder = schema_name(settings.schema, PLACEHOLDER, "", project=plan.project, repository=plan.repository)
        host = workspace.start(project, plan.pr, profile)
        parsing = workspace.invocation(project, profile, "parse", placeholder)
        with workspace.step("project"):
            project = rendered(host, project, parsing)
        check_installed(project, repository, comparison.base, workspace.work)
        sparse = left_out(project, repository)
        plan = replace(plan, packages_dir=project.packages_dir)
        base = Base(
            repository=repository,
            commit=comparison.base,
            project=project,
            host=host,
            cache=workspace.cache,
            work=workspace.work,
            environ={**settings.environ, "PR_NUMBER": settings.environ.get("PR_NUMBER") or plan.pr},
        )
        trees = Trees(host=host, project=project, profile=profile, invocation=parsing, tell=workspace.tell)
        own = replace(trees, invocation=workspace.invocation(project, profile, "parse-own", plan.schema))
        with workspace.step("base parse"):
            foreign = settings.invocation_dir / settings.state if settings.state else None
            before = trees.read_state(foreign) if foreign else trees.parse_base(base)
            if before and before.manifest.schema_uses:
                trees, before = own, own.parse_base(base)
        with workspace.step("deferral"):
            deferral = self._parse_deferral(base, profile, parsing)
            base.forget()
        with workspace.step("head parse"):
            head = trees.parse_head(before)
            if trees is not own and head.schema_uses:
                # Both alike, so that nothing differs because the schema does.
                trees, before = own, before if foreign else own.parse_base(base)
                base.forget()
                head = own.parse_head(before)
        if trees is own:
            workspace.tell(f"parsed with {plan.schema} itself: {_some(head.schema_uses)} looks into target.schema")
        with workspace.step("selection"):
            choice = self.adjust(self._choose(repository, trees, head, before, comparison, base), head)
        narrowed = (f"{s} in the environment narrows what dbt builds and tests here" for s in host.ask(Narrowing()))
        with workspace.step("repoint"):
            head = head.moved(host.ask(Repoint(tree="head", placeholder=placeholder, schema=plan.schema)))
        notes = (*generic_notes(head.adapter), *sparse, *narrowed, *choice.notes)
        plan = replace(plan, changes=choice.changes, notes=notes)
        planned = self._place_nodes(plan, choice, head, deferral, trees)
        if settings.compare == "none" or planned.build is None or not planned.plan.nodes:
            return planned
        return self._add_comparisons(planned, planned.build, base, before, trees)

    def _add_comparisons(
        self, planned: Planned, build: Build, base: Base, before: ParsedBase | None, trees: Trees
    ) -> Planned:
        """Say what each relation is compared with, and get what has to be built for that ready."""
        plan, host = planned.plan, trees.host
        if self.settings.state:
            raise UsageError(
                "--dbt-ci-compare compares with the merge base, and --dbt-ci-state puts another manifest in its place: "
                "leave one of them out."
            )
        if before is None:
            note = "nothing is compared with the base, which has no such dbt project"
            return replace(planned, plan=replace(plan, notes=(*plan.notes, note)))
        comparisons = Comparisons(
            settings=self.settings,
            host=host,
            profile=trees.profile,
            base=base,
            folder=before.folder,
            invocation=trees.invocation,
            placeholder=schema_name(self.settings.schema, PLACEHOLDER, ""),
            work=self.workspace.work,
        )
        with self.workspace.step("comparisons"):
            external = external_folder(build.invocation, plan.schema)
            assert planned.head is not None
            plan, twins = comparisons.add(plan, planned.head, before.manifest, planned.deferral, external)
            # Statements log in as the last parse did.
            host.ask(Connect(tree="head", invocation=build.invocation))
        return replace(planned, plan=plan, twins=twins)

    def _place_nodes(
        self,
        plan: Plan,
        choice: Choice,
        head: Manifest,
        deferral: ParsedBase | None,
        trees: Trees,
    ) -> Planned:
        """Say where everything is built, which must be the pull request's own, and what is deferred to."""
        host, packages_dir = trees.host, trees.project.packages_dir
        ancestors, deferred = selection.add_ancestors(choice.reasons, head, _deferrable(deferral))
        reasons = {**choice.reasons, **ancestors}
        nodes = selection.plan_nodes(reasons, head, packages_dir)
        left_out = {u: reason for u, reason in choice.left_out.items() if u not in reasons}
        unique_ids = tuple(n.unique_id for n in nodes)
        invocation = self.workspace.invocation(trees.project, trees.profile, "run", plan.schema)
        database = host.ask(Connect(tree="head", invocation=invocation))
        writing = [head.nodes[u] for u in unique_ids]
        check_isolation(head, writing, plan.schema, database)
        host.ask(Redirect(tree="head", unique_ids=unique_ids, folder=external_folder(invocation, plan.schema)))
        state = ""
        if deferred and deferral is not None:
            manifest_file, into = deferral.folder / "manifest.json", self.workspace.work / "defer"
            state = host.ask(Slim(manifest_file=str(manifest_file), unique_ids=deferred, into=str(into)))
        plan = replace(
            plan,
            total=sum(1 for n in head.nodes.values() if n.resource_type in BUILDABLE),
            left_out=selection.plan_nodes(left_out, head, packages_dir),
        )
        if nodes:
            plan = replace(
                plan,
                nodes=selection.with_hooks(nodes, head, packages_dir),
                schemas=tuple(
                    sorted({(n.database, n.schema) for n in writing if n.writes} | {(database, plan.schema)})
                ),
                exposures=selection.exposures(nodes, head),
                deferred=deferred,
                defer_target=self.settings.defer_target or None,
            )
        else:
            against = f"against {plan.base_ref} ({plan.base[:10]})"
            status = f"dbt finds nothing to build in what changed {against}"
            if plan.left_out:
                many = "nodes" if len(plan.left_out) > 1 else "node"
                status += f"; formatting only: {len(plan.left_out)} {many} left out"
            plan = replace(plan, mode="nothing", status=status)
        return Planned(
            plan=plan,
            build=self.workspace.build("head", invocation, unique_ids, state),
            head=head,
            deferral=deferral.manifest if deferral else None,
        )

    def _choose(
        self,
        repository: Repository,
        trees: Trees,
        head: Manifest,
        before: ParsedBase | None,
        comparison: Comparison,
        base: Base,
    ) -> Choice:
        settings, work, profile = self.settings, self.workspace.work, trees.profile
        profile_file = trees.project.path_of(str(profile.file.resolve()))
        evidence = Evidence(
            project=trees.project,
            changes=comparison.changes,
            base=before.manifest if before else head,
            head=head,
            modified=frozenset(),
            texts=settings_texts(repository, comparison.base, trees.project, profile_file, work),
            profile=profile.name,
            target=profile.target,
            profile_file=profile_file,
            foreign=bool(settings.state),
            ignored=repository.ignored(_new_files(trees.project, before.manifest, head) if before else ()),
        )
        state = before.folder if before else work
        chooser = Chooser(host=trees.host, invocation=trees.invocation, state=state, work=work)
        if settings.build_less != "none" and before and not settings.state:
            formatting = Formatting(
                host=trees.host,
                project=trees.project,
                repository=repository,
                commit=comparison.base,
                base=base,
                before=before,
                invocation=trees.invocation,
                work=work,
            )
            chooser = replace(chooser, formatted=formatting.find)
        choose = chooser.choose if before else chooser.choose_of_new
        return choose(evidence, settings.select, settings.exclude)

    def _parse_deferral(self, base: Base, profile: Profile, parsing: Invocation) -> ParsedBase | None:
        target = self.settings.defer_target
        if not target or not base.exists():
            return None
        self.workspace.tell(f"resolving {target}'s relations")
        folder = profile.write(self.workspace.work / "profiles" / "defer", target, None)
        return base.parse("defer", profile, target, replace(parsing, profiles_dir=str(folder), target=target))


def _deferrable(deferral: ParsedBase | None) -> frozenset[str]:
    nodes = deferral.manifest.nodes if deferral else {}
    return frozenset(u for u, n in nodes.items() if n.relation and n.resource_type in ("model", "seed", "snapshot"))


def _new_files(project: Project, base: Manifest, head: Manifest) -> set[str]:
    """Return the files of new nodes that git sees no change in; what is installed belongs to no commit."""
    installed = project.in_repository(project.packages_dir) + "/"
    new = {project.place(n.package, n.file) for u, n in head.nodes.items() if u not in base.nodes}
    return {path for path in new - project.changed if not path.startswith(installed)}


def _not_a_pull_request(plan: Plan, verdict: str, build: CiBuild) -> Plan:
    if verdict == "default_branch":
        return replace(plan, status="this is the default branch: what is released from it was validated before")
    where = build.ref or "this build"
    warning = f"{where} is neither a pull request nor the default branch, so dbt was not run and nothing was validated"
    return replace(plan, status=warning, warning=warning)


def _some(places: tuple[str, ...]) -> str:
    return (places[0] if places else "the base") + (f" (and {len(places) - 1} more)" if len(places) > 1 else "")


def _paths(change: Any) -> tuple[str, ...]:
    return (change.path, change.old_path) if change.old_path else (change.path,)
