"""pytest's loop over the items, with dbt's items in the order in which dbt has their results."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any

import pytest

from pytest_dbtci.plan import Plan
from pytest_dbtci.results import Results
from pytest_dbtci.session.command_line import only_looks
from pytest_dbtci.session.items import DbtItem, StatusItem


class FinishingOrder:
    """Run the items; of several dbt items in a row, the one whose result is there first.

    pytest's own loop runs where the order means something: another plugin brings a loop (pytest-xdist) or has reordered
    dbt's items, or `--stepwise` will go on after the first failure, in collection order. `show` and `hide` draw what
    dbt does while nothing is ready.
    """

    def __init__(
        self, plan: Callable[[], Plan], results: Results, show: Callable[[], None], hide: Callable[[], None]
    ) -> None:
        self._plan = plan
        self._results = results
        self._show = show
        self._hide = hide
        self._arrived = 0

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """Run all items; None leaves them to pytest's own loop."""
        option = session.config.option
        failed = session.testsfailed and not option.continue_on_collection_errors
        if failed or only_looks(session.config) or not self._applies(session):
            return None
        # What is set up for all of the session stays, and nothing else, while it is not known which item comes next.
        anything: pytest.Item = StatusItem.from_parent(session, name="dbt_ci", status="")
        groups = [(ours, list(items)) for ours, items in groupby(session.items, lambda i: isinstance(i, DbtItem))]
        for number, (ours, items) in enumerate(groups):
            after = groups[number + 1][1][0] if number + 1 < len(groups) else None
            last = anything if after is not None and not ours else after
            if ours:
                self._run_as_they_come(session, items, anything, after)
            else:
                for item, following in zip(items, [*items[1:], last], strict=True):
                    _run(session, item, following)
        return True

    def _applies(self, session: pytest.Session) -> bool:
        loops = [i for i in session.config.hook.pytest_runtestloop.get_hookimpls() if not (i.wrapper or i.hookwrapper)]
        order = {n.unique_id: i for i, n in enumerate(self._plan().nodes)}
        places = [order[i.node.unique_id] for i in session.items if isinstance(i, DbtItem)]
        # pytest's own, and this one.
        return len(loops) == 2 and places == sorted(places) and not session.config.getoption("stepwise", False)

    def _run_as_they_come(
        self, session: pytest.Session, items: Sequence[pytest.Item], anything: pytest.Item, after: pytest.Item | None
    ) -> None:
        waiting: dict[str, pytest.Item] = {i.node.unique_id: i for i in items if isinstance(i, DbtItem)}
        try:
            for unique_id in self._ready(waiting):
                item = waiting.pop(unique_id)
                _run(session, item, anything if waiting else after)
        except KeyboardInterrupt:
            # What dbt has finished is shown before the session ends.
            for unique_id in [r.unique_id for r in self._results if r.unique_id in waiting]:
                _run(session, waiting.pop(unique_id), anything)
            raise

    def _ready(self, waiting: dict[str, Any]) -> Iterator[str]:
        """Yield the items' unique_ids as results arrive; at the build's end the others, in their order."""
        found = deque(r.unique_id for r in self._results if r.unique_id in waiting)
        while waiting:
            while found:
                if (unique_id := found.popleft()) in waiting:
                    yield unique_id
            arrived = self._results.wait_for_more(self._arrived, 0.25)
            self._arrived += len(arrived)
            found.extend(arrived)
            if not found and self._results.closed:
                found.extend(waiting)
            elif waiting and not found:
                self._show()
            if found:
                self._hide()


def _run(session: pytest.Session, item: pytest.Item, following: pytest.Item | None) -> None:
    """Run one item, as pytest's own loop does."""
    item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
    if session.shouldfail:
        raise session.Failed(session.shouldfail)
    if session.shouldstop:
        raise session.Interrupted(session.shouldstop)
