"""The lines that pytest's terminal shows before and after the items."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence

from pytest_dbtci.plan import Node, Plan, ReasonKind
from pytest_dbtci.reports.table import cut
from pytest_dbtci.results import Teardown

KINDS: dict[ReasonKind, str] = {
    "modified": "modified",
    "new": "modified",
    "affected": "modified",
    "downstream": "downstream",
    "selected": "selected",
    "ancestor": "ancestors",
    "hook": "hooks",
    "released": "released",
    "formatting": "formatting only",
}
"""The word under which nodes are counted, for every kind of reason."""

GO_ON = "dbt-ci: to run what failed again, and keep its schemas to look at, add: --lf --dbt-ci-keep-schema=failed"
"""What a red run on somebody's machine says last."""

_COUNTED = ("modified", "downstream", "selected", "ancestors")


def header_lines(plan: Plan, verbosity: int = 0) -> list[str]:
    """Return two lines: what is compared, and what will be built where; a line break in a name begins no line."""
    return [" ".join(line.splitlines()) for line in _header_lines(plan, verbosity)]


def _header_lines(plan: Plan, verbosity: int) -> list[str]:
    if not plan.nodes:
        return [f"dbt-ci: {plan.status}"]
    if plan.mode == "release":
        return _release_lines(plan)
    compared = f"base {plan.commits.base_ref} @ {plan.commits.base[:7]} ({plan.commits.how})"
    lines = [f"dbt-ci: PR {plan.pr} → schema {plan.destination.schema} (target {plan.destination.target}) · {compared}"]
    kinds = Counter(_kind(n.resource_type, n.reason.kind) for n in plan.items)
    counts = ", ".join(f"{kinds[k]} {k}" for k in _COUNTED if kinds[k])
    tests = kinds["tests"]
    changed = len(plan.changes)
    left_out = len(plan.left_out)
    untouched = plan.total - sum(kinds[k] for k in (*_COUNTED, "tests")) - left_out
    where = f"deferred to {plan.destination.defer_target}" if plan.destination.defer_target else "not needed"
    where = f" ({where})" if untouched else ""
    built = f"{counts or 'no nodes'}, {tests} test{'s' * (tests != 1)}"
    built += f" · {left_out} left out (formatting only)" if left_out else ""
    lines.append(
        f"dbt-ci: {changed} file{'s' * (changed != 1)} changed → {built}"
        f" · {untouched} of {plan.total} nodes untouched{where}"
    )
    lines += [f"dbt-ci: {note}" for note in plan.notes]
    if verbosity > 0:
        lines += [f"dbt-ci: {c.status} {c.path}: {c.effect}{f' ({c.note})' if c.note else ''}" for c in plan.changes]
    return lines


def _release_lines(plan: Plan) -> list[str]:
    where = f"target {plan.destination.target}, schema {plan.destination.schema}"
    lines = [f"dbt-ci: release of {plan.commits.base_ref} @ {plan.commits.head[:7]} ({plan.commits.how}) → {where}"]
    tests = sum(n.resource_type in ("test", "unit_test") for n in plan.items)
    first = f" · rehearsed first in {plan.destination.rehearsal}" if plan.destination.rehearsal else ""
    lines.append(f"dbt-ci: the whole project: {plan.total - tests} nodes, {tests} tests{first}")
    return lines + [f"dbt-ci: {note}" for note in plan.notes]


def passed(why: str, room: int | None) -> str:
    """Return the word for an item that passed, with the reason why it ran, cut to what a terminal's row has room for.

    So pytest does with the reason of a skip. `room` is what the rest of the row leaves; None is no end of room.
    """
    left = len(why) if room is None else room - len("PASSED ()")
    return f"PASSED ({cut(why, left)})" if left >= min(8, len(why)) else "PASSED"


def not_run_lines(nodes: Sequence[Node], trouble: str, *, misuse: bool = False) -> list[str]:
    """Return a line on the nodes that were not run, and why; with `misuse` pytest itself tells why, last."""
    if not nodes:
        return []
    were = "nodes were" if len(nodes) > 1 else "node was"
    why = "see the error below" if misuse else trouble.partition(": ")[0]
    return [f"dbt-ci: {len(nodes)} {were} not run: {why}"]


def summary_lines(plan: Plan, teardown: Teardown) -> list[str]:
    """Return lines on what became of the schemas."""
    lines = []
    if teardown.dropped:
        lines.append(f"dbt-ci: dropped {_several(teardown.dropped)}")
    if teardown.kept:
        lines.append(f"dbt-ci: kept {_several(teardown.kept)}{', to look at with' if teardown.shell else ''}")
    if teardown.shell:
        # By itself, to be copied.
        lines.append(f"  {teardown.shell}")
    if teardown.trouble:
        lines.append(f"dbt-ci: {teardown.trouble}")
    return lines


def wrapped(line: str, columns: int, indent: str = "        ") -> list[str]:
    """Break a line at words, where it is longer than the terminal has columns; what follows is indented further."""
    if len(line) <= columns:
        return [line]
    indent += line[: len(line) - len(line.lstrip())]
    return textwrap.wrap(line, columns, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


def _several(names: Sequence[str], shown: int = 6) -> str:
    left = len(names) - shown
    return ", ".join(names[:shown]) + (f" and {left} more" if left > 0 else "")


def unasked_line(plan: Plan, built: frozenset[str]) -> str:
    """Return a line for a run without dbt items: what was built all the same."""
    count = sum(n.unique_id in built for n in plan.items)
    if not count:
        return f"dbt-ci: no dbt item was asked for: none of the {len(plan.items)} planned nodes, so nothing was built"
    were = "nodes were" if count > 1 else "node was"
    return f"dbt-ci: no dbt item was asked for: {count} {were} built for Python tests"


def ignored_line(nodes: Sequence[Node]) -> str:
    """Return a line on the planned nodes that `--ignore` or `--ignore-glob` leaves out."""
    more = f" and {len(nodes) - 1} more" if len(nodes) > 1 else ""
    return f"dbt-ci: not collected, because of --ignore: {nodes[0].label}{more}"


def _kind(resource_type: str, reason: ReasonKind) -> str:
    if resource_type in ("test", "unit_test"):
        return "tests"
    if resource_type == "operation":
        return "hooks"
    return KINDS[reason]
