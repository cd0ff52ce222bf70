"""What the terminal says last of a run, in sentences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pytest_dbtci.execution.run import Run
from pytest_dbtci.plan import Node
from pytest_dbtci.reports.comparison import on_base
from pytest_dbtci.reports.terminal import GO_ON, ignored_line, not_run_lines, summary_lines, unasked_line
from pytest_dbtci.results import REUSED, Teardown


def last_lines(
    run: Run, teardown: Teardown, ignored: Sequence[Node], documented: str, *, is_built: bool
) -> Iterator[str]:
    """Yield what became of the run; `is_built` is False where there is no plan, or the session only looks."""
    plan = run.plan
    if standing := on_base(run.known()):
        yield f"dbt-ci: {standing}"
    if reused := sum(r.status == REUSED and r.unique_id in run.asked for r in run.results):
        yield f"dbt-ci: {reused} of {len(run.asked)} reused: earlier runs built them from the same code"
    yield from not_run_lines(run.not_run, run.trouble, misuse=run.misuse is not None)
    yield from summary_lines(plan, teardown)
    if plan.nodes and is_built and not run.asked and not run.comparisons:
        yield unasked_line(plan, run.begun)
    is_at_hand = plan.mode == "pull_request" and plan.provider == "local"
    if is_at_hand and run.settings.keep_schema == "never" and any(r.is_bad for r in run.results):
        yield GO_ON
    if ignored:
        yield ignored_line(ignored)
    if plan.destination.rehearsal and run.begun and not run.released:
        yield f"dbt-ci: the rehearsal failed, so nothing was released to {plan.destination.target}"
    if documented:
        yield f"dbt-ci: documentation in {documented}"
