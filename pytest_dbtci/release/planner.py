"""Plan a release: the whole project on one target, in its own schemas, and the rehearsal that may come first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from pytest_dbtci.ci import detect as ci
from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.dbt_client.protocol.tree_requests import KeepApart, Narrowing, Parse, TargetSchema
from pytest_dbtci.dbt_client.protocol.warehouse_requests import Build, Connect, Document, Redirect
from pytest_dbtci.errors import UsageError
from pytest_dbtci.git.repository import Repository
from pytest_dbtci.manifest import BUILDABLE
from pytest_dbtci.plan import Commits, Destination, Plan, Reason
from pytest_dbtci.planning.installed import check_installed
from pytest_dbtci.planning.planned import Planned, Workspace
from pytest_dbtci.planning.project_settings import rendered
from pytest_dbtci.project.find import find_project
from pytest_dbtci.project.profile import Profile
from pytest_dbtci.project.project import Project, read_project
from pytest_dbtci.project.siblings import project_identity, siblings
from pytest_dbtci.release.checks import Origin, check_clean, check_options, check_origin, check_sources
from pytest_dbtci.release.docs_folder import check_place
from pytest_dbtci.results import Result
from pytest_dbtci.schemas.lifecycle import external_folder
from pytest_dbtci.schemas.names import check_isolation, schema_name, templates
from pytest_dbtci.selection import nodes as selection


@dataclass(frozen=True, kw_only=True)
class ReleasePlanner:
    """Plan the release of a commit."""

    workspace: Workspace

    def make(self) -> Planned:
        """Make the plan; UsageError with the reason where this commit may not be released there."""
        settings = self.workspace.settings
        check_options(settings)
        directory = find_project(settings.project_dir, settings.rootdir, settings.invocation_dir)
        build = ci.detect(settings.environ)
        repository = Repository.of_changes(directory, settings.invocation_dir, build.head_sha)
        project = read_project(directory, repository.root.resolve())
        profile = self.workspace.profile(directory, settings.release)
        if settings.docs:
            check_place(settings.invocation_dir / settings.docs)
        with self.workspace.step("git"):
            origin = check_origin(repository, build, behind=settings.release_behind)
        others = siblings(project, repository.root.resolve(), repository.project_files())
        common = Plan(
            mode="release",
            repository=repository.identity(),
            project=project_identity(project, others),
            project_dir=str(directory),
            provider=build.provider,
            commits=Commits(head=origin.commit, base_ref=origin.branch, how=origin.how),
            destination=Destination(profile=profile.name, target=profile.target, adapter=profile.adapter),
        )
        return self._plan_all(common, repository, project, profile, origin, several=bool(others))

    def _plan_all(
        self, plan: Plan, repository: Repository, project: Project, profile: Profile, origin: Origin, *, several: bool
    ) -> Planned:
        workspace = self.workspace
        host = workspace.start(project, "", profile)
        if narrowing := [s for s in host.ask(Narrowing()) if "INDIRECT_SELECTION" not in s]:
            raise UsageError(
                f"nothing was released, because {', '.join(narrowing)} in the environment would let dbt build or test "
                "less than the whole project. Unset it for the release."
            )
        written = str(workspace.work / "head")
        invocation = workspace.invocation(project, profile, "run", None)
        with workspace.step("head parse"):
            workspace.tell("parsing the project")
            project = rendered(host, project, invocation)
            check_installed(project, repository, origin.commit, workspace.work)
            check_clean(repository, project, origin.commit)
            head = host.ask(Parse(tree="head", invocation=replace(invocation, target_path=written), write=True))
        check_sources(repository, project, head, origin.commit)
        released = Reason(kind="released", text="released")
        reasons = {u: released for u, n in head.nodes.items() if n.resource_type in BUILDABLE}
        nodes = selection.plan_nodes(reasons, head, project.packages_dir)
        schema = host.ask(TargetSchema(tree="head"))
        destination = replace(plan.destination, schema=schema)
        plan = replace(plan, packages_dir=project.packages_dir, destination=destination, total=len(nodes))
        build = workspace.build("head", invocation, tuple(n.unique_id for n in nodes))
        planned = Planned(
            plan=replace(plan, nodes=selection.with_hooks(nodes, head, project.packages_dir)),
            build=build,
            document=Document(tree="head", invocation=replace(invocation, target_path=written)),
            head=head,
        )
        if not nodes:
            status = "this project has nothing that dbt could build"
            return replace(planned, plan=replace(plan, mode="nothing", status=status))
        if not workspace.settings.rehearse:
            return planned
        template, *_ = templates(workspace.settings.schema, several=several)
        return self._with_rehearsal(planned, build, host, project, profile, template)

    def _with_rehearsal(
        self, planned: Planned, build: Build, host: Host, project: Project, profile: Profile, template: str
    ) -> Planned:
        """Parse the project for schemas of its own, which are marked and dropped as a pull request's."""
        plan = planned.plan
        name = f"rehearsal_{re.sub('[^a-z0-9]+', '_', plan.destination.target.lower())}_{plan.commits.head[:8]}"
        schema = schema_name(template, name, profile.adapter, project=plan.project, repository=plan.repository)
        invocation = self.workspace.invocation(project, profile, "rehearsal", schema)
        with self.workspace.step("rehearsal parse"):
            apart = replace(invocation, target_path=str(self.workspace.work / "rehearsal"))
            host.ask(Parse(tree="rehearsal", invocation=apart, write=False))
            copied = host.ask(KeepApart(tree="rehearsal", schema=schema))
        invocation = replace(invocation, target_path=build.invocation.target_path)
        database = host.ask(Connect(tree="rehearsal", invocation=invocation))
        check_isolation(copied, copied.nodes.values(), schema, database)
        folder = external_folder(invocation, schema)
        host.ask(Redirect(tree="rehearsal", unique_ids=tuple(copied.nodes), folder=folder, rehearsal=True))
        schemas = {(n.database, n.schema) for n in copied.nodes.values() if n.writes} | {(database, schema)}
        destination = replace(plan.destination, rehearsal=schema, schemas=tuple(sorted(schemas)))
        return replace(
            planned,
            plan=replace(plan, pr=name, destination=destination),
            rehearsal=replace(build, tree="rehearsal", invocation=invocation),
        )


def held_back(plan: Plan, rehearsed: Mapping[str, Result], wanted: Iterable[str]) -> Iterator[Result]:
    """Yield the results of a release that is not to be, because its rehearsal failed; none if it was green.

    What went wrong or was skipped in the rehearsal stands for itself; what was fine there was not released.
    """
    wanted = frozenset(wanted)
    items = [n for n in plan.items if n.unique_id in wanted or n.resource_type == "operation"]
    lost = [n for n in items if n.unique_id not in rehearsed]
    bad = [n for n in items if n.unique_id in rehearsed and rehearsed[n.unique_id].is_bad]
    if not lost and not bad:
        return
    failed = [n.item for n in (*bad, *lost)]
    why = f"not released: {', '.join(failed[:3])}{' and others' * (len(failed) > 3)} failed in the rehearsal"
    for node in items:
        result = rehearsed.get(node.unique_id)
        if result is None:
            message = "dbt ended the rehearsal without a result for it"
            yield Result(unique_id=node.unique_id, status="no result", message=message, trouble=True)
        elif result.is_bad:
            yield replace(result, message=f"{result.message}\n\nThis was the rehearsal: nothing was released.")
        elif result.outcome == "skipped":
            yield replace(result, message=result.message or why)
        else:
            yield Result(unique_id=node.unique_id, status="skipped", message=why)
