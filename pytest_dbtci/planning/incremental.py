"""Incremental models and snapshots in a fresh schema: say that they are built anew, or copy what they go on from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from pytest_dbtci.dbt_client.protocol.values import TableCopy
from pytest_dbtci.errors import UsageError
from pytest_dbtci.manifest import Manifest
from pytest_dbtci.plan import Node, Plan
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
            f"--dbt-ci-incremental=clone and {said} in the environment contradict each other, as dbt would build all "
            "anew: leave out the one, or unset the other for this run."
        )


def refreshing(environ: Mapping[str, str]) -> str:
    """Return the variable, with its value, by which the environment makes dbt build all anew; empty for none."""
    # The first of the two counts for dbt, and the values are those of its command line.
    name = next((n for n in ("DBT_ENGINE_FULL_REFRESH", "DBT_FULL_REFRESH") if environ.get(n)), "")
    is_true = environ.get(name, "").strip().lower() in ("1", "true", "t", "yes", "y", "on")
    return f"{name}={environ[name]}" if is_true else ""


def goes_on(node: Node) -> bool:
    """Whether building the node goes on from what is already there."""
    return node.materialized == "incremental" or node.resource_type == "snapshot"


def with_note(plan: Plan, how: str, environ: Mapping[str, str]) -> Plan:
    """Add to the plan's notes what becomes of its incremental models and snapshots."""
    count = sum(goes_on(n) for n in plan.nodes)
    if plan.mode == "release" and count and (said := refreshing(environ)):
        return replace(plan, notes=(*plan.notes, f"{said} in the environment: incremental models are built anew"))
    if not count or plan.mode != "pull_request":
        return plan
    one = count == 1
    what = "1 incremental model or snapshot" if one else f"{count} incremental models or snapshots"
    if how == "clone":
        source = f"a copy of {plan.defer_target}'s relation"
        note = f"{what} {'goes' if one else 'go'} on from {source}, so that is_incremental() is tested"
    else:
        note = (
            f"{what} {'runs' if one else 'run'} as a full build in a fresh schema, so is_incremental() is not tested; "
            "--dbt-ci-incremental=clone does that"
        )
    return replace(plan, notes=(*plan.notes, note))


def copies(plan: Plan, head: Manifest, deferral: Manifest, unique_ids: Iterable[str]) -> dict[str, TableCopy]:
    """Return what to copy, by unique_id.

    Only what is built the same way in the deferral target is copied: a table that becomes incremental with this
    pull request is built anew by a release, too.
    """
    found = {}
    for unique_id in unique_ids:
        node, theirs, ours = plan.node(unique_id), deferral.nodes.get(unique_id), head.nodes.get(unique_id)
        if node is None or theirs is None or ours is None or not goes_on(node):
            continue
        if theirs.materialized == ours.materialized and theirs.relation:
            source, target = ((n.database, n.schema, n.identifier) for n in (theirs, ours))
            found[unique_id] = TableCopy(source=source, target=target)
    return found


def held_up(plan: Plan, failed: Mapping[str, str], unique_ids: Iterable[str]) -> tuple[Result, ...]:
    """Return the results of nodes whose copy failed (unique_id to why), and of what reads or tests them."""
    wanted, stopped = [n for n in plan.nodes if n.unique_id in frozenset(unique_ids)], set(failed)
    while more := {n.unique_id for n in wanted if stopped & {*n.parents, n.about}} - stopped:
        stopped |= more
    wrong = "what --dbt-ci-incremental=clone goes on from could not be copied"
    errors = (Result(unique_id=u, status="error", message=f"{wrong}: {why}", trouble=True) for u, why in failed.items())
    # The errors first: they are the cause that a skipped node names.
    return (*errors, *(Result(unique_id=u, status="skipped") for u in sorted(stopped - set(failed))))
