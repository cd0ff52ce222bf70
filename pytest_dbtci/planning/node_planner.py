"""Plan the nodes of a pull request: parse both trees, select, say where everything is built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from pytest_dbtci.adapters import generic_notes
from pytest_dbtci.dbt_client.protocol.tree_requests import Narrowing, Repoint, Slim
from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.dbt_client.protocol.warehouse_requests import Build, Connect, Redirect
from pytest_dbtci.errors import UsageError
from pytest_dbtci.git.repository import Comparison, Repository
from pytest_dbtci.manifest import BUILDABLE, Manifest
from pytest_dbtci.plan import Plan
from pytest_dbtci.planning.base_manifest import Base, ParsedBase
from pytest_dbtci.planning.formatting import Formatting
from pytest_dbtci.planning.installed import check_installed
from pytest_dbtci.planning.left_out import left_out
from pytest_dbtci.planning.parse import Trees
from pytest_dbtci.planning.planned import Planned, Workspace
from pytest_dbtci.planning.project_settings import rendered, settings_texts
from pytest_dbtci.planning.twins import Comparisons
from pytest_dbtci.project.profile import Profile, known_target
from pytest_dbtci.project.project import Project
from pytest_dbtci.schemas.lifecycle import external_folder
from pytest_dbtci.schemas.names import PLACEHOLDER, check_isolation, schema_name
from pytest_dbtci.selection import nodes as selection
from pytest_dbtci.selection.evidence import Evidence
from pytest_dbtci.selection.selector import Choice, Chooser


@dataclass(frozen=True, kw_only=True)
class Parsed:
    """What was parsed, both trees alike, by `trees`.

    `before` is the parsed base, None where it has no such project, and `deferral` the base as the deferral target has
    it, None where nothing is deferred.
    """

    trees: Trees
    base: Base
    before: ParsedBase | None
    head: Manifest
    deferral: ParsedBase | None


@dataclass(frozen=True, kw_only=True)
class NodePlanner:
    """Plan what changed in a comparison of a project's commits; `adjust` has the last word on what is selected."""

    workspace: Workspace
    repository: Repository
    comparison: Comparison
    project: Project
    profile: Profile
    adjust: Callable[[Choice, Manifest], Choice]

    def plan(self, plan: Plan) -> Planned:
        """Complete the plan; its schema is where the nodes will be built."""
        settings, workspace, profile = self.workspace.settings, self.workspace, self.profile
        if settings.defer_target:
            known_target(profile.outputs, settings.defer_target, profile.name, profile.file, settings.environ)
        placeholder = schema_name(settings.schema, PLACEHOLDER, "", project=plan.project, repository=plan.repository)
        host = workspace.start(self.project, plan.pr, profile)
        parsing = workspace.invocation(self.project, profile, "parse", placeholder)
        with workspace.step("project"):
            project = rendered(host, self.project, parsing)
        unknown = check_installed(project, self.repository, self.comparison.base, workspace.work)
        sparse = left_out(project, self.repository)
        plan = replace(plan, packages_dir=project.packages_dir)
        trees = Trees(host=host, project=project, profile=profile, invocation=parsing, tell=workspace.tell)
        try:
            parsed = self._parse(plan, trees)
        except UsageError as error:
            # dbt names relations as it parses them.
            raise UsageError(str(error).replace(placeholder, plan.destination.schema)) from None
        with workspace.step("selection"):
            choice = self.adjust(self._choose(parsed), parsed.head)
        narrowed = (f"{s} in the environment narrows what dbt builds and tests here" for s in host.ask(Narrowing()))
        with workspace.step("repoint"):
            places = host.ask(Repoint(tree="head", placeholder=placeholder, schema=plan.destination.schema))
            parsed = replace(parsed, head=parsed.head.moved(places))
        notes = (*generic_notes(parsed.head.adapter), *unknown, *sparse, *narrowed, *choice.notes)
        planned = self._place(replace(plan, changes=choice.changes, notes=notes), choice, parsed)
        if settings.compare == "none" or planned.build is None or not planned.plan.nodes:
            return planned
        return self._add_comparisons(planned, planned.build, parsed)

    def _parse(self, plan: Plan, trees: Trees) -> Parsed:
        """Parse both trees; with the plan's own schema where one of them looks into it."""
        settings, workspace = self.workspace.settings, self.workspace
        base = Base(
            repository=self.repository,
            commit=self.comparison.base,
            project=trees.project,
            host=trees.host,
            cache=workspace.cache,
            work=workspace.work,
            environ={**settings.environ, "PR_NUMBER": settings.environ.get("PR_NUMBER") or plan.pr},
        )
        parsing = trees.invocation
        own_schema = workspace.invocation(trees.project, self.profile, "parse-own", plan.destination.schema)
        own = replace(trees, invocation=own_schema)
        with workspace.step("base parse"):
            foreign = settings.invocation_dir / settings.state if settings.state else None
            before = trees.read_state(foreign) if foreign else trees.parse_base(base)
            if before and before.manifest.schema_uses:
                trees, before = own, own.parse_base(base)
        with workspace.step("deferral"):
            deferral = self._parse_deferral(base, parsing)
            base.forget()
        with workspace.step("head parse"):
            head = trees.parse_head(before)
            if trees is not own and head.schema_uses:
                # Both alike, so that nothing differs because the schema does.
                trees, before = own, before if foreign else own.parse_base(base)
                base.forget()
                head = own.parse_head(before)
        if trees is own:
            workspace.tell(
                f"parsed with {plan.destination.schema} itself: {_some(head.schema_uses)} looks into target.schema"
            )
        return Parsed(trees=trees, base=base, before=before, head=head, deferral=deferral)

    def _parse_deferral(self, base: Base, parsing: Invocation) -> ParsedBase | None:
        target = self.workspace.settings.defer_target
        if not target or not base.exists():
            return None
        self.workspace.tell(f"resolving {target}'s relations")
        folder = self.profile.write(self.workspace.work / "profiles" / "defer", target, None)
        return base.parse("defer", self.profile, target, replace(parsing, profiles_dir=str(folder), target=target))

    def _choose(self, parsed: Parsed) -> Choice:
        """Ask dbt what the selection means, and git whether that explains every changed path."""
        settings, work, repository = self.workspace.settings, self.workspace.work, self.repository
        trees, before, head = parsed.trees, parsed.before, parsed.head
        profile_file = trees.project.path_of(str(self.profile.file.resolve()))
        evidence = Evidence(
            project=trees.project,
            changes=self.comparison.changes,
            base=before.manifest if before else head,
            head=head,
            modified=frozenset(),
            texts=settings_texts(repository, self.comparison.base, trees.project, profile_file, work),
            profile=self.profile.name,
            target=self.profile.target,
            profile_file=profile_file,
            foreign=bool(settings.state),
            loaded=self.profile.loads,
            by_default=self.profile.by_default,
            ignored=repository.ignored(_new_files(trees.project, before.manifest, head) if before else ()),
        )
        chooser = Chooser(
            host=trees.host, invocation=trees.invocation, state=before.folder if before else work, work=work
        )
        if settings.leaves_out("formatting") and before and not settings.state:
            chooser = replace(chooser, formatted=self._formatting(parsed.trees).find)
        choose = chooser.choose if before else chooser.choose_of_new
        return choose(evidence, settings.select, settings.exclude)

    def _formatting(self, trees: Trees) -> Formatting:
        return Formatting(
            host=trees.host,
            project=trees.project,
            repository=self.repository,
            commit=self.comparison.base,
            invocation=trees.invocation,
            work=self.workspace.work,
        )

    def _place(self, plan: Plan, choice: Choice, parsed: Parsed) -> Planned:
        """Decide where each node is built, which must be the pull request's own schemas, and what is deferred to."""
        trees, head, deferral = parsed.trees, parsed.head, parsed.deferral
        host, packages_dir = trees.host, trees.project.packages_dir
        ancestors, deferred = selection.add_ancestors(choice.reasons, head, _deferrable(deferral))
        reasons = {**choice.reasons, **ancestors}
        nodes = selection.plan_nodes(reasons, head, packages_dir)
        left_out = {u: reason for u, reason in choice.left_out.items() if u not in reasons}
        unique_ids = tuple(n.unique_id for n in nodes)
        invocation = self.workspace.invocation(trees.project, trees.profile, "run", plan.destination.schema)
        database = host.ask(Connect(tree="head", invocation=invocation))
        writing = [head.nodes[u] for u in unique_ids]
        check_isolation(head, writing, plan.destination.schema, database)
        folder = external_folder(invocation, plan.destination.schema)
        host.ask(Redirect(tree="head", unique_ids=unique_ids, folder=folder))
        total = sum(1 for n in head.nodes.values() if n.resource_type in BUILDABLE)
        plan = replace(plan, total=total, left_out=selection.plan_nodes(left_out, head, packages_dir))
        if nodes:
            schemas = {(n.database, n.schema) for n in writing if n.writes} | {(database, plan.destination.schema)}
            plan = replace(
                plan,
                nodes=selection.with_hooks(nodes, head, packages_dir),
                destination=replace(
                    plan.destination,
                    schemas=tuple(sorted(schemas)),
                    defer_target=self.workspace.settings.defer_target or None,
                ),
                exposures=selection.exposures(nodes, head),
            )
        else:
            plan = replace(plan, mode="nothing", status=_nothing_to_build(plan))
        state = self._slim(deferral, trees, deferred)
        return Planned(
            plan=plan,
            build=self.workspace.build("head", invocation, unique_ids, state),
            head=head,
            deferral=deferral.manifest if deferral else None,
            changed=choice.changed,
        )

    def _slim(self, deferral: ParsedBase | None, trees: Trees, deferred: tuple[str, ...]) -> str:
        """Return the folder of a manifest.json that dbt can defer to; empty where nothing is deferred."""
        if deferral is None or not deferred:
            return ""
        manifest_file, into = deferral.folder / "manifest.json", self.workspace.work / "defer"
        return trees.host.ask(Slim(manifest_file=str(manifest_file), unique_ids=deferred, into=str(into)))

    def _add_comparisons(self, planned: Planned, build: Build, parsed: Parsed) -> Planned:
        """Decide what each relation is compared with, and prepare what has to be built for that."""
        plan, trees, before = planned.plan, parsed.trees, parsed.before
        if self.workspace.settings.state:
            raise UsageError(
                "--dbt-ci-compare compares with the merge base, and --dbt-ci-state puts another manifest in its place: "
                "leave one of them out."
            )
        if before is None:
            note = "nothing is compared with the base, which has no such dbt project"
            return replace(planned, plan=replace(plan, notes=(*plan.notes, note)))
        comparisons = Comparisons(
            settings=self.workspace.settings,
            host=trees.host,
            profile=trees.profile,
            base=parsed.base,
            folder=before.folder,
            invocation=trees.invocation,
            placeholder=schema_name(self.workspace.settings.schema, PLACEHOLDER, ""),
            work=self.workspace.work,
        )
        with self.workspace.step("comparisons"):
            external = external_folder(build.invocation, plan.destination.schema)
            plan, twins = comparisons.add(plan, parsed.head, before.manifest, planned.deferral, external)
            # Statements log in as the last parse did.
            trees.host.ask(Connect(tree="head", invocation=build.invocation))
        return replace(planned, plan=plan, twins=twins)


def _deferrable(deferral: ParsedBase | None) -> frozenset[str]:
    nodes = deferral.manifest.nodes if deferral else {}
    return frozenset(u for u, n in nodes.items() if n.relation and n.resource_type in ("model", "seed", "snapshot"))


def _new_files(project: Project, base: Manifest, head: Manifest) -> set[str]:
    """Return the files of new nodes that git sees no change in; what is installed belongs to no commit."""
    installed = project.in_repository(project.packages_dir) + "/"
    new = {project.place(n.package, n.file) for u, n in head.nodes.items() if u not in base.nodes}
    return {path for path in new - project.changed if not path.startswith(installed)}


def _nothing_to_build(plan: Plan) -> str:
    status = f"dbt finds nothing to build in what changed against {plan.commits.base_ref} ({plan.commits.base[:10]})"
    if plan.left_out:
        many = "nodes" if len(plan.left_out) > 1 else "node"
        status += f"; formatting only: {len(plan.left_out)} {many} left out"
    return status


def _some(places: tuple[str, ...]) -> str:
    return (places[0] if places else "the base") + (f" (and {len(places) - 1} more)" if len(places) > 1 else "")
