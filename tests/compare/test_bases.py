"""What a relation is compared with: production's only where nothing but the pull request can make a difference."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pytest_dbtci.compare.bases import Graph, How, needed, within
from pytest_dbtci.manifest import Manifest, ManifestNode
from pytest_dbtci.plan import Node, Plan, Reason, ReasonKind

PARENTS = {
    "stg": ("source.raw",),
    "fact": ("stg",),
    "sums": ("fact",),
    "calm": ("kept",),
    "calmer": ("calm",),
    "over_view": ("kept_view",),
    "over_live_view": ("live_view",),
    "over_ephemeral": ("thin",),
    "grown": ("kept",),
    "after_grown": ("grown",),
    "seeded": ("seed",),
    "kept": ("source.raw",),
    "kept_view": ("kept",),
    "live_view": ("source.raw",),
    "thin": ("kept",),
    "history": ("kept",),
    "seed": (),
    "new": ("kept",),
}
KINDS = {
    **dict.fromkeys(("stg", "kept_view", "live_view"), "view"),
    "grown": "incremental",
    "thin": "ephemeral",
    "seed": "seed",
    "history": "snapshot",
}
UNPLANNED = {"kept", "kept_view", "live_view", "thin"}


def manifest(*, without: Iterable[str] = (), schema: str = "s", digest: str = "1") -> Manifest:
    source = ManifestNode(unique_id="source.raw", resource_type="source", name="raw", package="p", file="", parts={})
    nodes = {source.unique_id: source}
    for name, parents in PARENTS.items():
        kind = KINDS.get(name, "table")
        nodes[name] = ManifestNode(
            unique_id=name,
            resource_type=kind if kind in ("seed", "snapshot") else "model",
            name=name,
            package="p",
            file=f"{name}.sql",
            schema=schema,
            relation=None if kind == "ephemeral" else f"{schema}.{name}",
            identifier=name,
            materialized=kind,
            parents=parents,
            writes=kind != "ephemeral",
            parts={"body": digest},
        )
    for name in without:
        del nodes[name]
    return Manifest(
        project="p", adapter="duckdb", dbt_version="1", nodes=nodes, macros={}, docs={}, disabled={}, env_vars={}
    )


def graph(*, defer: bool = True, ancestors: Iterable[str] = ()) -> Graph:
    head = manifest(schema="dbt_build_1")

    def node(name: str) -> Node:
        theirs = head.nodes[name]
        kind: ReasonKind = "ancestor" if name in set(ancestors) else "modified"
        return Node(
            unique_id=name,
            resource_type=theirs.resource_type,
            name=name,
            item=name,
            file=theirs.file,
            defined_in=theirs.file,
            reason=Reason(kind=kind, text=kind),
            parents=theirs.parents,
            materialized=theirs.materialized,
            relation=theirs.relation,
        )

    planned = [n for n in PARENTS if n not in UNPLANNED or n in set(ancestors)]
    plan = Plan(mode="pull_request", nodes=tuple(node(n) for n in planned))
    deferral = manifest(schema="prod", without=["new"]) if defer else None
    return Graph(plan=plan, head=head, base=manifest(without=["new"]), deferral=deferral)


@pytest.mark.parametrize(
    ("how", "twins"),
    [
        ("auto", {"stg", "fact", "sums", "over_live_view", "grown", "after_grown", "history"}),
        ("prod", set()),
        ("base", set(PARENTS) - UNPLANNED - {"new"}),
    ],
)
def test_builds_a_twin_where_production_may_differ_for_other_reasons(how: How, twins: set[str]) -> None:
    chosen = {c.unique_id: c for c in graph().choose(how)}
    assert {u for u, c in chosen.items() if c.base == "twin"} == twins
    assert {u for u, c in chosen.items() if not c.base} == {"new"}
    drifting = {"fact", "sums", "over_live_view", "grown", "after_grown", "history"}
    assert {u for u, c in chosen.items() if c.drift} == drifting
    assert graph().twins(graph().choose(how)) == tuple(sorted(twins))


def test_builds_twins_of_what_stands_nowhere_and_reads_this_runs_own_unchanged_parents() -> None:
    alone = graph(defer=False, ancestors=UNPLANNED)
    chosen = alone.choose("auto")
    assert {c.base for c in chosen if c.unique_id != "new"} == {"twin"}
    assert not UNPLANNED & {c.unique_id for c in chosen}
    assert not UNPLANNED & set(alone.twins(chosen))
    place = alone.place("kept")
    assert place is not None
    assert place.schema == "dbt_build_1"

    lonely = graph(defer=False)
    assert {"kept", "kept_view", "live_view"} <= set(lonely.twins(lonely.choose("base")))
    assert not [c for c in lonely.choose("prod") if c.base]


def test_a_budget_leaves_out_what_it_does_not_pay_for_with_all_that_reads_it() -> None:
    base = manifest()
    order = ["stg", "calm", "fact", "sums"]
    seconds = {"stg": 0.0, "calm": 2.0, "fact": 5.0, "sums": 0.1}
    assert within(10, order, seconds, base, order) == (("stg", "calm", "fact", "sums"), frozenset())
    assert within(6, order, seconds, base, order) == (("stg", "calm"), frozenset({"fact", "sums"}))
    assert within(0, order, seconds, base, order) == (("stg",), frozenset({"calm", "fact", "sums"}))
    assert needed(order, ["fact"], base) == {"stg", "fact"}
