"""Decide what a run will do: whether there is a pull request, what changed, where it is built. Nothing is written."""

from __future__ import annotations

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pytest_dbtci.ci import detect as ci
from pytest_dbtci.ci.build import Build as CiBuild
from pytest_dbtci.ci.providers import provider_of
from pytest_dbtci.errors import UsageError
from pytest_dbtci.git.repository import Comparison, Repository
from pytest_dbtci.manifest import Manifest
from pytest_dbtci.options import DEFAULT_SELECT
from pytest_dbtci.plan import Commits, Destination, PathChange, Plan
from pytest_dbtci.planning.node_planner import NodePlanner
from pytest_dbtci.planning.planned import Planned, Workspace
from pytest_dbtci.project.find import find_project
from pytest_dbtci.project.plugins import has_dbt_plugins
from pytest_dbtci.project.profile import check_package_files, project_file
from pytest_dbtci.project.project import Project, read_project
from pytest_dbtci.project.siblings import project_identity, siblings
from pytest_dbtci.schemas.names import local_name, schema_name, templates
from pytest_dbtci.selection.selector import Choice
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
            commits=Commits(head=repository.head()),
        )
        if verdict in ("default_branch", "other_branch"):
            return Planned(plan=_not_a_pull_request(common, verdict, build))
        repository, comparison = self._find_changes(repository, build)
        check_package_files(directory)
        profiles = self.workspace.profile_places(directory)
        project = replace(
            read_project(directory, repository.root.resolve(), profiles),
            changed=frozenset(p for c in comparison.changes for p in _paths(c)),
            attributed=comparison.attributed,
        )
        compared = replace(
            common,
            packages_dir=project.packages_dir,
            commits=Commits(
                head=comparison.head, base=comparison.base, base_ref=comparison.base_ref, how=comparison.how
            ),
        )
        if self._is_default() and not any(map(project.can_matter, project.changed)) and not has_dbt_plugins():
            return Planned(plan=_unaffected(compared, comparison))
        return self._plan_pull_request(compared, build, repository, comparison, project)

    def _plan_pull_request(
        self, plan: Plan, build: CiBuild, repository: Repository, comparison: Comparison, project: Project
    ) -> Planned:
        """Name the pull request and its schema, and plan its nodes."""
        settings = self.settings
        profile = self.workspace.profile(project.directory, settings.target)
        clone = f"{platform.node()}:{repository.root}"
        others = siblings(project, repository.root.resolve(), repository.project_files())
        plan = replace(
            plan,
            mode="pull_request",
            pr=settings.pr or build.pr or local_name(repository.user(), repository.branch(), clone),
            project=project_identity(project, others),
            repository=repository.identity(),
            destination=Destination(profile=profile.name, target=profile.target, adapter=profile.adapter),
        )
        nodes = NodePlanner(
            workspace=self.workspace,
            repository=repository,
            comparison=comparison,
            project=project,
            profile=profile,
            adjust=self.adjust,
        )
        return self._plan_where_free(plan, templates(settings.schema, several=bool(others)), nodes)

    def _plan_where_free(self, plan: Plan, choices: Sequence[str], nodes: NodePlanner) -> Planned:
        """Plan in the first schema that no other repository or project has.

        In any of them an earlier run can have left something, as it may have met the other repository there.
        """
        planned, notes, where = Planned(plan=plan), tuple[str, ...](), plan.destination
        names = list[str]()
        for template in choices:
            try:
                name = schema_name(template, plan.pr, where.adapter, project=plan.project, repository=plan.repository)
            except UsageError:
                if not names:
                    raise
                break  # the longer name does not fit; whose the first one is will be said when it is opened
            names.append(name)
        for name in names:
            planned = nodes.plan(replace(plan, destination=replace(where, schema=name)))
            told = replace(planned.plan, notes=(*planned.plan.notes, *notes))
            planned = replace(planned, plan=told, names=tuple(names))
            if planned.plan.mode == "nothing" or not (owner := self.reserve(planned)):
                break
            notes = (f"{name} belongs to {owner}, so this run builds in another schema",)
        return planned

    def _is_default(self) -> bool:
        return self.settings.select == DEFAULT_SELECT and not self.settings.state

    def _find_changes(self, repository: Repository, build: CiBuild) -> tuple[Repository, Comparison]:
        """Return what changed, and in which repository: that of a submodule, or the one that holds it."""
        comparison = self._compare(repository, build)
        if not comparison.changes and not build.head_sha and (outer := repository.superproject):
            # Nobody has worked in the submodule; what moved its commit is a change all the same.
            return outer, self._compare(outer, build)
        return repository, comparison

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


def _not_a_pull_request(plan: Plan, verdict: str, build: CiBuild) -> Plan:
    if verdict == "default_branch":
        return replace(plan, status="this is the default branch: what is released from it was validated before")
    where = build.ref or "this build"
    warning = f"{where} is neither a pull request nor the default branch, so dbt was not run and nothing was validated"
    return replace(plan, status=warning, warning=warning)


def _unaffected(plan: Plan, comparison: Comparison) -> Plan:
    changes = tuple(
        PathChange(path=c.path, status=c.status, effect="none", note="dbt reads no such file")
        for c in comparison.changes
    )
    against = f"{comparison.base_ref} ({comparison.base[:10]})"
    status = f"nothing that dbt reads changed against {against}"
    if comparison.base == comparison.head and plan.provider == "local":
        uncommitted = "none of the uncommitted changes is one that dbt reads" if changes else "nothing is uncommitted"
        status = (
            f"nothing that dbt reads changed: HEAD is {against} itself, and {uncommitted}. Edit a file here or on a "
            "branch; --dbt-ci-base=COMMIT compares with an earlier commit, --dbt-ci-select=NAME builds without a change"
        )
    return replace(plan, changes=changes, status=status)


def _paths(change: Any) -> tuple[str, ...]:
    return (change.path, change.old_path) if change.old_path else (change.path,)
