"""Fixtures for a team's own Python tests on what a run built; without `--dbt-ci` they skip."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from pytest_dbtci.errors import DbtCiError, HeldUp

if TYPE_CHECKING:
    # Every pytest session imports this file, with `--dbt-ci` or without.
    from pytest_dbtci.differences import Comparison
    from pytest_dbtci.execution.outcomes import Answer, Outcomes, Relation
    from pytest_dbtci.plan import Plan
    from pytest_dbtci.results import Result

SESSION = "dbtci-session"
BUILDING = frozenset({"dbt_schema", "dbt_build", "dbt_relation", "dbt_query", "dbt_compare"})
"""The fixtures that need the build."""


def outcomes_of(config: pytest.Config) -> Outcomes | None:
    """Return the run of this session, None without `--dbt-ci`."""
    session = config.pluginmanager.get_plugin(SESSION)
    return session.outcomes if session is not None else None


class Build:
    """The build: `build["fact_dogs"]` waits for a node and gives its result, by name, item name or unique_id."""

    def __init__(self, outcomes: Outcomes, check: Callable[[], None]) -> None:
        self._outcomes = outcomes
        self._check = check

    def __getitem__(self, name: str) -> Result:
        __tracebackhide__ = True
        self._check()
        nodes = [n for n in self._outcomes.plan.find(name) if n.is_item]
        if not nodes:
            raise KeyError(f"{name} is not in the plan of this run")
        if len(nodes) > 1:
            raise KeyError(f"{name} stands for several nodes: {', '.join(n.unique_id for n in nodes)}")
        return self._outcomes.wait(nodes[0].unique_id)

    def __contains__(self, name: str) -> bool:
        return any(n.is_item for n in self._outcomes.plan.find(name))


def _run(request: pytest.FixtureRequest) -> Outcomes:
    outcomes = outcomes_of(request.config)
    if outcomes is None:
        pytest.skip("needs --dbt-ci")
    return outcomes


def check_announced(request: pytest.FixtureRequest) -> None:
    """Refuse a test that did not say before the build that it would use the fixture: nothing was built for it."""
    __tracebackhide__ = True
    session, name = request.config.pluginmanager.get_plugin(SESSION), request.fixturename
    item: pytest.Item | None = session.item if session is not None else None
    if item is None or name in getattr(item, "fixturenames", ()):
        return
    if name == "dbt_query" or item.get_closest_marker("dbt_needs") is None:
        raise DbtCiError(
            f"{item.name} asks for {name} only while it runs, too late for dbt to build anything for it. Take {name} "
            f"as an argument of the test or of a fixture it takes, or add @pytest.mark.usefixtures({name!r})."
        )


@pytest.fixture(scope="session")
def dbt_plan(request: pytest.FixtureRequest) -> Plan:
    """Return what this run builds, and why; needs no warehouse."""
    return _run(request).plan


@pytest.fixture(scope="session")
def dbt_schema(request: pytest.FixtureRequest) -> str:
    """Return the name of the pull request's schema, which exists by then."""
    return _run(request).plan.destination.schema


@pytest.fixture(scope="session")
def dbt_build(request: pytest.FixtureRequest) -> Build:
    """Return the build: results by node name, waited for."""
    return Build(_run(request), lambda: check_announced(request))


@pytest.fixture(scope="session")
def dbt_relation(request: pytest.FixtureRequest) -> Callable[..., Relation]:
    """Return a function from a node's name to its relation.

    `dbt_relation("fact_dogs")` is the relation in the pull request's schemas, or the deferral target's when
    this run does not build it; `dbt_relation("fact_dogs", deferred=True)` is always the deferral target's.
    LookupError when there is none.
    """
    outcomes = _run(request)

    def relation(name: str, deferred: bool = False) -> Relation:
        __tracebackhide__ = True
        check_announced(request)
        found = outcomes.relation(name, deferred)
        if found is None:
            where = "in the deferral target" if deferred else "in this run or in its deferral target"
            no_target = "" if outcomes.plan.destination.defer_target else "none is set, pass --dbt-ci-defer-target"
            why = outcomes.why_unknown(name) or no_target
            raise LookupError(f"there is no relation of a node named {name!r} {where}{f': {why}' if why else ''}")
        return found

    return relation


@pytest.fixture(scope="session")
def dbt_query(request: pytest.FixtureRequest) -> Callable[[str], Answer]:
    """Return a function that compiles SQL with dbt (`ref`, `source`, macros), runs it and gives its rows.

    It waits until the build has ended, because dbt does one thing at a time. DbtCiError when dbt or the warehouse
    refuses the query.
    """
    outcomes = _run(request)

    def query(sql: str) -> Answer:
        __tracebackhide__ = True
        check_announced(request)
        try:
            return outcomes.query(sql)
        except HeldUp as held_up:
            raise pytest.skip.Exception(str(held_up)) from held_up
        except DbtCiError as error:
            # What lies between here and the warehouse is of no use to who wrote the test.
            raise error.with_traceback(None) from None

    return query


@pytest.fixture(scope="session")
def dbt_compare(request: pytest.FixtureRequest) -> Callable[[str], Comparison]:
    """Return a function from a node's name to its comparison with the base.

    LookupError for a node that this run does not compare; a skip where it could not be compared.
    """
    outcomes = _run(request)
    if not outcomes.plan.compared:
        pytest.skip("needs --dbt-ci-compare, and something to compare")

    def compare(name: str) -> Comparison:
        __tracebackhide__ = True
        from pytest_dbtci.differences import PREFIX

        check_announced(request)
        known = {c.unique_id for c in outcomes.plan.compared}
        nodes = [n for n in outcomes.plan.find(name) if n.unique_id in known]
        if len(nodes) != 1:
            raise LookupError(f"{name} stands for {len(nodes)} nodes that this run compares, not for one")
        result = outcomes.wait(PREFIX + nodes[0].unique_id)
        if result.comparison is None or result.comparison.differences is None:
            pytest.skip(f"{name} was not compared: {result.message}")
        return result.comparison

    return compare
