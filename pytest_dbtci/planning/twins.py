"""Plan what is compared with what: read the rules, choose the bases, and get the base's version ready to be built."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_dbtci.compare.bases import Chosen, Graph
from pytest_dbtci.compare.rules import Rules, read_rules
from pytest_dbtci.dbt_client.client import Host
from pytest_dbtci.dbt_client.protocol.tree_requests import Declared, Repoint
from pytest_dbtci.dbt_client.protocol.values import Invocation
from pytest_dbtci.dbt_client.protocol.warehouse_requests import Redirect
from pytest_dbtci.differences import Counterpart, Declaration, Pair
from pytest_dbtci.errors import UsageError
from pytest_dbtci.manifest import Manifest, ManifestNode, Place
from pytest_dbtci.plan import Plan
from pytest_dbtci.planning.base_manifest import Base
from pytest_dbtci.project.profile import Profile
from pytest_dbtci.schemas.names import check_isolation
from pytest_dbtci.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Twins:
    """The base's version of some nodes, ready to be built.

    `invocation` is what dbt is called with, `base` the manifest with the relations in the twins' schemas, `elsewhere`
    says where the nodes stand that are not built: unique_id to database, schema, identifier and relation.
    """

    invocation: Invocation
    base: Manifest
    elsewhere: Mapping[str, Place]


@dataclass(frozen=True, kw_only=True)
class Comparisons:
    """Add to a plan what its relations are compared with; `invocation` is what trees are parsed with."""

    settings: Settings
    host: Host
    profile: Profile
    base: Base
    folder: Path | None
    invocation: Invocation
    placeholder: str
    work: Path

    def add(
        self, plan: Plan, head: Manifest, before: Manifest, deferral: Manifest | None, external: str
    ) -> tuple[Plan, Twins | None]:
        """Return the plan with its comparisons, and the twins where they, or the base's tests, may be needed.

        Raises UsageError for a rule that is none.

        `external` is where the files go that twins write besides their relations.
        """
        graph = Graph(plan=plan, head=head, base=before, deferral=deferral)
        chosen = graph.choose(self.settings.compare if self.settings.compare != "none" else "auto")
        declared = self.host.ask(Declared(tree="head", unique_ids=tuple(c.unique_id for c in chosen)))
        rules = self._rules(declared)
        twins = graph.twins(chosen)
        tests = any(n.resource_type == "test" for n in plan.nodes)
        ready = self._prepare(plan, graph, twins, external) if twins or tests else None
        declared = self._with_bases_keys(declared, ready)
        compared = [self._compared(c, graph, declared[c.unique_id], rules[c.unique_id], ready) for c in chosen]
        schemas = {(n.database, n.schema) for u in twins if ready and (n := ready.base.nodes[u]).writes}
        every = tuple(sorted({*plan.destination.schemas, *schemas}))
        destination = dataclasses.replace(plan.destination, schemas=every)
        return dataclasses.replace(plan, compared=tuple(compared), twins=twins, destination=destination), ready

    def _with_bases_keys(self, declared: Mapping[str, Declaration], ready: Twins | None) -> Mapping[str, Declaration]:
        """Return the declarations with the base's key where the head has none; no test of this run has shown that."""
        without = tuple(u for u, d in declared.items() if ready and not d.key and u in ready.base.nodes)
        theirs = self.host.ask(Declared(tree="twin", unique_ids=without)) if without else {}
        keys = {
            u: dataclasses.replace(declared[u], key=d.key, key_from=f"{d.key_from} of the base")
            for u, d in theirs.items()
            if d.key
        }
        return {**declared, **keys}

    def _rules(self, declared: Mapping[str, Declaration]) -> dict[str, Rules]:
        """Return each node's rules: its own, and where it has none for something, those for all."""
        for_all = self.settings.rules()
        read_rules(for_all, "--dbt-ci-compare-rules")
        found = dict[str, Rules]()
        for unique_id, declaration in declared.items():
            own = json.loads(declaration.rules)
            meta = {**for_all, **own} if isinstance(own, dict) else own
            found[unique_id] = read_rules(meta, f"{unique_id} ({declaration.file})")
        return found

    def _prepare(self, plan: Plan, graph: Graph, twins: tuple[str, ...], external: str) -> Twins:
        """Parse the base once more, as dbt builds from it, and move its relations into schemas of the run's own."""
        schema = f"{plan.destination.schema}__base"
        invocation, parsed = self.base.parse_again("twin", self.invocation, self.folder)
        moved = parsed.moved(self.host.ask(Repoint(tree="twin", placeholder=self.placeholder, schema=schema)))
        database = next((d for d, s in plan.destination.schemas if s == plan.destination.schema), "")
        writing = [moved.nodes[u] for u in twins]
        check_isolation(moved, writing, plan.destination.schema, database)
        own = {(d.lower(), s.lower()) for d, s in plan.destination.schemas}
        if clash := [n for n in writing if n.writes and (n.database.lower(), n.schema.lower()) in own]:
            raise UsageError(
                f"nothing was written, because the base's version of {clash[0].unique_id} would be built in schema "
                f"{clash[0].schema}, where the pull request's own relations go. Let generate_schema_name begin with "
                "target.schema, or leave out --dbt-ci-compare."
            )
        self.host.ask(Redirect(tree="twin", unique_ids=twins, folder=f"{external}/base"))
        folder = self.profile.write(self.work / "profiles" / "twin", self.profile.target, schema)
        return Twins(
            invocation=dataclasses.replace(invocation, profiles_dir=str(folder)),
            base=moved,
            elsewhere=_elsewhere(graph, moved, frozenset(twins)),
        )

    def _compared(
        self, chosen: Chosen, graph: Graph, declared: Declaration, rules: Rules, ready: Twins | None
    ) -> Counterpart:
        ours, production = graph.head.nodes[chosen.unique_id], graph.production(chosen.unique_id)
        theirs = ready.base.nodes[chosen.unique_id] if chosen.base == "twin" and ready else production
        key = rules.key or declared.key
        pair = None
        if chosen.base and theirs:
            pair = Pair(
                head=_place(ours),
                base=_place(theirs),
                key=key,
                exclude=(*rules.exclude, *declared.exclude),
                tolerance=rules.tolerance,
                where=rules.where,
                # A condition is judged by all rows.
                most_rows=None if rules.fail_if else self.settings.compare_rows,
            )
        return Counterpart(
            unique_id=chosen.unique_id,
            base=chosen.base,
            why=chosen.why,
            pair=pair,
            stand_in=_place(production) if production and chosen.base == "twin" else None,
            drift=chosen.drift,
            volatile=declared.volatile,
            key_from="meta" if rules.key else declared.key_from,
            unique_tests=() if rules.key else declared.unique_tests,
            fail_if=rules.fail_if,
        )


def _place(node: ManifestNode) -> tuple[str, str, str]:
    return node.database, node.schema, node.identifier


def _elsewhere(graph: Graph, base: Manifest, twins: frozenset[str]) -> dict[str, Place]:
    found = dict[str, Place]()
    for unique_id in base.nodes.keys() - twins:
        if there := graph.place(unique_id):
            found[unique_id] = Place(
                database=there.database,
                schema=there.schema,
                identifier=there.identifier,
                relation=there.relation,
            )
    return found
