"""Which dbt nodes a session's items need, and whether a Python test can run on what was built."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import pytest

from pytest_dbtci.differences import PREFIX
from pytest_dbtci.errors import HeldUp
from pytest_dbtci.execution.outcomes import Outcomes
from pytest_dbtci.plan import Node, Plan
from pytest_dbtci.results import NOT_RUN
from pytest_dbtci.session.fixtures import BUILDING, outcomes_of
from pytest_dbtci.session.items import CompareItem, DbtItem


def awaited(item: pytest.Item, plan: Plan) -> tuple[str, ...]:
    """Return the nodes that an item waits for: a dbt item's own; what a Python test names or, naming none, all."""
    if isinstance(item, DbtItem):
        return (item.node.unique_id,)
    if isinstance(item, CompareItem):
        return (item.awaited,)
    if "dbt_compare" in getattr(item, "fixturenames", ()):
        return (*_built(item, plan), *_compared(item, plan))
    return _built(item, plan)


def _compared(item: pytest.Item, plan: Plan) -> tuple[str, ...]:
    named = {n.unique_id for name in _named(item) for n in plan.find(name)}
    return tuple(PREFIX + c.unique_id for c in plan.compared if c.unique_id in named or not named)


def _built(item: pytest.Item, plan: Plan) -> tuple[str, ...]:
    if names := _named(item):
        return tuple(n.unique_id for name in names for n in plan.find(name) if n.is_item)
    if BUILDING.intersection(getattr(item, "fixturenames", ())):
        return tuple(n.unique_id for n in plan.items)
    return ()


def nodes_asked(items: Iterable[pytest.Item]) -> frozenset[str]:
    """Return the unique_ids that dbt items show."""
    return frozenset(i.node.unique_id for i in items if isinstance(i, DbtItem))


def nodes_needed(items: Iterable[pytest.Item], plan: Plan) -> frozenset[str]:
    """Return the unique_ids that Python tests need."""
    return frozenset(u for i in items if not isinstance(i, DbtItem) for u in awaited(i, plan))


def uses_queries(items: Iterable[pytest.Item]) -> bool:
    """Whether any test asks for `dbt_query`."""
    return any("dbt_query" in getattr(item, "fixturenames", ()) for item in items)


def check_needs(item: pytest.Item) -> None:
    """Skip a Python test unless what it needs was built; wait for exactly that.

    With `deferred=True` a node that this pull request does not touch is fine: the test then reads the deferral
    target's relation.
    """
    marker = item.get_closest_marker("dbt_needs")
    uses = BUILDING.intersection(getattr(item, "fixturenames", ()))
    if marker is None and not uses:
        return
    outcomes = outcomes_of(item.config)
    if outcomes is None:
        pytest.skip("needs --dbt-ci")
    if not outcomes.plan.nodes:
        pytest.skip(outcomes.plan.status or "this run builds nothing")
    names = _named(item)
    if not names:
        _wait(outcomes, outcomes.plan.items)
        return
    deferred = bool(marker.kwargs.get("deferred")) if marker else False
    for name in names:
        nodes = [n for n in outcomes.plan.find(name) if n.is_item]
        if not nodes and not (deferred and outcomes.relation(name, True)):
            if unknown := outcomes.why_unknown(name):
                pytest.fail(f"dbt_needs: {unknown}", pytrace=False)
            nowhere = deferred and not outcomes.plan.destination.defer_target
            otherwise = ", and there is no --dbt-ci-defer-target to read it from" if nowhere else ""
            pytest.skip(f"{name} was not selected by this pull request{otherwise}")
        _wait(outcomes, nodes)


def _wait(outcomes: Outcomes, nodes: Sequence[Node]) -> None:
    for node in nodes:
        result = outcomes.wait(node.unique_id)
        reads_it = node.resource_type not in ("test", "unit_test")
        if reads_it and result.outcome == "error":
            pytest.fail(f"{node.name}: {result.message}", pytrace=False)
        if reads_it and result.outcome in ("failed", "skipped"):
            how = "it failed" if result.outcome == "failed" else "dbt skipped it"
            why = result.message if result.status == NOT_RUN else f"{node.name} was not built: {how}"
            raise pytest.skip.Exception(why) from HeldUp(why)


def _named(item: pytest.Item) -> tuple[str, ...]:
    return tuple(str(name) for marker in item.iter_markers("dbt_needs") for name in marker.args)
