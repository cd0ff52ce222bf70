"""Let `--lf` find what failed and what was skipped because of it, and what the kept schemas hold of the rest."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from pytest_dbtci.execution.run import Run
from pytest_dbtci.schemas.reuse import Kept
from pytest_dbtci.session.participant import HELD_UP

_KEPT = "dbtci/kept"
_LAST_FAILED = "cache/lastfailed"


class Rerun:
    """Keep in pytest's cache what a later `--lf` needs; without the cache there is nothing to do."""

    def __init__(self, config: pytest.Config, run: Run) -> None:
        self._config = config
        self._run = run
        self._cache = getattr(config, "cache", None)
        self._skipped: list[str] = []

    def recall(self) -> Kept | None:
        """Return what the kept schemas hold, if this run may go on with them."""
        if self._cache is None or self._run.settings.keep_schema == "never" or not self._config.getoption("lf", False):
            return None
        return Kept.from_dict(self._cache.get(_KEPT, None))

    def note(self, report: pytest.TestReport) -> None:
        """Note the item that was skipped because something else failed: pytest itself takes a skip for no failure."""
        if (HELD_UP, True) in report.user_properties:
            self._skipped.append(report.nodeid)

    def write(self, not_run: Iterable[str]) -> None:
        """Write it down; call it when the schemas' fate is known and pytest has written its own.

        `not_run` are the node ids of what trouble kept from being built, shown or not: `-x` may end the session first.
        """
        if self._cache is None or self._config.option.collectonly:
            return
        failed = self._cache.get(_LAST_FAILED, {})
        # What this plugin reports beside the items can't be run again by its name.
        ours = {name for name in failed if name.startswith("dbt_project.yml::dbt_ci_")}
        again = dict.fromkeys((*self._skipped, *not_run), True)
        if ours or again:
            self._cache.set(_LAST_FAILED, {**{k: v for k, v in failed.items() if k not in ours}, **again})
        held = self._run.holds()
        self._cache.set(_KEPT, held.to_dict() if held is not None else None)
