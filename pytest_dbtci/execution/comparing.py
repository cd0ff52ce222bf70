"""Compare what was built: build the base's version of it within the budget, ask what differs, judge by the rules."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from pytest_dbtci.compare.bases import needed, within
from pytest_dbtci.compare.rules import holds
from pytest_dbtci.dbt_client.client import Cancelled
from pytest_dbtci.dbt_client.protocol.events import Compared, Event, NodeFinished
from pytest_dbtci.dbt_client.protocol.tree_requests import Keep
from pytest_dbtci.dbt_client.protocol.values import TableCopy
from pytest_dbtci.dbt_client.protocol.warehouse_requests import BuildTwins, Compare, CopyTables
from pytest_dbtci.dbt_words import reason
from pytest_dbtci.differences import PREFIX, Comparison, Counterpart, Differences, Pair
from pytest_dbtci.errors import DbtCiError
from pytest_dbtci.execution.run_host import RunHost
from pytest_dbtci.plan import Plan
from pytest_dbtci.planning.twins import Twins
from pytest_dbtci.results import LEFT_OUT, Result, Results
from pytest_dbtci.settings import Settings

_EARLY = "early twin"
"""A copy of the base's tree to build from: a tree can be built from only once."""


@dataclass(frozen=True, kw_only=True)
class Comparing:
    """Compare the `asked` nodes once all is built; each result goes to `found`, under its own name.

    `built` holds the results of the build; `failed` says afterwards of each twin that is not there why, `ready` which
    are.
    """

    plan: Plan
    settings: Settings
    twins: Twins | None
    host: RunHost
    built: Results
    found: Results
    asked: frozenset[str]
    failed: dict[str, str] = field(default_factory=dict)
    ready: set[str] = field(default_factory=set)

    def run(self) -> None:
        """Compare; what can't be compared says why, and is an error where dbt is. Raises Cancelled."""
        left = list[Counterpart]()
        for compared in self.plan.compared:
            if compared.unique_id not in self.asked:
                continue
            result = self.built.get(compared.unique_id)
            if not compared.base:
                self._skip(compared, compared.why)
            elif result is not None and result.status == LEFT_OUT:
                self._skip(compared, result.message)
            elif not self._is_built(compared):
                self._skip(compared, "not built")
            else:
                left.append(compared)
        try:
            self._build_twins(left)
            self._compare(left)
        except Cancelled:
            raise
        except DbtCiError as error:
            for compared in left:
                self._trouble(compared, str(error), status="no result")

    def pairs(self, wanted: Iterable[Counterpart]) -> dict[str, Pair]:
        """Return what is compared with what, where both sides are there and nothing but this change can differ.

        Others may be compared later, with twins that are built then.
        """
        built = [c for c in wanted if self._is_built(c)]
        if self.twins is not None:
            self.host.ask(Keep(tree="twin", copy=_EARLY))
        dear = self._build_twins(built, tree=_EARLY)
        used = [self._used(c) for c in built]
        for unique_id in dear:
            # The budget grows with what is built meanwhile.
            del self.failed[unique_id]
        return {u.unique_id: u.pair for u in used if u.pair and (u.base == "twin" or not u.drift)}

    def _is_built(self, compared: Counterpart) -> bool:
        result = self.built.get(compared.unique_id)
        return result is not None and result.outcome in ("passed", "warned")

    def _build_twins(self, wanted: Iterable[Counterpart], tree: str = "twin") -> frozenset[str]:
        """Build the twins that the budget pays for, and return those that it does not.

        `failed` says of each that is not there why.
        """
        if self.twins is None:
            return frozenset()
        paid, left = self._affordable(wanted, self.twins)
        paid = self._copy(paid)
        if not paid:
            return left
        told = dict[str, Result]()

        def hear(event: Event) -> None:
            if isinstance(event, NodeFinished):
                told[event.result.unique_id] = event.result

        self.host.ask(
            BuildTwins(
                tree=tree,
                invocation=self.twins.invocation,
                unique_ids=paid,
                elsewhere=self.twins.elsewhere,
                full_refresh=self.settings.full_refresh,
            ),
            hear,
        )
        for unique_id in paid:
            result = told.get(unique_id)
            if result is None or result.outcome not in ("passed", "warned"):
                why = reason(result.message) if result and result.message else "dbt skipped it"
                self.failed[unique_id] = f"the base's version could not be built: {why}"
            else:
                self.ready.add(unique_id)
        return left

    def _affordable(self, wanted: Iterable[Counterpart], of: Twins) -> tuple[tuple[str, ...], frozenset[str]]:
        """Return the twins that are still to be built, those that the budget pays for and the others."""
        twins = needed(self.plan.twins, [c.unique_id for c in wanted if c.base == "twin"], of.base)
        seconds = {r.unique_id: r.seconds for r in self.built}
        given = self.settings.compare_budget
        budget = sum(seconds.values()) if given is None else float(given)
        order = [n.unique_id for n in self.plan.nodes]
        spent = sum(seconds.get(u, 0.0) for u in self.ready)
        twins -= self.ready | self.failed.keys()
        paid, left = within(budget - spent, twins, seconds, of.base, order)
        self.failed.update(dict.fromkeys(left, f"the base's version would exceed the budget of {budget:g} s"))
        return paid, left

    def _copy(self, twins: tuple[str, ...]) -> tuple[str, ...]:
        """Copy what incremental twins go on from, as the head's do; return the twins that can be built then."""
        if self.settings.incremental != "clone" or self.twins is None:
            return twins
        nodes, production = self.twins.base.nodes, {c.unique_id: c.stand_in for c in self.plan.compared}
        copies = {
            u: TableCopy(source=source, target=(nodes[u].database, nodes[u].schema, nodes[u].identifier))
            for u in twins
            if (nodes[u].materialized == "incremental" or nodes[u].resource_type == "snapshot")
            and (source := production.get(u))
        }
        told = self.host.ask(CopyTables(tree="head", copies=copies)) if copies else {}
        wrong = {u for u, why in told.items() if why}
        self.failed.update((u, f"what the base's version goes on from could not be copied: {told[u]}") for u in wrong)
        return tuple(u for u in twins if u not in wrong)

    def _compare(self, wanted: Iterable[Counterpart]) -> None:
        by_id, pairs = dict[str, Counterpart](), dict[str, Pair]()
        for compared in wanted:
            used = self._used(compared)
            if used.pair is None:
                self._trouble(used, used.why)
                continue
            tests = [self.built.get(test) for test in used.unique_tests]
            unique = bool(tests) and all(t is not None and t.status in ("pass", "success") for t in tests)
            by_id[used.unique_id] = used
            pairs[used.unique_id] = replace(used.pair, unique=unique)

        def hear(event: Event) -> None:
            if isinstance(event, Compared):
                compared = by_id[event.name]
                if event.differences is None:
                    self._trouble(compared, event.trouble)
                else:
                    self._tell(compared, event.differences, event.seconds)

        if pairs:
            seconds = self.settings.compare_timeout
            self.host.ask(Compare(tree="head", pairs=pairs, seconds=seconds), hear)

    def _used(self, compared: Counterpart) -> Counterpart:
        """Return what is compared in the end: production's relation where the twin is not there."""
        why = self.failed.get(compared.unique_id, "") if compared.base == "twin" else ""
        if not why or compared.pair is None:
            return compared
        if compared.stand_in is None:
            return replace(compared, base="", pair=None, why=why)
        drift = compared.drift or "other builds of it may differ"
        pair = replace(compared.pair, base=compared.stand_in)
        return replace(compared, base="prod", pair=pair, drift=f"{drift} ({why})")

    def _tell(self, compared: Counterpart, differences: Differences, seconds: float) -> None:
        comparison = Comparison(
            unique_id=compared.unique_id,
            base=compared.base,
            drift=compared.drift if compared.base == "prod" else "",
            volatile=compared.volatile,
            key_from=compared.key_from if differences.key else "",
            differences=differences,
        )
        sure = not comparison.drift and not comparison.volatile
        bad = bool(compared.fail_if) and sure and holds(compared.fail_if, differences)
        message = f"dbt_ci.fail_if: {compared.fail_if}" if bad else ""
        self._add(compared, "fail" if bad else "success", message, comparison, seconds)

    def _skip(self, compared: Counterpart, why: str) -> None:
        self._add(compared, "skipped", why, Comparison(unique_id=compared.unique_id, why=why))

    def _trouble(self, compared: Counterpart, why: str, status: str = "skipped") -> None:
        """Report that it could not be compared: an error where dbt is, or where a condition asks for the answer."""
        status, words = "no result" if compared.fail_if else status, reason(why)
        self._add(compared, status, words, Comparison(unique_id=compared.unique_id, why=words))

    def _add(
        self, compared: Counterpart, status: str, message: str, comparison: Comparison, seconds: float = 0.0
    ) -> None:
        name = PREFIX + compared.unique_id
        self.found.add(Result(unique_id=name, status=status, message=message, seconds=seconds, comparison=comparison))
