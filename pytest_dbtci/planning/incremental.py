"""Incremental models and snapshots in a fresh schema: say that they are built anew, or copy what they go on from."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from pytest_dbtci.dbt_client.protocol.values import TableCopy
from pytest_dbtci.errors import UsageError
from pytest_dbtci.manifest import Manifest, ManifestNode
from pytest_dbtci.plan import Node, Plan
from pytest_dbtci.planning.planned import Planned
from pytest_dbtci.results import Result
from pytest_dbtci.settings import Settings


def check(settings: Settings) -> None:
    """Raise UsageError where copying is asked for and nothing could come of it."""
    if settings.incremental != "clone":
        return
    if not settings.defer_target:
        raise UsageError(
            "--dbt-ci-incremental=clone copies from the deferral target: name it with --dbt-ci-defer-target."
        )
    if settings.full_refresh:
        raise UsageError("--dbt-ci-incremental=clone and --dbt-ci-full-refresh contradict each other: leave one out.")
    if said := refreshing(settings.environ):
        raise UsageError(
            f"--dbt-ci-incremental=clone and {said} in the environment contradict each other, as dbt would build "
            "incremental models anew: leave out the one, or unset the other for this run."
        )


def refreshing(environ: Mapping[str, str]) -> str:
    """Return the variable, with its value, that makes dbt build incremental models anew; empty for none."""
    # The first of the two counts for dbt, and the values are those of its command line.
    name = next((n for n in ("DBT_ENGINE_FULL_REFRESH", "DBT_FULL_REFRESH") if environ.get(n)), "")
    is_true = environ.get(name, "").strip().lower() in ("1", "true", "t", "yes", "y", "on")
    return f"{name}={environ[name]}" if is_true else ""


def goes_on(node: Node) -> bool:
    """Whether building the node goes on from what is already there."""
    return node.materialized == "incremental" or node.resource_type == "snapshot"


def with_notes(planned: Planned, how: str, environ: Mapping[str, str]) -> Planned:
    """Add to the plan's notes what becomes of its incremental models and snapshots."""
    plan, head = planned.plan, planned.head
    if plan.mode == "nothing" or head is None:
        return planned
    going = [n.unique_id for n in plan.nodes if goes_on(n)]
    if plan.mode == "release":
        notes = _of_release(plan, head, refreshing(environ))
    elif how == "clone":
        copied = copies(plan, head, planned.deferral, going) if planned.deferral else {}
        notes = _of_clone(plan, len(copied), len(going) - len(copied))
    else:
        notes = _of_fresh_schema(sum(not _always_anew(head.nodes[u]) for u in going))
    return replace(planned, plan=replace(plan, notes=(*plan.notes, *notes)))


def _of_release(plan: Plan, head: Manifest, said: str) -> Iterator[str]:
    models = [head.nodes[n.unique_id] for n in plan.nodes if n.materialized == "incremental"]
    # A model's own config comes before the environment.
    count = sum(m.full_refresh is not False for m in models)
    if said and count:
        which = "1 incremental model is" if count == 1 else f"{count} incremental models are"
        yield f"{said} in the environment: {which} built anew"


def _of_clone(plan: Plan, copied: int, anew: int) -> Iterator[str]:
    source = f"a copy of {plan.destination.defer_target}'s relation"
    if copied:
        goes = "goes" if copied == 1 else "go"
        yield f"{_kinds(copied)} {goes} on from {source}, so that is_incremental() is tested"
    if anew:
        runs = "runs" if anew == 1 else "run"
        yield (
            f"{_kinds(anew)} {runs} as a full build, not from {source}: there is none that is built the same way, or "
            "the config says full_refresh"
        )


def _of_fresh_schema(count: int) -> Iterator[str]:
    if count:
        yield (
            f"{_kinds(count)} {'runs' if count == 1 else 'run'} as a full build in a fresh schema, so is_incremental() "
            "is not tested; --dbt-ci-incremental=clone does that"
        )


def _kinds(count: int) -> str:
    return "1 incremental model or snapshot" if count == 1 else f"{count} incremental models or snapshots"


def copies(plan: Plan, head: Manifest, deferral: Manifest, unique_ids: Iterable[str]) -> dict[str, TableCopy]:
    """Return what to copy, by unique_id.

    Only what is built the same way in the deferral target is copied: a table that becomes incremental with this
    pull request is built anew by a release, too, as is what its config lets dbt build anew each time.
    """
    found = {}
    for unique_id in unique_ids:
        node, theirs, ours = plan.node(unique_id), deferral.nodes.get(unique_id), head.nodes.get(unique_id)
        if node is None or theirs is None or ours is None or not goes_on(node):
            continue
        if theirs.materialized == ours.materialized and theirs.relation and not _always_anew(ours):
            source, target = ((n.database, n.schema, n.identifier) for n in (theirs, ours))
            found[unique_id] = TableCopy(source=source, target=target)
    return found


def _always_anew(node: ManifestNode) -> bool:
    # dbt knows no such thing of snapshots.
    return node.resource_type == "model" and node.full_refresh is True


def held_up(plan: Plan, failed: Mapping[str, str], unique_ids: Iterable[str]) -> tuple[Result, ...]:
    """Return the results of nodes whose copy failed (unique_id to why), and of what reads or tests them."""
    wanted, stopped = [n for n in plan.nodes if n.unique_id in frozenset(unique_ids)], set(failed)
    while more := {n.unique_id for n in wanted if stopped & {*n.parents, n.about}} - stopped:
        stopped |= more
    wrong = "what --dbt-ci-incremental=clone goes on from could not be copied"
    errors = (Result(unique_id=u, status="error", message=f"{wrong}: {why}", trouble=True) for u, why in failed.items())
    # The errors first: they are the cause that a skipped node names.
    return (*errors, *(Result(unique_id=u, status="skipped") for u in sorted(stopped - set(failed))))
